"""What JupyterLab's page shows of its session all the time, and what it asks now and then."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError, authenticated

from benchtop_lab.session.elsewhere import Board
from benchtop_lab.session.environment import CHOSEN
from benchtop_lab.session.names import in_words, own_name
from benchtop_lab.session.watching import Watched

MINUTE = 60_000  # ms
WATCHED, BOARD = "benchtop_watched", "benchtop_board"  # of the server's settings


class StatusHandler(APIHandler):  # type: ignore[misc]
    """GET: where the session runs, until when, and what memory it takes."""

    @authenticated
    def get(self) -> None:
        """Say it."""
        known: Watched = self.settings[WATCHED]
        ends = os.environ.get("BENCHTOP_ENDS")
        told = {
            "now": time.time(),
            "ends": int(ends) if ends else None,
            "memory": known.memory(),
            "place": os.environ.get("BENCHTOP_PLACE", ""),
            "node": socket.gethostname(),
            "environment": os.environ.get(CHOSEN, ""),
            "cluster": os.environ.get("BENCHTOP_CLUSTER", ""),
            "support": os.environ.get("BENCHTOP_SUPPORT", ""),
        }
        self.finish(json.dumps(told))


class DeathHandler(APIHandler):  # type: ignore[misc]
    """GET {"reason", "memory", "at"}: why this kernel died last; 404 when it did not."""

    @authenticated
    def get(self, kernel: str) -> None:
        """Say it."""
        known: Watched = self.settings[WATCHED]
        death = known.deaths.of(kernel)
        if death is None:
            raise HTTPError(404)
        self.finish(json.dumps(death))


class OpenHandler(APIHandler):  # type: ignore[misc]
    """POST {"page", "paths"}: a page shows these. Answers {"elsewhere": {path: [other sessions]}}."""

    @authenticated
    def post(self) -> None:
        """Take it, and say which of them are open in another session."""
        said = self.get_json_body() or {}
        page, paths = said.get("page"), said.get("paths")
        if not isinstance(page, str) or not isinstance(paths, list) or not all(map(_is_path, paths)):
            raise HTTPError(400, "Send the page and the paths of its documents.")
        board: Board = self.settings[BOARD]
        board.shown(page[:64], paths)
        board.write(with_kernels(self.serverapp))
        found = {path: [in_words(name) for name in names] for path, names in board.others(paths).items()}
        self.finish(json.dumps({"elsewhere": found}))


def _is_path(value: object) -> bool:
    return isinstance(value, str) and len(value) < 4096


def with_kernels(server: ServerApp) -> list[str]:
    """The documents whose kernels run here, open or not."""
    manager: Any = server.session_manager
    rows = manager.cursor.execute("SELECT path FROM session WHERE type = 'notebook'").fetchall()
    return [row["path"] for row in rows]


def load(server: ServerApp) -> None:
    """Add all of it to a server."""
    settings = server.web_app.settings
    settings[WATCHED] = Watched(server, os.environ)
    settings[WATCHED].start()
    board = settings[BOARD] = Board(Path(os.path.expanduser("~")), own_name(os.environ))  # noqa: PTH111 no error without
    PeriodicCallback(lambda: board.write(with_kernels(server)), MINUTE).start()
    base = url_path_join(settings["base_url"], "benchtop")
    server.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "status"), StatusHandler),
            (url_path_join(base, "open"), OpenHandler),
            (url_path_join(base, "kernels/([0-9a-f-]{36})"), DeathHandler),
        ],
    )
