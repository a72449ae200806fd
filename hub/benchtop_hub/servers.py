"""A person's servers: the usual one, and others that have names; how they are named, shown and ended."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.pages import HomeHandler, SpawnHandler
from jupyterhub.slugs import is_valid_safe_slug
from jupyterhub.spawner import Spawner
from jupyterhub.user import User
from jupyterhub.utils import maybe_future, url_path_join, utcnow
from tornado import web

from benchtop_hub.identity import ForPerson

LONGEST = 30  # characters of a name, as JupyterHub has it
PATIENCE = 5.0  # seconds for a start to notice that it is over
# What the usual server has at /user/NAME/: a server of that name would stand before it.
# fmt: off
TAKEN = frozenset({
    "api", "consoles", "custom", "dask", "doc", "edit", "files", "hub", "kernelspecs", "lab", "login",
    "logout", "lsp", "metrics", "nbconvert", "nbextensions", "notebooks", "proxy", "services", "static",
    "terminals", "tree", "user", "view", "voila",
})
# fmt: on


def wrong_with(name: str, named: Sequence[str], most: int) -> str | None:
    """Why this person's new server cannot have this name, as a sentence; None when it can.

    named: their servers that have names; most: as many they may have, 0 for any number
    """
    if not is_valid_safe_slug(name, LONGEST):
        return (
            f"“{name[: LONGEST + 10]}” is no name for a server. Begin with a letter, and use a to z, 0 to 9 "
            f"and single dashes, {LONGEST} characters at most: for example gpu-test."
        )
    if name in TAKEN:
        return f"“{name}” is an address that your usual server has already. Choose another name."
    if most and len(named) >= most:
        return f"You have {', '.join(sorted(named))}: {most} are the most. Delete one that you do not need."
    return None


async def end(handler: BaseHandler, user: User, name: str) -> None:
    """End a server at whatever stage it is. What takes longer than some seconds goes on by itself."""
    spawner: Any = user.spawners[name]
    if spawner.pending == "spawn" and (start := spawner._spawn_future):
        start.cancel()
        await asyncio.wait({start}, timeout=PATIENCE)
    if not spawner.pending and spawner.active:
        await handler.stop_single_user(user, name)


def lasting(time: timedelta) -> str:
    """As people say it: "3 min", "2 h 5 min", "4 d 1 h"."""
    minutes = max(0, int(time.total_seconds())) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def state(spawner: Spawner | None) -> str:
    """What a server does, in a word or two."""
    if spawner is None or not spawner.active:
        return "does not run"
    return {"spawn": "is starting", "stop": "is stopping"}.get(spawner.pending or "", "runs")


class Naming(BaseHandler):
    """Says what is wrong with the name of a new server. Upstream says "Invalid server_name: …"."""

    async def _check_named_server_request(
        self, user: User, server_name: str, display_name: str, check_limit: bool = True
    ) -> None:
        if not server_name or server_name not in user.orm_spawners:
            most = await self.get_current_user_named_server_limit() if check_limit else 0
            problem = wrong_with(server_name, [name for name in user.orm_spawners if name], most)
            if problem:
                raise ForPerson(400, f"server refused user={user.name} name={server_name[:80]!r}", problem)
        await super()._check_named_server_request(user, server_name, display_name, check_limit)


class Home(Naming, HomeHandler):
    """A person's servers on one page. Upstream's needs JavaScript for all that it does."""

    problem: tuple[str, str] | None = None  # the name that was refused, and why

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: each server with its state."""
        known: dict[str, Any] = super().template_namespace
        if self.current_user is not None:
            known |= {"servers": _shown(self.current_user), "problem": self.problem, "longest": LONGEST}
        return known

    @web.authenticated
    async def post(self) -> None:
        """Do what a button of the page says."""
        user: Any = self.current_user
        name = self.get_body_argument("server", "")
        do = self.get_body_argument("do", "")
        if do == "new":
            await self._new(user, name)
            return
        if do not in {"stop", "delete"} or name not in user.orm_spawners:
            raise ForPerson(404, f"no server {name[:80]!r} to {do[:20]!r}", "You have no such server.")
        if do == "stop":
            await end(self, user, name)
        else:
            await self._delete(user, name)
        self.redirect(url_path_join(self.hub.base_url, "home"), status=303)

    async def _new(self, user: User, name: str) -> None:
        try:
            await self._check_named_server_request(user, name, name)
        except ForPerson as refused:
            self.log.warning("%s", refused.get_message())
            self.problem = name[: LONGEST + 10], refused.jupyterhub_message
            self.set_status(400)
            await maybe_future(self.get())
            return
        self.redirect(url_path_join(self.hub.base_url, "spawn", user.escaped_name, name), status=303)

    async def _delete(self, user: User, name: str) -> None:
        """Forget a server that does not run; its owner's files are not its own."""
        spawner: Any = user.spawners[name]
        if not name or spawner.active:
            raise ForPerson(400, f"cannot delete {name[:80]!r}", "Stop this server before you delete it.")
        await user._delete_spawner(spawner)
        self.db.delete(spawner.orm_spawner)
        user.spawners.pop(name, None)
        self.db.commit()


def _shown(user: User) -> list[Mapping[str, Any]]:
    """The usual server first, the others by name."""
    rows: list[Mapping[str, Any]] = []
    known: dict[str, orm.Spawner] = user.orm_spawners
    for name in sorted(known):
        spawner: Any = user.spawners.get(name)
        active = bool(spawner and spawner.active)
        used = known[name].last_activity
        rows.append(
            {
                "name": name,
                "address": user.server_url(name),
                "state": state(spawner),
                "active": active,
                "ready": bool(spawner and spawner.ready),
                "node": spawner.node_name if active else "",
                "job": spawner.job_id if active else "",
                "used": lasting(utcnow(with_tz=False) - used) if used else "",
            }
        )
    return rows


class Spawn(Naming, SpawnHandler):
    """The form of a server with a name. Upstream shows, when it refuses, the form of the usual one."""

    async def _render_form(
        self, for_user: User, spawner_options_form: str, message: str = "", html_message: str = ""
    ) -> str:
        name = self.path_args[1] if len(self.path_args) > 1 else ""
        if name and self.request.method == "POST":
            spawner_options_form = await for_user.spawners[name].get_options_form()
        self._named = name
        page: str = await super()._render_form(for_user, spawner_options_form, message, html_message)
        return page

    _named = ""

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: which server it is."""
        return {**super().template_namespace, "server_name": self._named}


class Server(Naming, UserServerAPIHandler):
    """The same names by the API."""


default_handlers: list[tuple[str, type[BaseHandler]]] = [
    (r"/home", Home),
    (r"/spawn/([^/]+)/([^/]+)", Spawn),
    (r"/api/users/([^/]+)/servers/([^/]*)", Server),
]
