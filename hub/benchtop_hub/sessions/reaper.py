"""Scheduler and hub compared: a job that no server of the hub knows ends, and a server without a job too.

Neither should ever be. It takes a hub that dies while a job is on its way to the queue, a command whose
answer comes too late, a database that was brought back from last night, a proxy that is away in the wrong
second. What the hub knows is what its database says, so that a hub that is just starting knows as much as any
other; what is a session of this cell is told by its mark (marks.py). When the scheduler or the database does
not answer, nothing is known, and nothing ends.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from prometheus_client import Counter as Total
from tornado.ioloop import PeriodicCallback

from benchtop_hub.backends import marks
from benchtop_hub.backends.backend import AnyBackend
from benchtop_hub.backends.queue import Job, Unknown
from benchtop_hub.sessions import endings
from benchtop_hub.upstream import ending

EVERY = 30.0  # seconds: what is wrong is over within a minute or so
TIMES = 2  # looks in a row: a job is in the queue for up to 20 s before the hub is told its number
AGE = 5.0  # seconds: how old the answer of the queue may be, which all sessions share

JOBS = Total("benchtop_reaped_jobs_total", "Sessions' jobs that no server knew, and that were ended.")
SERVERS = Total("benchtop_reaped_servers_total", "Servers whose job was gone unnoticed, and that were ended.")


def watch(app: JupyterHub, cell: str) -> None:
    """Look every half minute for as long as the hub runs."""
    seen: Counter[str] = Counter()

    PeriodicCallback(partial(sweep, app, cell, seen), EVERY * 1000, jitter=0.1).start()


async def sweep(app: JupyterHub, cell: str, seen: Counter[str]) -> None:
    """Look once. seen: how often in a row something was wrong, kept by the caller.

    Of a scheduler that does not answer, or a login node, nothing ends. Raises what the database raises.
    """
    people = list(app.db.query(orm.User)) if hasattr(app, "users") else []  # none: it is still starting
    if not people:
        return
    who = random.choice(people)  # noqa: S311 in anybody's name: next time in another's, should this one be gone
    wrong: set[str] = set()
    for backend in app.users[who.id].spawner.backends:
        try:
            listed = await backend.queue.all(who.name, max_age=AGE)
        except Unknown as unknown:
            app.log.debug("reaper: nobody knows the queue: %s", unknown)
            continue
        wrong |= await _compare(app, cell, seen, backend, listed)
    for over in seen.keys() - wrong:
        del seen[over]


async def _compare(
    app: JupyterHub, cell: str, seen: Counter[str], backend: AnyBackend, listed: Mapping[str, Job]
) -> set[str]:
    """End what was wrong often enough; all that is wrong now."""
    # Looked up after the queue: what was submitted meanwhile is known, and not in the list.
    live: list[Any] = [one for user in app.users.values() for one in user.spawners.values()]
    known = {one.job_id for one in live} | set(endings.under_way)
    known |= {(one.state or {}).get("job_id") for one in app.db.query(orm.Spawner)}
    sending = {one.user.name for one in live if one.submitting}
    unknown = {
        number: job
        for number, job in ours(listed, app.cookie_secret, cell)
        if number not in known and job.owner not in sending
    }
    empty = {
        f"{one.user.name}/{one.name}": one
        for one in live
        if one.ready and one.backend is backend and not one.has_job(listed)
    }
    wrong = {*unknown, *empty}
    seen.update(wrong)

    for number, job in unknown.items():
        if seen[number] == TIMES:  # and not with each look from then on: the scheduler may have refused
            ending = endings.end(backend, job.owner, number, app.log)
            ending.add_done_callback(partial(_reaped, app, (job.owner, cell, number, job.state)))
    await asyncio.gather(*(_end(app, cell, one) for name, one in empty.items() if seen[name] >= TIMES))
    return wrong


def ours(listed: Mapping[str, Job], secret: bytes, cell: str) -> Iterator[tuple[str, Job]]:
    """The jobs of this cell's sessions that hold something, but for those that are ending already."""
    for number, job in listed.items():
        holds = (job.alive or job.lingers) and job.state != "COMPLETING"
        if holds and marks.is_ours(job.mark, secret, cell, job.owner):
            yield number, job


def _reaped(app: JupyterHub, known: tuple[str, ...], ending: "asyncio.Task[bool]") -> None:
    if not ending.cancelled() and not ending.exception() and ending.result():
        app.log.warning("job reaped user=%s cell=%s job=%s: %s, and no server knew it", *known)
        JOBS.inc()


async def _end(app: JupyterHub, cell: str, spawner: Any) -> None:  # noqa: ANN401 upstream's has no types
    known = (spawner.user.name, cell, spawner.job_id)
    try:
        await ending.end_server(spawner.user, spawner.name)
    except Exception:  # whatever is away now: it is tried again with the next look
        app.log.exception("server not reaped user=%s cell=%s job=%s", *known)
    else:
        app.log.warning("server reaped user=%s cell=%s job=%s: its job is gone", *known)
        SERVERS.inc()
