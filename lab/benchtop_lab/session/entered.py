"""The job's program in another Python than the facility's: see chosen.py."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from benchtop_lab.session.__main__ import run


def find_settings(folder: Path) -> None:
    """Have Jupyter look where our settings are, and our part of JupyterLab's page.

    Behind what is somebody's own, as in the facility's JupyterLab, where these are of its Python. By a
    variable of the environment they would go before it, and into every program of the session.
    """
    from jupyter_core import paths  # noqa: PLC0415 it may not be there, which is told as a failure of the start

    paths.ENV_CONFIG_PATH.insert(0, str(folder / "etc"))
    paths.ENV_JUPYTER_PATH.append(str(folder / "share"))


def main(settings: str) -> NoReturn:
    """Run the session."""
    sys.argv[0] = "benchtop_lab.session"
    try:
        find_settings(Path(settings))
    except ImportError as missing:
        print(f"{sys.executable}: {missing}", file=sys.stderr, flush=True)
        os._exit(1)
    run()
