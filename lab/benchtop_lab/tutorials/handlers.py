"""What JupyterLab's list of tutorials asks: which there are, how a copy differs, and that one is opened."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

if TYPE_CHECKING:
    from benchtop_lab.tutorials.shelf import Shelf

SHIPPED = Path("/opt/lab/share/benchtop/tutorials")  # seen inside images as well: session/chosen.py
FOLDER = "tutorials"  # where the file browser begins, which is the home


class TutorialsHandler(APIHandler):  # type: ignore[misc]
    """GET {"tutorials": Shelf.listed()}."""

    def initialize(self, folder: Path) -> None:
        """Folder: of the copies."""
        self._folder = folder

    @property
    def shelf(self) -> "Shelf":
        """Loaded when somebody asks for it first: the server's start does not wait for that."""
        from benchtop_lab.tutorials.shelf import Shelf  # noqa: PLC0415

        return Shelf(SHIPPED, self._folder)

    @authenticated
    async def get(self) -> None:
        """Say it."""
        self.finish(json.dumps({"tutorials": await asyncio.to_thread(self.shelf.listed)}))


class TutorialHandler(TutorialsHandler):
    """GET: Shelf.difference. POST {"new": bool}: Shelf.open."""

    @authenticated
    async def get(self, name: str) -> None:
        """Say it."""
        try:
            self.finish(json.dumps(await asyncio.to_thread(self.shelf.difference, name)))
        except KeyError:
            raise HTTPError(404, "There is no copy of such a tutorial.") from None

    @authenticated
    async def post(self, name: str) -> None:
        """Do it; that it cannot be done is an answer as well."""
        said = self.get_json_body()
        new = isinstance(said, dict) and said.get("new") is True
        try:
            self.finish(json.dumps(await asyncio.to_thread(self.shelf.open, name, new=new)))
        except KeyError:
            raise HTTPError(404, "There is no such tutorial.") from None


def load(server: ServerApp) -> None:
    """Answer on these addresses."""
    given = {"folder": Path(server.root_dir, FOLDER)}
    base = url_path_join(server.web_app.settings["base_url"], "benchtop/tutorials")
    server.web_app.add_handlers(
        ".*$",
        [
            (base, TutorialsHandler, given),
            (f"{base}/([a-z0-9-]{{1,60}})", TutorialHandler, given),
        ],
    )
