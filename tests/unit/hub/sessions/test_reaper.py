# ruff: noqa: D102  # stand-ins: their names say it
"""What nobody owns ends; what somebody may own does not, and without an answer nothing does."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import pytest
from jupyterhub import orm

from benchtop_hub.backends.marks import mark
from benchtop_hub.backends.queue import Job, Unknown
from benchtop_hub.sessions import endings, reaper
from benchtop_hub.upstream import ending

SECRET, CELL = b"0" * 32, "hpc-1"


def job(owner="alice", state="RUNNING", **more):
    return Job(state, "cpu-1", "", owner=owner, **{"mark": mark(SECRET, CELL, owner), **more})


class Server:
    """A server, as far as the reaper looks."""

    submitting = False

    def __init__(self, facility, number, *, ready=True):
        self.backend, self.backends = facility, (facility,)
        self.job_id, self.ready = number, ready
        self.user, self.name, self._log_name = SimpleNamespace(name="alice", id=1), "", "alice:"
        self.user.spawner = self
        self.user.spawners = {"": self}

    def has_job(self, listed):
        return self.job_id in listed and listed[self.job_id].alive


class Facility:
    """A hub with one person, a database and a queue; the last two can be away."""

    def __init__(self, monkeypatch, *, server="", saved=""):
        self.listed: dict[str, Job] = {}
        self.away: Exception | None = None
        self.ended: list[str] = []
        self.server = Server(self, server, ready=bool(server))
        self.users = {1: self.server.user}
        self.rows = {orm.User: [self.server.user], orm.Spawner: [SimpleNamespace(state={"job_id": saved})]}
        self.db, self.queue, self.cookie_secret, self.log = self, self, SECRET, logging.getLogger("test")
        self.seen: Counter[str] = Counter()
        self.refuses = False  # the scheduler, to end a job
        monkeypatch.setattr(endings, "end", self._end_job)
        monkeypatch.setattr(ending, "end_server", self._end)
        monkeypatch.setattr(endings, "under_way", {})

    def _end_job(self, cluster, who, number, log):
        self.ended.append(number)
        ended = asyncio.get_running_loop().create_future()
        ended.set_result(not self.refuses)
        return ended

    async def _end(self, user, name):
        self.ended.append(f"server of {user.name}")

    def query(self, kind):
        return self.rows[kind]

    async def all(self, person, *, max_age):
        if self.away:
            raise self.away
        return self.listed

    def looks(self, times=reaper.TIMES):
        async def look():
            await reaper.sweep(self, CELL, self.seen)
            await asyncio.sleep(0)  # a task that is over tells so

        for _ in range(times):
            asyncio.run(look())
        return self.ended


@pytest.fixture
def facility(monkeypatch):
    return lambda **more: Facility(monkeypatch, **more)


def test_a_session_that_no_server_knows_ends_and_is_counted(facility):
    before = reaper.JOBS._value.get()
    hub = facility()
    hub.listed = {"7": job()}
    assert hub.looks(reaper.TIMES - 1) == [], "it may be one whose number is on its way"
    assert hub.looks(1) == ["7"]
    assert reaper.JOBS._value.get() == before + 1


def test_a_job_that_the_scheduler_refuses_to_end_is_asked_about_once_and_not_counted(facility):
    """Somebody copied the mark of another's session: the job is not the one's whom the mark names."""
    before = reaper.JOBS._value.get()
    hub = facility()
    hub.listed, hub.refuses = {"7": job()}, True
    assert hub.looks(5) == ["7"]
    assert reaper.JOBS._value.get() == before
    hub.listed = {}
    hub.looks(1)
    hub.listed, hub.refuses = {"7": job()}, False
    assert hub.looks() == ["7", "7"], "the control: another job of that number"
    assert reaper.JOBS._value.get() == before + 1


def test_one_that_a_held_job_keeps_in_the_queue_ends_too(facility):
    hub = facility()
    hub.listed = {"7": job(state="FAILED", lingers=True)}
    assert hub.looks() == ["7"]


@pytest.mark.parametrize(
    "found",
    [
        job(mark="(null)"),  # whatever its name is
        job(owner="bob", mark=mark(SECRET, CELL, "alice")),
        job(mark=mark(SECRET, "hpc-2", "alice")),
        job(mark=mark(b"1" * 32, CELL, "alice")),
        job(state="CANCELLED"),
        job(state="COMPLETING"),
    ],
)
def test_no_other_job_does(facility, found):
    hub = facility()
    hub.listed = {"7": found}
    assert hub.looks(5) == []


@pytest.mark.parametrize("known", [{"server": "7"}, {"saved": "7"}])
def test_a_session_that_is_known_lives(facility, known):
    hub = facility(**known)
    hub.listed = {"7": job()}
    assert hub.looks(5) == []


def test_nobody_loses_a_job_that_is_on_its_way(facility):
    hub = facility()
    hub.listed, hub.server.submitting = {"7": job()}, True
    assert hub.looks(5) == []


def test_what_is_being_ended_is_not_ended_twice(facility):
    hub = facility()
    hub.listed, endings.under_way["7"] = {"7": job()}, None
    assert hub.looks(5) == []


def test_looks_in_a_row_count_and_not_looks_in_all(facility):
    hub = facility()
    hub.listed = {"7": job()}
    hub.looks(1)
    hub.listed = {}
    hub.looks(1)
    hub.listed = {"7": job()}
    assert hub.looks(1) == []


@pytest.mark.parametrize("away", [Unknown("Unable to contact slurm controller"), OSError("no database")])
def test_without_an_answer_nothing_ends(facility, away):
    hub = facility(server="8")
    hub.listed, hub.away = {"7": job()}, away
    for _ in range(5):
        with suppress(OSError):
            hub.looks(1)
    assert hub.ended == []


def test_a_scheduler_that_is_away_keeps_nobody_from_looking_at_the_login_node(facility):
    hub = facility()

    async def silent(person, *, max_age):
        raise Unknown("Unable to contact slurm controller")

    away = SimpleNamespace(queue=SimpleNamespace(all=silent))
    hub.server.backends = (away, hub)
    hub.listed = {"local-2001-7": job()}
    assert hub.looks() == ["local-2001-7"]


def test_a_server_without_a_job_ends(facility):
    hub = facility(server="8")
    assert hub.looks(1) == []
    assert hub.looks(1) == ["server of alice"]


def test_a_session_on_the_login_node_is_looked_for_in_no_queue(facility):
    hub = facility(server="local-2001-8")
    hub.server.backend = object()
    assert hub.looks(5) == []


def test_a_server_with_a_job_lives(facility):
    hub = facility(server="8")
    hub.listed = {"8": job()}
    assert hub.looks(5) == []
