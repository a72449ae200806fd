# ruff: noqa: D102  # stand-ins: their names say it
"""One start alone: what it waits for, how long, and what it says when it waited in vain."""

import asyncio
import logging
import time
from types import SimpleNamespace

import pytest

from benchtop_hub.access.minter import Unavailable
from benchtop_hub.backends import commands
from benchtop_hub.backends.queue import Job, Unknown
from benchtop_hub.sessions import start as module
from benchtop_hub.sessions.failure import Failed
from benchtop_hub.sessions.start import LEAD, NODE_PATIENCE, RETURN, Start, Wanted
from standins import NAMED, RUNNING, Node

WAITS = Job("PENDING", "", "Resources")
AWAY = commands.Failed("Unable to contact slurm controller")


class Clock:
    """Tells a time that is later by some seconds whenever it is asked."""

    def __init__(self, step=1.0):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


class Owner:
    """Whose start it is."""

    log = logging.getLogger("test")
    path = "/jupyterhub/hpc/user/alice/"

    def __init__(self):
        self.saves, self.stopped = 0, False

    def save_state(self):
        self.saves += 1

    def reached_at(self, node):
        return f"{node}.cluster"

    async def stop(self, now=False):
        self.stopped = True


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def go(slurm, owner, clock, answers):
    """`go(during)`: the address of a start whose job is submitted; what it came to is in `go.start`."""

    def run(during=lambda start: None, *, backend=slurm, port=45678, resumed=None, **wanted):
        async def both():
            given = {"tls_name": NAMED, "timeout": 600.0, "place": "partition debug", **wanted}
            begun = run.start = Start(backend, Wanted("alice", **given), owner, clock=clock)
            if resumed is None:
                begun.submitted("42")
            else:
                begun.resumed("42", resumed)
            if port:
                assert begun.take_port(port)
            up = asyncio.create_task(begun.until_up())
            if asyncio.iscoroutine(coming := during(begun)):
                await coming
            return await up

        return asyncio.run(asyncio.wait_for(both(), 10))

    return run


def test_its_address_is_the_nodes_with_the_name_that_it_proves_and_the_port_that_it_said(go, answers):
    """Where a node is reached is its owner's to say (state_exechost_exp)."""
    assert go() == f"https://gpu-1--cluster.{NAMED}:45678"
    assert answers == [f"https://gpu-1--cluster.{NAMED}:45678/jupyterhub/hpc/user/alice/api"]
    assert go.start.stage == (95, "JupyterLab is ready.")
    assert go.start.node == "gpu-1"


def test_it_is_given_up_in_time_to_say_what_it_waited_for(go, slurm, clock):
    """Upstream, which would give it up ten seconds later, says nothing of the queue."""
    clock.step = 3.0
    slurm.job = WAITS
    with pytest.raises(
        Failed, match=r"did not start within 10 minutes .*all suitable nodes are busy"
    ) as told:
        go(port=0)
    assert told.value.reason == "queue"
    assert 600 - LEAD <= clock.now < 600


def test_a_limit_of_seconds_is_told_in_seconds(go, slurm):
    slurm.job = WAITS
    with pytest.raises(Failed, match="did not start within 11 seconds"):
        go(port=0, timeout=LEAD + 1.0)


@pytest.mark.parametrize(("began", "left"), [(3600, RETURN), (300, 600 - LEAD - 300)])
def test_a_restart_leaves_a_start_what_it_had_left_or_a_minute(go, slurm, clock, began, left):
    slurm.job, clock.step = WAITS, 3.0
    with pytest.raises(Failed, match="did not start within 10 minutes"):
        go(port=0, resumed=0, since=time.time() - began)
    assert clock.now == pytest.approx(left, abs=20)


def test_one_that_goes_on_says_that_it_does(go, slurm):
    said = []
    assert go(lambda start: said.append(start.stage), port=0, resumed=45999).endswith(":45999")
    assert said == [(15, "The hub was restarted. Job 42 is queued in partition debug.")]


def test_a_port_that_was_said_before_the_restart_is_what_it_was(go):
    assert go(port=45999, resumed=45999).endswith(":45999")


def test_a_port_is_taken_once_and_saved_before_it_is_heard(go, owner):
    go()
    saves = owner.saves
    assert go.start.take_port(45678), "a job that says it again is answered alike"
    assert not go.start.take_port(45679)
    assert owner.saves == saves
    assert go.start.state["port"] == 45678


@pytest.mark.parametrize(
    ("met", "who"),
    [
        (Unavailable("ServerDisconnectedError"), "The service that grants access to the cluster"),
        (AWAY, "The scheduler"),
    ],
)
def test_who_waits_is_told_who_does_not_answer(go, slurm, met, who):
    slurm.job = met
    heard = []

    async def comes_back(start):
        while "is not answering" not in start.stage[1]:
            await asyncio.sleep(0)
        heard.append(start.stage)
        slurm.job = RUNNING

    go(comes_back)
    assert heard == [(15, f"{who} is not answering; still trying.")]


