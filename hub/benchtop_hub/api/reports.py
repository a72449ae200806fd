"""What a job may say to its hub: the port that it listens on, or why it could not start.

Replaces batchspawner's handler. A report is taken from the session's own token only, only while that very
session is being started, and only in the one form that is expected; everything else is refused and logged.
"""

import json
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from jupyterhub.apihandlers import APIHandler
from tornado.web import HTTPError

LARGEST = 8192  # bytes of a report
PORTS = range(1024, 65536)
_MORE: dict[str, type] = {"why": str, "kept": bool}  # of last words


class Reporting(Protocol):
    """A spawner that listens to its job."""

    def is_own(self, token: str) -> bool:
        """Is this the token of its session?"""

    def report_port(self, port: int) -> bool:
        """Take the port; False when it is not waited for."""

    def report_end(self, lines: str, *, why: str = "", kept: bool = True) -> bool:
        """Take the last words; False when they are not waited for.

        why: what ended it, as the end of a sentence; kept: is its log still there, in its owner's home?
        """


class ReportHandler(APIHandler):
    """The part that both reports share: whose it is, and what it says."""

    _accept_cookie_auth = False  # a page in somebody's browser is no job
    what = "report"  # for the log
    refusal = "Only a session that is being started may report."

    def spawner(self) -> Any:  # noqa: ANN401 each handler says what it needs of one
        """The spawner whose token this is. Raises 403."""
        token = self.get_auth_token() or ""
        user = self.current_user
        for spawner in getattr(user, "spawners", {}).values() if user else ():
            if token and spawner.is_own(token):
                return spawner
        return self.refuse("not-a-session")

    def refuse(self, reason: str) -> NoReturn:
        """Log and answer 403, the same for every reason."""
        name = getattr(self.current_user, "name", "-")
        self.log.warning(
            "%s refused reason=%s user=%s from=%s", self.what, reason, name, self.request.remote_ip
        )
        raise HTTPError(403, self.refusal)

    def read_report(self, key: str, *more: str) -> dict[str, Any]:
        """The report, which has this key and perhaps some of the others. Raises 400."""
        report: object = None
        if len(self.request.body) <= LARGEST:
            with suppress(ValueError):
                report = json.loads(self.request.body)
        if isinstance(report, dict) and {key} <= set(report) <= {key, *more}:
            return report
        raise HTTPError(400, f'A report looks like {{"{key}": …}}.')


class PortHandler(ReportHandler):
    """POST {"port": 1024 to 65535}: the session listens there."""

    def post(self) -> None:
        """Take the port."""
        spawner: Reporting = self.spawner()
        port = self.read_report("port")["port"]
        if type(port) is not int or port not in PORTS:  # True is an int as well
            raise HTTPError(400, "A port is a number from 1024 to 65535.")
        if not spawner.report_port(port):
            self.refuse("not-pending")
        self.set_status(204)


class LastWordsHandler(ReportHandler):
    """POST {"log": text}: the session could not start, and this is the end of its log.

    With "why" it says in a sentence what ended it, with "kept": false that its log is gone with it.
    """

    def post(self) -> None:
        """Take the text."""
        spawner: Reporting = self.spawner()
        report = self.read_report("log", *_MORE)
        log = report.pop("log")
        if not isinstance(log, str):
            raise HTTPError(400, "A log is text.")
        if not all(type(value) is _MORE[name] for name, value in report.items()):
            raise HTTPError(400, 'Beside it, "why" is text, and "kept" is true or false.')
        if not spawner.report_end(log, **report):
            self.refuse("not-pending")
        self.set_status(204)


default_handlers = [(r"/api/session/port", PortHandler), (r"/api/session/last-words", LastWordsHandler)]
