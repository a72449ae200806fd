"""A person's tokens. Upstream lists those of servers that ended long ago as well, as "Never" used."""

from typing import Any, cast

from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.pages import TokenPageHandler
from jupyterhub.user import User
from jupyterhub.utils import url_path_join
from tornado import web

from benchtop_hub.upstream.tokens import path_of, path_of_session


class Tokens(TokenPageHandler):
    """The page, with the tokens that are of any use."""

    @web.authenticated
    async def get(self) -> None:
        """Show it. What belonged to a session that has ended opens nothing any more: it is forgotten."""
        user: Any = self.current_user
        gone = [token for token in user.api_tokens if is_of_one_that_ended(user, token)]
        for token in gone:
            self.db.delete(token)
        if gone:
            self.log.info("tokens of ended sessions forgotten user=%s number=%d", user.name, len(gone))
            self.db.commit()
        show: Any = super().get
        await show()

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: where a program finds this very hub."""
        known: dict[str, Any] = super().template_namespace
        public: Any = self.settings.get("public_url")
        host = f"{public.scheme}://{public.netloc}" if public else ""
        path = url_path_join("/_cell", str(known.get("cell", "")), self.hub.base_url, "api/")
        return {**known, "api_address": f"{host}{path}"}


def is_of_one_that_ended(user: User, token: Any) -> bool:  # noqa: ANN401 upstream's has no types
    """Is this the token of a session, or one that a session has of somebody's browser, and has it ended?"""
    path = path_of_session(token)
    client = str(token.client_id or "")
    running = [name for name in cast(Any, user.orm_spawners) if lives(user, name)]
    if path:
        return path not in {path_of(user, name) for name in running}
    if not client.startswith("jupyterhub-user-"):
        return False
    clients = [cast(Any, user.orm_spawners)[name].oauth_client for name in running]
    return client not in {known.identifier for known in clients if known}


def lives(user: User, name: str) -> bool:
    """May it have a session? By the database: a hub that has just begun knows few of them yet."""
    kept = cast(Any, user.orm_spawners)[name]
    spawner: Any = user.spawners.get(name)
    return bool(kept.server or (kept.state or {}).get("job_id") or (spawner and spawner.active))


default_handlers: list[tuple[str, type[BaseHandler]]] = [(r"/token", Tokens)]
