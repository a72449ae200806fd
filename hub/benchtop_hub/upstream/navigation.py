"""Does a person go to the page at hand, or does a program fetch it?

Upstream's templates are given functions of the user alone (template_vars): they know nothing of the request.
"""

from contextvars import ContextVar

from jupyterhub.handlers import BaseHandler

_goes: ContextVar[bool] = ContextVar("goes", default=False)


def note() -> None:
    """Have each request say so. To be called before any handler is made."""
    upstream = BaseHandler.prepare

    async def prepare(handler: BaseHandler) -> None:
        headers = handler.request.headers
        # a page that a browser fetches in advance has Sec-Purpose, and may never be shown
        _goes.set(headers.get("Sec-Fetch-Mode") == "navigate" and "Sec-Purpose" not in headers)
        await upstream(handler)

    setattr(BaseHandler, "prepare", prepare)  # noqa: B010 mypy lets nobody assign a method


def goes() -> bool:
    """Does a browser go to the page of this request, by its own word? False outside of any."""
    return _goes.get()
