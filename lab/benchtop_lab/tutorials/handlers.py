"""What JupyterLab's list of tutorials asks: which there are, how a copy differs, and that one is opened."""

import asyncio
import json
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from benchtop_lab.tutorials import copies, notebooks

SHIPPED = Path("/opt/lab/share/benchtop/tutorials")  # seen inside images as well: session/chosen.py
FOLDER = "tutorials"  # where the file browser begins, which is the home


class Shelf:
    """The facility's tutorials, and somebody's copies of them. Its methods read files: not in the loop.

    folder: of the copies; paths that are answered begin with its name
    """

    def __init__(self, shipped: Path, folder: Path) -> None:
        self._shipped, self._folder = shipped, folder

    def _path(self, file: Path | None) -> str:
        return f"{self._folder.name}/{file.name}" if file else ""

    def listed(self) -> list[dict[str, object]]:
        """All of them, with what there is of each."""
        found = []
        for name, tutorial in notebooks.shipped(self._shipped).items():
            state = copies.look(self._folder, name, tutorial)
            unreadable = [f"~/{self._folder.name}/{file} {why}." for file, why in state.unreadable.items()]
            found.append({
                **notebooks.described(name, tutorial),
                "path": self._path(state.file), "newer": state.newer, "edited": state.edited,
                "unreadable": unreadable,
            })  # fmt: skip
        return found

    def difference(self, name: str) -> dict[str, object]:
        """How the copy of one differs from it: copies.difference. Raises KeyError where there is none."""
        tutorial = notebooks.shipped(self._shipped)[name]
        state = copies.look(self._folder, name, tutorial)
        if state.file is None:
            raise KeyError(name)
        try:
            lines = copies.difference(notebooks.read(state.file), tutorial)
        except notebooks.UnreadableError:  # it went meanwhile
            raise KeyError(name) from None
        return {"path": self._path(state.file), "lines": lines}

    def open(self, name: str, *, new: bool) -> dict[str, str]:
        """The path of the copy of one, which is made where there is none, or where a new one is wanted.

        Answers {"path", "message"}: one of them is empty. Raises KeyError.
        """
        tutorial = notebooks.shipped(self._shipped)[name]
        file = None if new else copies.look(self._folder, name, tutorial).file
        try:
            return {"path": self._path(file or copies.make(self._folder, name, tutorial)), "message": ""}
        except copies.NoCopyError as error:
            return {"path": "", "message": str(error)}


class TutorialsHandler(APIHandler):  # type: ignore[misc]
    """GET {"tutorials": Shelf.listed()}."""

    def initialize(self, shelf: Shelf) -> None:
        """The server's."""
        self.shelf = shelf

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
        new = (self.get_json_body() or {}).get("new") is True
        try:
            self.finish(json.dumps(await asyncio.to_thread(self.shelf.open, name, new=new)))
        except KeyError:
            raise HTTPError(404, "There is no such tutorial.") from None


def load(server: ServerApp) -> None:
    """Answer on these addresses."""
    shelf = Shelf(SHIPPED, Path(server.root_dir, FOLDER))
    base = url_path_join(server.web_app.settings["base_url"], "benchtop/tutorials")
    server.web_app.add_handlers(
        ".*$",
        [
            (base, TutorialsHandler, {"shelf": shelf}),
            (f"{base}/([a-z0-9-]{{1,60}})", TutorialHandler, {"shelf": shelf}),
        ],
    )
