"""What a person is told when something is refused, and under which id everybody knows the request."""

import re
import secrets

from jupyterhub.handlers import BaseHandler
from tornado.web import HTTPError

REQUEST = re.compile(r"[A-Za-z0-9@_.-]{1,64}")


class ForPerson(HTTPError):  # noqa: N818  # what it is, not that it is an error
    """An error whose sentence is shown to the person; the log gets the other one."""

    def __init__(self, status: int, log: str, sentence: str) -> None:
        super().__init__(status, "%s", log)
        self.jupyterhub_message = sentence


def request_id(handler: BaseHandler) -> str:
    """The id under which Apache, the log and the person know this request."""
    found: str | None = getattr(handler, "_benchtop_request", None)
    if found is None:
        given = handler.request.headers.get("X-Request-Id", "")
        found = given if REQUEST.fullmatch(given) else secrets.token_hex(4)
        setattr(handler, "_benchtop_request", found)  # noqa: B010 the attribute is ours, not the class's
    return found