def test_a_login_node_that_does_not_answer_is_not_the_scheduler(go, clock):
    clock.step = 10.0
    node = Node()

    async def away(person):
        raise commands.Failed("ssh: connect to host hpc-login port 22: Connection refused")

    node.list_jobs = away
    with pytest.raises(Failed, match="The login node is not answering; still trying"):
        go(backend=node, port=0)


def test_a_job_that_is_gone_was_ended_by_somebody(go, slurm):
    slurm.job = None
    with pytest.raises(Failed, match="Job 42 is no longer known to Slurm: somebody ended it") as told:
        go()
    assert told.value.reason == "gone"


@pytest.mark.parametrize("said", ["Traceback", ""])
def test_last_words_are_waited_for_as_long_as_they_may_take(go, slurm, clock, said):
    slurm.job = Job("FAILED", "gpu-1", "NonZeroExitCode")

    def dies(start):
        start.last_words = said

    with pytest.raises(Failed, match=r"^Job 42 ended before JupyterLab could start: .* stopped by itself\.$"):
        go(dies)
    assert go.start.last_words == said
    assert (clock.now > module.WORDS_PATIENCE) or said


def test_a_job_that_lingers_when_it_failed_is_ended(go, slurm, owner):
    async def held(number, person, *, max_age):
        return Job("FAILED", "", "memory", lingers=True, message="it was put on hold")

    slurm.queue.job = held
    with pytest.raises(Failed, match="it was put on hold"):
        go()
    assert owner.stopped


def test_a_node_that_the_cluster_does_not_know_is_not_connected_to(go, slurm, clock, answers):
    slurm.job = Job("RUNNING", "evil.example.org", "")
    with pytest.raises(Failed, match=r"is running on evil.example.org, which is not a node of the cluster"):
        go()
    assert NODE_PATIENCE <= clock.now < 2 * NODE_PATIENCE
    assert answers == []


@pytest.mark.parametrize("said", [AWAY, False])
def test_a_cluster_that_does_not_know_its_node_for_a_moment_costs_no_start(go, slurm, said):
    answers = [said, said]

    async def is_node(name, person):
        answer = answers.pop() if answers else name == "gpu-1"
        if isinstance(answer, Exception):
            raise answer
        return answer

    slurm.is_node = is_node
    assert go().startswith("https://gpu-1")
    assert not answers


def test_a_queue_that_lags_behind_the_report_costs_no_start(go, slurm):
    slurm.job = WAITS

    async def runs(start):
        while start.stage[0] < 20:
            await asyncio.sleep(0)
        slurm.job = RUNNING

    assert go(runs).endswith(":45678")


def test_by_an_answer_from_before_the_job_nothing_is_gone(go, clock):
    seen = []

    def look(start):
        clock.step = 0.0
        seen.append(start.age(5.0))
        clock.now += 3
        seen.append(start.age(5.0))
        clock.now += 30
        seen.append(start.age(5.0))
        clock.step = 1.0

    go(look)
    assert seen[0] < seen[1] < seen[2] == 5.0


def test_one_without_a_name_cannot_be_believed(go):
    with pytest.raises(Failed, match="start it again") as told:
        go(tls_name="")
    assert told.value.reason == "unnamed"


# ---- the first answer of the session ---------------------------------------------------------------


@pytest.fixture
def first(monkeypatch, go):
    """What a session says, one after the other, to who asks it first."""
    said = []

    async def fetch(url, **_):
        answer = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status=answer, release=lambda: None)

    monkeypatch.setattr(module, "fetch", fetch)
    return said


@pytest.mark.parametrize("before", [OSError("refused"), TimeoutError(), 502])
def test_a_session_that_does_not_answer_yet_is_asked_again(go, first, before):
    first.extend([before, 403])
    assert go().endswith(":45678")


def test_one_that_never_does_is_given_up(go, first, clock):
    clock.step = 5.0
    first.append(OSError("refused"))
    with pytest.raises(Failed, match="is running on gpu-1, but JupyterLab does not answer there") as told:
        go()
    assert told.value.reason == "no-answer"
    assert clock.now >= module.ANSWER_PATIENCE


def test_one_whose_job_ends_meanwhile_is_not_waited_for(go, slurm, first):
    first.append(OSError("refused"))

    async def dies(start):
        while start.stage[0] < 75:
            await asyncio.sleep(0)
        slurm.job = Job("TIMEOUT", "gpu-1", "TimeLimit")

    with pytest.raises(Failed, match="its time limit was reached"):
        go(dies)


def test_an_unknown_queue_ends_no_wait_for_it(go, slurm, first):
    first.extend([OSError("refused"), 200])

    async def away(start):
        while start.stage[0] < 75:
            await asyncio.sleep(0)
        slurm.job = Unknown("timeout")

    assert go(away).endswith(":45678")
