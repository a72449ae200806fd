"""Which environments there are for the owner of this session, on all clusters: asked by JupyterLab's page.

It asks when a notebook's kernel is not here, to name those that have it.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.ioloop import IOLoop
from tornado.web import authenticated

from benchtop_lab import software
from benchtop_lab.groups import own_groups
from benchtop_lab.session.environment import AREA

SHOWN = ("name", "version", "title", "clusters", "kernels")


def described(root: Path) -> list[dict[str, object]]:
    """What their owner may choose, whatever the cluster."""
    offered = software.environments(root, groups=own_groups(), cluster="")
    return [{name: asdict(environment)[name] for name in SHOWN} for environment in offered]


class EnvironmentsHandler(APIHandler):  # type: ignore[misc]
    """GET {"cluster", "environments": [{name, version, title, clusters, kernels}]}."""

    @authenticated
    async def get(self) -> None:
        """Say it, by what the area has now; nobody waits meanwhile for an area that is slow."""
        root = Path(os.environ.get(AREA) or software.AREA)
        found = await IOLoop.current().run_in_executor(None, described, root)
        cluster = os.environ.get("BENCHTOP_CLUSTER", "")
        self.finish(json.dumps({"cluster": cluster, "environments": found}))


def load(server: ServerApp) -> None:
    """Add it to a server."""
    path = url_path_join(server.web_app.settings["base_url"], "benchtop/environments")
    server.web_app.add_handlers(".*$", [(path, EnvironmentsHandler)])
