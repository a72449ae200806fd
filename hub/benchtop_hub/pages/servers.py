"""A person's servers: the usual one, and others that have names; how they are named, shown and ended."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.pages import HomeHandler, SpawnPendingHandler
from jupyterhub.scopes import needs_scope, parse_scopes
from jupyterhub.slugs import is_valid_safe_slug
from jupyterhub.spawner import Spawner
from jupyterhub.user import User
from jupyterhub.utils import maybe_future, url_path_join, utcnow
from tornado import web
from tornado.httputil import url_concat

from benchtop_hub.access import administrators
from benchtop_hub.errors import ForPerson
from benchtop_hub.sessions.idle import CULLER
from benchtop_hub.upstream.ending import delete_server, stop_server
from benchtop_hub.upstream.handlers import NamedServers, SpawnForm, cut_off
from benchtop_hub.wording import ago, ended, lasting

LONGEST = 30  # characters of a name, as JupyterHub has it
STARTED = {"begun", "asked"}  # what only a session leaves in the state of its server
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
            f"“{name[: LONGEST + 10]}” is not a valid name. Start with a lower-case letter; use a to z, "
            f"0 to 9 and single hyphens, {LONGEST} characters at most: for example gpu-test."
        )
    if name in TAKEN:
        return f"“{name}” is reserved. Choose another name."
    if most and len(named) >= most:
        return f"You already have the maximum of {most}: {', '.join(sorted(named))}. Delete one first."
    return None


def state(spawner: Spawner | None) -> str:
    """What a session does, in a word."""
    if spawner is None or not spawner.active:
        return "stopped"
    return {"spawn": "starting", "stop": "stopping"}.get(spawner.pending or "", "running")


def exists(user: User, name: str) -> bool:
    """Does the person have this server? Once a session of it was started, or while one starts.

    To upstream there is one as soon as somebody has looked at its form, or has asked for what was refused.
    """
    spawner: Any = user.spawners.get(name)
    if not name or (spawner and spawner.active):
        return True
    known = user.orm_spawners.get(name)
    return bool(known and STARTED & (known.state or {}).keys())


class Naming(NamedServers):
    """Servers that have names."""

    def exists(self, user: User, name: str) -> bool:
        """By its state."""
        return exists(user, name)

    def name_problem(self, name: str, named: list[str], most: int) -> str | None:
        """By wrong_with."""
        return wrong_with(name, named, most)


class Home(Naming, HomeHandler):
    """A person's servers on one page. Upstream's needs JavaScript for all that it does."""

    problem: tuple[str, str] | None = None  # the name that was refused, and why

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: each server with its state."""
        known: dict[str, Any] = super().template_namespace
        if self.current_user is not None:
            known |= {"servers": shown(self.current_user), "problem": self.problem, "longest": LONGEST}
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
        if do not in {"stop", "delete"} or name not in user.orm_spawners or not exists(user, name):
            raise ForPerson(404, f"no server {name[:80]!r} to {do[:20]!r}", "You have no such session.")
        home = url_path_join(self.hub.base_url, "home")
        if do == "stop":
            await stop_server(self, user, name)
            home = url_concat(home, {"stopped": name})
        else:
            await self._delete(user, name)
        self.redirect(home, status=303)

    async def _new(self, user: User, name: str) -> None:
        try:
            await self.check_name(user, name)
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
            raise ForPerson(400, f"cannot delete {name[:80]!r}", "Stop this session before you delete it.")
        await delete_server(self, user, name)


def _with_name(user: User, page: str, name: str) -> str:
    """The address of a hub's page that is about one server."""
    settings: Any = user.settings
    path: str = url_path_join(settings["hub"].base_url, page, user.escaped_name)
    return f"{path}/{name}" if name else path


def shown(user: User) -> list[Mapping[str, Any]]:
    """The usual server first, the others by name."""
    rows: list[Mapping[str, Any]] = []
    known: dict[str, orm.Spawner] = user.orm_spawners
    for name in sorted(name for name in known if exists(user, name)):
        spawner: Any = user.spawners.get(name)
        active = bool(spawner and spawner.active)
        used = known[name].last_activity
        rows.append(
            {
                "name": name,
                "title": name or "My Server",
                "address": user.server_url(name),
                "progress": _with_name(user, "spawn-pending", name),
                "state": state(spawner),
                "active": active,
                "ready": bool(spawner and spawner.ready),
                "node": spawner.place_name if active else "",
                "job": spawner.job_number if active else "",
                "used": ago(utcnow(with_tz=False) - used) if used else "",
            }
        )
    return rows


class Spawn(Naming, SpawnForm):
    """The form of a server. Nothing is left of one that was looked at, or whose start was refused."""

    async def get(self, *whose: str) -> None:
        """Show it."""
        form: Any = super().get
        try:
            await maybe_future(form(*whose))  # None where there is nobody, who is sent to log in
        finally:
            await self.forget_looked_at()

    async def post(self, *whose: str) -> None:
        """Start it. Upstream fails at what is not UTF-8: it becomes a sign that no field takes."""
        for values in self.request.body_arguments.values():
            values[:] = [value.decode(errors="replace").encode() for value in values]
        start: Any = super().post
        try:
            await maybe_future(start(*whose))
        finally:
            await self.forget_looked_at()

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Beside what every page knows: which server it is."""
        return {**super().template_namespace, "server_name": self.server_name}


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
            raise cut_off() from None

    @needs_scope("delete:servers")  # type: ignore[untyped-decorator]  # JupyterHub's
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """End a start as Stop does. Upstream waits a second, hopes, and may answer 500."""
        user: Any = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        if spawner and spawner.pending in {"spawn", "check"}:
            await stop_server(self, user, server_name)
        elif spawner and spawner.ready and getattr(self.current_user, "name", "") == CULLER:
            unused = utcnow(with_tz=False) - spawner.orm_spawner.last_activity
            spawner.ended = ended(f"it was idle for {lasting(unused)}")
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
