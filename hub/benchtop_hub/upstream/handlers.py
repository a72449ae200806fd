"""JupyterHub's own handlers, as far as their inside has to be touched."""

import asyncio
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.pages import SpawnHandler
from jupyterhub.user import User

from benchtop_hub.errors import ForPerson
from benchtop_hub.upstream import ending


class NamedServers(BaseHandler):
    """Says what is wrong with the name of a new server. Upstream says "Invalid server_name: …".

    And a name is taken by a server that was started. Upstream makes one of each name that is looked at, or
    that a start was refused for, and counts it for ever.
    """

    def exists(self, user: User, name: str) -> bool:
        """Has this server been started?"""
        raise NotImplementedError

    def name_problem(self, name: str, named: list[str], most: int) -> str | None:
        """Why a person's new server cannot have this name, as a sentence; None when it can.

        named: their servers that have names; most: as many they may have, 0 for any number
        """
        raise NotImplementedError

    async def check_name(self, user: User, name: str) -> None:
        """Raises ForPerson."""
        await self._check_named_server_request(user, name, name)

    async def _check_named_server_request(
        self, user: User, server_name: str, display_name: str, check_limit: bool = True
    ) -> None:
        if not server_name or not self.exists(user, server_name):
            most = await self.get_current_user_named_server_limit() if check_limit else 0
            named = [name for name in user.orm_spawners if name and self.exists(user, name)]
            problem = self.name_problem(server_name, named, most)
            if problem:
                raise ForPerson(400, f"server refused user={user.name} name={server_name[:80]!r}", problem)
            for name in {*user.orm_spawners} - {"", server_name, *named}:
                await ending.delete_server(self, user, name)
        # how many there are was counted above; upstream counts those as well that were never started
        await super()._check_named_server_request(user, server_name, display_name, check_limit=False)


class SpawnForm(NamedServers, SpawnHandler):
    """Shows, when a start is refused, the form of that very server. Upstream shows that of the usual one."""

    server_name = ""

    async def _render_form(
        self, for_user: User, spawner_options_form: str, message: str = "", html_message: str = ""
    ) -> str:
        name = self.path_args[1] if len(self.path_args) > 1 else ""
        if name and self.request.method == "POST":
            spawner_options_form = await for_user.spawners[name].get_options_form()
        self.server_name = name
        page: str = await super()._render_form(for_user, spawner_options_form, message, html_message)
        return page

    async def forget_looked_at(self) -> None:
        """Forget the server of this form, if nobody has even tried to start it."""
        whose, name = (*self.path_args, "", "")[:2]
        user: Any = self.find_user(whose) if name else None
        if user is None or name not in user.orm_spawners or self.exists(user, name):
            return
        if user.spawners[name]._spawn_future is None:  # else its page says why the start failed
            await ending.delete_server(self, user, name)

    async def _wrap_spawn_single_user(self, *start: Any, **more: Any) -> None:  # noqa: ANN401 upstream's
        """Upstream's, which never answers when somebody stops the server in its first second."""
        try:
            await super()._wrap_spawn_single_user(*start, **more)
        except asyncio.CancelledError:
            raise cut_off() from None


def cut_off() -> BaseException:
    """What to raise for a start that was cancelled: its request itself goes on, or is cancelled as well."""
    task = asyncio.current_task()
    if task and task.cancelling():
        return asyncio.CancelledError()
    return ForPerson(409, "stopped while it started", "This session was cancelled while it was starting.")
