"""A database that is away is told as that, and not as a mistake of the hub; back again, it is used again."""

import asyncio
from contextlib import suppress
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, SessionTransaction
from tornado.web import HTTPError

SENTENCE = "The hub cannot reach its database. Running sessions are not affected. Try again in a minute."


class Away(OperationalError, HTTPError):  # noqa: N818  # what it is, not that it is an error
    """As the first, it makes upstream roll back; as the second, it is answered with 503, and not with 500."""

    def __init__(self, error: OperationalError) -> None:
        OperationalError.__init__(self, None, None, error.orig or error)
        HTTPError.__init__(self, 503, "the database does not answer: %s", str(error.orig))
        self.jupyterhub_message = SENTENCE


def tell_when_away() -> None:
    """Let every engine of this process raise Away. To be called before any is made."""
    begun: WeakSet[Session] = WeakSet()

    @event.listens_for(Session, "after_transaction_create")
    def note(session: Session, _: SessionTransaction) -> None:
        begun.add(session)

    def give_up() -> None:
        for session in list(begun):
            session.rollback()

    @event.listens_for(Engine, "handle_error")
    def translate(context: ExceptionContext) -> Away | None:
        error = context.sqlalchemy_exception
        if not isinstance(error, OperationalError) or context.is_pre_ping:
            return None
        # What fails in a page upstream rolls back, what fails in a callback (a look at a session, at leavers)
        # it does not: the next page would then meet the lost transaction and be answered with 500.
        with suppress(RuntimeError):  # no loop runs yet: the hub is starting, and ends by this error
            asyncio.get_running_loop().call_soon(give_up)
        return Away(error)
