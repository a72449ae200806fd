"""All sessions of this cell, for an administrator: a part of the front door's page /sessions/CLUSTER.

A hub knows its own sessions and has no power over those of another. So it is the front door that puts the
page together, and each hub believes nothing but the front door's signature: that an administrator asks, at
this moment. No cookie and no token of one hub is of any use at another.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from jupyterhub import orm
from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import utcnow
from sqlalchemy import func
from tornado import web

from benchtop_hub import wording
from benchtop_hub.access.administrators import ForAdministrators
from benchtop_hub.errors import request_id
from benchtop_hub.pages import servers
from benchtop_hub.upstream.ending import stop_server

LONGEST_FILTER = 64  # characters


@dataclass(frozen=True)
class Session:
    """One line of the page."""

    person: str
    server: str  # empty: their usual one
    cell: str
    job: str
    number: str  # of the job, as people know it
    node: str
    environment: str
    resources: str
    state: str
    age: timedelta
    unused: timedelta

    def has(self, text: str) -> bool:
        """Does anything of it contain this text, in whatever case?"""
        shown = (
            self.person, self.server, self.cell, self.number, self.node, self.environment, self.resources,
            self.state,
        )  # fmt: skip
        return any(text.lower() in one.lower() for one in shown)


ORDERS: Mapping[str, Callable[[Session], Any]] = {
    "person": lambda one: (one.person, one.server),
    "environment": lambda one: (one.environment, one.person, one.server),
    "node": lambda one: (one.node, one.person, one.server),
    "age": lambda one: -one.age,
    "unused": lambda one: -one.unused,
}


def resources(granted: Mapping[str, object]) -> str:
    """What a job was asked for: "debug, default, normal, 1 pascal GPU, 30 min"."""
    kind, count = granted.get("gpu_kind"), granted.get("gpu_count")
    units = {"runtime": "{} min", "memory": "{} MB", "disk": "{} MB of disk"}
    units["cpus"] = "{} CPU" if granted.get("cpus") == 1 else "{} CPUs"
    words = []
    for name, value in granted.items():
        if name == "gpu_count" or value in {"", None}:
            continue
        if name == "gpu_kind":
            words += [f"{count} {kind} GPU"] if count else []
        else:
            words.append(units.get(name, "{}").format(value))
    return ", ".join(words)


def running(users: Mapping[Any, Any], cell: str, now: datetime) -> list[Session]:
    """Every session that runs, starts or stops.

    users: of the hub, as it has them in memory; now: without a time zone, as its database has times
    """
    return [
        Session(
            person=user.name,
            server=name,
            cell=cell,
            job=str(spawner.job_id),
            number=spawner.job_number,
            node=spawner.node_name,
            environment=spawner.environment_name,
            resources=resources(spawner.granted),
            state=servers.state(spawner),
            age=now - (spawner.orm_spawner.started or now),
            unused=now - (spawner.orm_spawner.last_activity or now),
        )
        for user in list(users.values())
        for name, spawner in list(user.spawners.items())
        if spawner.active
    ]


class Sessions(ForAdministrators):
    """GET: the cell's part of the table. POST: end one session."""

    async def get(self) -> None:
        """The rows that were asked for."""
        wanted = self.get_query_argument("q", "").strip()[:LONGEST_FILTER]
        order = ORDERS.get(self.get_query_argument("sort", ""), ORDERS["person"])
        everything = running(self.users, self._cell, utcnow(with_tz=False))
        page = await self.render_template(
            "sessions.html",
            sessions=sorted((one for one in everything if one.has(wanted)), key=order),
            total=len(everything),
            environments=sorted(Counter(one.environment for one in everything).items()),
            sign=self.sign,
            lasting=wording.lasting,
            ago=wording.ago,
        )
        self.finish(page)

    async def post(self) -> None:
        """End the very session that a button of the page stands for, not one that came after it."""
        self.pressed()
        person, name, job = (self.get_body_argument(key, "") for key in ("person", "server", "job"))
        user: Any = self.find_user(person)
        spawner: Any = user.spawners[name] if user and name in user.spawners else None
        there = bool(spawner and spawner.active and str(spawner.job_id) == job)
        self.log.warning(
            "session %s by=%s user=%r server=%r job=%r cell=%s request=%s",
            "ended by an administrator" if there else "to be ended is not there",
            self.person.name, person[:40], name[:40], job[:20], self._cell, request_id(self),
        )  # fmt: skip
        if there:
            spawner.ended = wording.STOPPED
            await stop_server(self, user, name)
        told = {"ended" if there else "gone": f"{person}/{name}" if name else person}
        self.redirect(f"/sessions/{self._cluster}?{urlencode(told, safe='/')}", status=303)

    @property
    def _cell(self) -> str:
        return str(self.settings["template_vars"]["cell"])

    @property
    def _cluster(self) -> str:
        return str(self.settings["template_vars"]["cluster"])


class People(ForAdministrators):
    """The people whom this cell knows. Upstream's page is a script, and wants power that none has here."""

    @web.authenticated
    async def get(self) -> None:
        """Each with their last use, and how many sessions they have."""
        running = func.count(orm.Spawner.server_id)
        known = self.db.query(orm.User.name, orm.User.last_activity, running)
        known = known.outerjoin(orm.Spawner, orm.Spawner.user_id == orm.User.id).group_by(orm.User.id)
        now = utcnow(with_tz=False)
        people = [
            (name, wording.ago(now - used) if used else "never", sessions)
            for name, used, sessions in known.order_by(orm.User.name)
        ]
        self.finish(await self.render_template("people.html", people=people))


default_handlers: list[tuple[str, type[BaseHandler]]] = [(r"/sessions", Sessions), (r"/admin", People)]
