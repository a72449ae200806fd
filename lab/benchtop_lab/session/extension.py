"""Jupyter's server tells pages when the session ends, and counts as use what somebody does.

JupyterHub's culler ends a session that nobody uses. What it goes by is what the session itself reports.
Upstream counts every question of an open page as use, so that a forgotten tab holds a GPU for days, and does
not count a cell that computes without a word, so that it is ended in the middle. Here use is what somebody
does: a cell that runs, a terminal that moves, something saved, a click or a key (which the page reports).
"""

import json
import os
import time
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from benchtop_lab import dask
from benchtop_lab.home import handlers
from benchtop_lab.jobs import handlers as jobs
from benchtop_lab.session import credentials, exports, offered, status, workspaces
from benchtop_lab.session.notices import notices
from benchtop_lab.tutorials import handlers as tutorials

ASKING = ("GET", "HEAD", "OPTIONS")  # what pages do by themselves


class NoticesHandler(APIHandler):  # type: ignore[misc]
    """GET: when this session ends. POST: the same, and somebody is here."""

    @authenticated
    def get(self) -> None:
        """Say it."""
        used = self.serverapp.web_app.last_activity()
        self.finish(json.dumps(notices(os.environ, now=time.time(), used=used)))

    @authenticated
    def post(self) -> None:
        """Somebody is here: that is use, as is all that is not just a question."""
        self.update_api_activity()
        self.get()


def count_what_somebody_does(server: ServerApp) -> None:
    """Make it what counts as use: to the culler, and to whoever else asks the server."""
    by_request, by_server = APIHandler.update_api_activity, server.web_app.last_activity

    # an open JupyterLab saves its layout every ten seconds, whether it has changed or not
    layout = url_path_join(server.web_app.settings["base_url"], "lab/api/")

    def update_api_activity(handler: APIHandler) -> None:
        if handler.request.method not in ASKING and not handler.request.path.startswith(layout):
            by_request(handler)

    def last_activity() -> datetime:
        kernels: Any = server.kernel_manager
        states = [kernels.get_kernel(one).execution_state for one in kernels.list_kernel_ids()]
        used: datetime = datetime.now(UTC) if "busy" in states else by_server()
        return used

    APIHandler.update_api_activity = update_api_activity
    server.web_app.last_activity = last_activity


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    count_what_somebody_does(server)
    path = url_path_join(server.web_app.settings["base_url"], "benchtop/notices")
    server.web_app.add_handlers(".*$", [(path, NoticesHandler)])
    handlers.load(server)
    status.load(server)
    offered.load(server)
    jobs.load(server)
    tutorials.load(server)
    dask.load(server)
    exports.explain_what_is_not_offered()
    workspaces.open_own(os.environ)
    server.io_loop.call_later(credentials.AFTER, credentials.start, os.environ)
