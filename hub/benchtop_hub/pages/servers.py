"""A person's servers: the usual one, and others that have names; how they are named, shown and ended."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.pages import HomeHandler, SpawnHandler, SpawnPendingHandler
from jupyterhub.scopes import needs_scope, parse_scopes
from jupyterhub.slugs import is_valid_safe_slug
from jupyterhub.spawner import Spawner
from jupyterhub.user import User
from jupyterhub.utils import maybe_future, url_path_join, utcnow
from tornado import web
from tornado.httputil import url_concat

from benchtop_hub.access import administrators
from benchtop_hub.access.identity import ForPerson
from benchtop_hub.pages import farewell
from benchtop_hub.sessions import idle as activity

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
    """End a server at whatever stage it is. What takes longer than some seconds goes on by itself.

    Raises ForPerson when the server cannot be ended now.
    """
    spawner: Any = user.spawners[name]
    until = time.monotonic() + PATIENCE
    start = spawner._spawn_future
    if spawner.pending == "spawn" and start and not spawner._stop_pending:
        # From now on: a start that is cut off has left an address, by which it would count as ready.
        spawner._stop_pending = True
        while not start.done() and time.monotonic() < until:
            if spawner._spawn_pending:  # else it has failed in this moment, and clears up after itself
                start.cancel()
            await asyncio.wait({start}, timeout=0.5)
        await asyncio.sleep(0)  # for what upstream does when a start is over
        if start.done() or spawner._spawn_pending:
            spawner._stop_pending = False
        if not spawner.pending and spawner.active:
            await handler.stop_single_user(user, name)  # which says, before it waits, that it stops
            return
    while spawner.pending not in {None, "stop"} and time.monotonic() < until:
        await asyncio.sleep(0.05)  # somebody else ends it, or a hub that was restarted looks at it
    if not spawner.pending and spawner.active:
        await handler.stop_single_user(user, name)
    elif spawner.pending not in {None, "stop"}:
        sentence = "The hub is busy with this server at the moment. Try again in some seconds."
        raise ForPerson(503, f"{user.name}/{name} does not stop: pending {spawner.pending}", sentence)


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
            known["told"] = self._stopped()
        return known

    def _stopped(self) -> str:
        """What became of the server that somebody has just stopped, as a sentence."""
        user: Any = self.current_user
        name = self.get_query_argument("stopped", None)
        if name is None or name not in user.orm_spawners:
            return ""
        spawner: Any = user.spawners.get(name)
        if spawner and spawner.active:
            return f"{name or 'My Server'} is being stopped." if spawner.pending == "stop" else ""
        return f"{name or 'My Server'} was stopped."

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
        home = url_path_join(self.hub.base_url, "home")
        if do == "stop":
            await end(self, user, name)
            home = url_concat(home, {"stopped": name})
        else:
            await self._delete(user, name)
        self.redirect(home, status=303)

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
    """The form of a server. Upstream shows, when it refuses one with a name, the form of the usual one."""

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

    async def post(self, *whose: str) -> None:
        """Start it. Upstream fails at what is not UTF-8: it becomes a sign that no field takes."""
        for values in self.request.body_arguments.values():
            values[:] = [value.decode(errors="replace").encode() for value in values]
        start: Any = super().post
        await start(*whose)

    async def _wrap_spawn_single_user(self, *start: Any, **more: Any) -> None:  # noqa: ANN401 upstream's
        """Upstream's, which never answers when somebody stops the server in its first second."""
        try:
            await super()._wrap_spawn_single_user(*start, **more)
        except asyncio.CancelledError:
            raise _cut_off() from None

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: which server it is."""
        return {**super().template_namespace, "server_name": self._named}


def _cut_off() -> BaseException:
    """What to raise for a start that was cancelled: its request itself goes on, or is cancelled as well."""
    task = asyncio.current_task()
    if task and task.cancelling():
        return asyncio.CancelledError()
    return ForPerson(409, "stopped while it started", "This server was stopped while it was starting.")


class SpawnPending(SpawnPendingHandler):
    """The page of a start. Upstream's shows nothing without JavaScript, and stops the usual server only."""

    async def prepare(self) -> None:
        """Let an administrator look on, who has no power over anybody's server."""
        await super().prepare()
        if self.current_user and administrators.looks_on(self):
            self.parsed_scopes = parse_scopes({*self.expanded_scopes, "servers"})

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: who looks at it, and since when the start lasts."""
        return {**super().template_namespace, "reader": self.current_user, "waited": waited}


def waited(spawner: Spawner) -> int:
    """Seconds since its start began."""
    began = spawner.orm_spawner.started
    return max(0, int((utcnow(with_tz=False) - began).total_seconds())) if began else 0


class Server(Naming, UserServerAPIHandler):
    """The same by the API: names, and an end at whatever stage a server is."""

    async def post(self, user_name: str, server_name: str = "") -> None:
        """Start it. Upstream never answers when somebody stops it meanwhile."""
        try:
            await super().post(user_name, server_name)
        except asyncio.CancelledError:
            raise _cut_off() from None

    @needs_scope("delete:servers")  # type: ignore[untyped-decorator]  # JupyterHub's
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """End a start as Stop does. Upstream waits a second, hopes, and may answer 500."""
        user: Any = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        if spawner and spawner.pending in {"spawn", "check"}:
            await end(self, user, server_name)
        elif spawner and spawner.ready and getattr(self.current_user, "name", "") == activity.CULLER:
            unused = utcnow(with_tz=False) - spawner.orm_spawner.last_activity
            spawner.ended = farewell.because(f"nobody used it for {lasting(unused)}")
        await super().delete(user_name, server_name)


default_handlers: list[tuple[str, type[BaseHandler]]] = [
    (r"/home", Home),
    (r"/spawn", Spawn),
    (r"/spawn/([^/]+)", Spawn),
    (r"/spawn/([^/]+)/([^/]+)", Spawn),
    (r"/spawn-pending/([^/]+)", SpawnPending),
    (r"/spawn-pending/([^/]+)/([^/]+)", SpawnPending),
    (r"/api/users/([^/]+)/server", Server),
    (r"/api/users/([^/]+)/servers/([^/]*)", Server),
]
