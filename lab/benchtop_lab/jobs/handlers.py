"""What JupyterLab's Jobs panel asks: all that it shows, and that a job is cancelled."""

import asyncio
import json

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from benchtop_lab.home.handlers import AnswerHandler, Kept
from benchtop_lab.jobs.board import Board

LASTING = 2.0  # seconds for which an answer is good: several pages of a session ask once together
NUMBER = r"[0-9]{1,10}(?:[_.][0-9]{1,10})?"  # of a job, of a task, or of all of an array


class JobHandler(APIHandler):  # type: ignore[misc]
    """DELETE: cancel it. Answers {"message"}: "", or why it was not."""

    def initialize(self, board: Board, look: Kept) -> None:
        """The server's."""
        self.board, self.look = board, look

    @authenticated
    async def delete(self, cluster: str, number: str) -> None:
        """Do it, and say what went wrong: that is an answer as well."""
        await self.look()  # which of them are sessions?
        message = await asyncio.to_thread(self.board.cancel, cluster, number)
        self.look.forget()
        self.finish(json.dumps({"message": message}))


def load(server: ServerApp) -> None:
    """Answer on these addresses."""
    board = Board(str(server.root_dir))
    look = Kept(board.look, LASTING)
    base = url_path_join(server.web_app.settings["base_url"], "benchtop/jobs")
    server.web_app.add_handlers(
        ".*$",
        [
            (base, AnswerHandler, {"answer": look}),
            (f"{base}/(slurm|condor)/({NUMBER})", JobHandler, {"board": board, "look": look}),
        ],
    )
