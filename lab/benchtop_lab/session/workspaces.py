"""Each server has its own workspace of JupyterLab: what is open, and where on the screen.

Upstream keeps it in the home under one name. All sessions of a person share the home, and their pages have
one origin: the one on HTC came with the tabs, the terminal and the kernels of the one on HPC.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyterlab_server.handlers import LabHandler

from benchtop_lab.session.names import own_name


def folder(config: str, env: Mapping[str, str]) -> str:
    """Where this server's workspaces are. config: a person's folder of Jupyter's configuration"""
    return str(Path(config, "lab", "workspaces", own_name(env)))


def open_own(env: Mapping[str, str]) -> None:
    """An address that names no workspace stands for this server's, by a name that no other page has.

    Two pages of one browser that show workspaces of one name take each other for a copy, and the second one
    gets an empty workspace with a random name.
    """
    name = own_name(env)
    upstream: Any = LabHandler.get

    def get(
        handler: LabHandler, mode: str | None = None, workspace: str | None = None, tree: str | None = None
    ) -> Any:  # noqa: ANN401 as upstream has it
        return upstream(handler, mode, workspace or f"/workspaces/{name}", tree)

    LabHandler.get = get
