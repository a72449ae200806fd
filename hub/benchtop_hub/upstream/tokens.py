"""Tokens, where JupyterHub leaves one behind, or asks for a word that it does not always set."""

import re
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.user import User
from jupyterhub.utils import url_escape_path, url_path_join

_OF_A_SESSION = re.compile(r"Server at (?P<path>/\S+)")  # what upstream calls the token of a session


def path_of_session(token: Any) -> str:  # noqa: ANN401 upstream's has no types
    """Where the session is whose token this is; "" for any other token."""
    found = _OF_A_SESSION.fullmatch(token.note or "")
    return found["path"] if found else ""


def path_of(user: User, name: str) -> str:
    """The same of a person's server."""
    return str(url_path_join(user.base_url, url_escape_path(name), "/"))


def declare() -> None:
    """Let every handler know that it has no token until it has one.

    Upstream sets it for requests that show a token alone, and asks for it whenever a login is refused: each
    of them would be an AttributeError in the log.
    """
    setattr(BaseHandler, "_token_authenticated", False)  # noqa: B010 upstream does not declare it


def take_back(user: User, name: str) -> None:
    """Revoke the token of a session that has ended, whatever is still in its environment.

    Upstream revokes the one that it remembers, and a hub that was restarted meanwhile remembers none.
    """
    known: Any = user
    for token in [token for token in known.api_tokens if path_of_session(token) == path_of(user, name)]:
        known.db.delete(token)
    known.db.commit()
