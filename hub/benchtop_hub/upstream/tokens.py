"""A word that JupyterHub asks for and does not always say."""

from jupyterhub.handlers import BaseHandler


def declare() -> None:
    """Let every handler know that it has no token until it has one.

    Upstream sets it for requests that show a token alone, and asks for it whenever a login is refused: each
    of them would be an AttributeError in the log.
    """
    setattr(BaseHandler, "_token_authenticated", False)  # noqa: B010 upstream does not declare it
