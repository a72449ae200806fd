"""What JupyterLab's page asks of a person's files: how full the home is, what is large, what is broken."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from benchtop_lab.home import own, reading, room, settings, trial
from benchtop_lab.home.largest import largest

LASTING = 30.0  # seconds for which an answer that takes a while is good
FULL_AGE = 20.0  # … and one on whether the home takes anything, which costs a small file


class Kept:
    """An answer that is worked out beside the server, by one thread at a time, and kept for a while."""

    def __init__(self, work: Callable[[], dict[str, Any]], lasting: float) -> None:
        self._work, self._lasting = work, lasting
        self._at, self._answer = float("-inf"), dict[str, Any]()
        self._one = asyncio.Lock()

    async def __call__(self) -> dict[str, Any]:
        """The answer."""
        async with self._one:
            if time.monotonic() - self._at > self._lasting:
                self._answer = await asyncio.to_thread(self._work)
                self._at = time.monotonic()
            return self._answer

    def forget(self) -> None:
        """Work it out anew when it is asked for next."""
        self._at = float("-inf")


def home() -> Path:
    """Of whose session this is."""
    return Path(os.environ.get("HOME") or Path.home())


def fullness() -> dict[str, Any]:
    """How full the home is; `refuses` says why it takes nothing more, or is empty."""
    found = room.usage(home())
    return {
        "used": found.used, "size": found.size, "share": found.share, "files": found.files,
        "nearly": found.nearly_full, "refuses": room.refuses(home()),
    }  # fmt: skip


def what_is_large() -> dict[str, Any]:
    """The largest folders and files, by their paths below the home."""
    found = largest(home())
    small = found.total / 1000  # helps nobody
    return {
        "complete": found.complete, "total": found.total,
        "folders": [{"path": path, "size": size} for path, size in found.folders if size > small],
        "files": [{"path": path, "size": size} for path, size in found.files if size > small],
    }  # fmt: skip


def own_settings() -> dict[str, Any]:
    """Are they used, what is left out, and which of them cannot be read."""
    without = bool(os.environ.get(own.WITHOUT))
    broken = {**settings.faults(home()), **reading.broken}
    if without:
        broken = {**trial.failing(home()), **broken}
    return {
        "without": without,
        "left_out": [own.shown(path, home()) for path in own.left_out(home())] if without else [],
        "broken": [{"path": own.shown(path, home()), "why": why} for path, why in sorted(broken.items())],
    }


class AnswerHandler(APIHandler):  # type: ignore[misc]
    """GET: one of these answers. Pages ask by themselves: it is no use of the session."""

    def initialize(self, answer: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Answer: which."""
        self.answer = answer

    @authenticated
    async def get(self) -> None:
        """Give it."""
        try:
            self.finish(json.dumps(await self.answer()))
        except OSError as error:  # the home went away
            self.set_status(503)
            self.finish(json.dumps({"message": f"Your home folder cannot be looked at: {error.strerror}."}))


def load(server: ServerApp) -> None:
    """Answer on these addresses."""
    base = server.web_app.settings["base_url"]
    answers = {
        "benchtop/home": Kept(fullness, FULL_AGE),
        "benchtop/home/largest": Kept(what_is_large, LASTING),
        "benchtop/settings": Kept(own_settings, LASTING),
    }
    paths = [
        (url_path_join(base, path), AnswerHandler, {"answer": answer}) for path, answer in answers.items()
    ]
    server.web_app.add_handlers(".*$", paths)
