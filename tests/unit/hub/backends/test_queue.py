# ruff: noqa: D102  # stand-ins: their names say it
"""One answer of the queue serves everybody, and no answer is never "gone"."""

import asyncio

import pytest

from benchtop_hub.backends.queue import Queue, Unknown
from benchtop_hub.backends.slurm import squeue

LISTING = """\
4d1c|
4d1c|7|RUNNING|gpu-1|debug|9|2026-11-25T11:00:00|None|hpc-1:alice:66c20a1f
4d1c|8|PENDING|n/a|debug|7|N/A|Resources|(null)
"""


class Scheduler:
    """Answers, counts how often, and can be away."""

    def __init__(self):
        self.asked = 0
        self.away = False
        self.now = 0.0

    async def squeue(self, person):
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise OSError("Unable to contact slurm controller")
        return LISTING

    def queue(self):
        return Queue(self.squeue, squeue.parse, clock=lambda: self.now)


@pytest.fixture
def scheduler():
    return Scheduler()


def test_forty_sessions_cost_one_question(scheduler):
    queue = scheduler.queue()

    async def everybody():
        return await asyncio.gather(*(queue.job("7", "alice") for _ in range(40)))

    assert {job.node for job in asyncio.run(everybody())} == {"gpu-1"}
    assert scheduler.asked == 1


def test_an_answer_that_is_too_old_is_asked_anew(scheduler):
    async def twice(queue):
        await queue.job("7", "alice", max_age=1)
        scheduler.now = 0.9
        await queue.job("7", "alice", max_age=1)
        first = scheduler.asked
        scheduler.now = 1.1
        await queue.job("7", "alice", max_age=1)
        return first, scheduler.asked

    assert asyncio.run(twice(scheduler.queue())) == (1, 2)


def test_a_job_that_is_not_listed_does_not_exist(scheduler):
    assert asyncio.run(scheduler.queue().job("99", "alice")) is None


def test_the_number_of_somebody_elses_job_says_nothing(scheduler):
    assert asyncio.run(scheduler.queue().job("7", "bob")) is None
    assert asyncio.run(scheduler.queue().job("7", "alice")) is not None


def test_a_job_of_which_nothing_says_whose_it_is_may_be_anybodys(scheduler):
    assert asyncio.run(scheduler.queue().job("8", "bob")) is not None


def test_no_answer_is_unknown_and_never_gone(scheduler):
    scheduler.away = True
    with pytest.raises(Unknown, match="Unable to contact"):
        asyncio.run(scheduler.queue().job("7", "alice"))


def test_a_scheduler_that_is_away_is_not_asked_by_each_session(scheduler):
    scheduler.away = True
    queue = scheduler.queue()

    async def everybody():
        return await asyncio.gather(*(queue.job("7", "alice") for _ in range(9)), return_exceptions=True)

    assert all(isinstance(answer, Unknown) for answer in asyncio.run(everybody()))
    assert scheduler.asked == 1


def test_after_a_failure_the_next_answer_counts(scheduler):
    queue = scheduler.queue()

    async def both():
        scheduler.away = True
        with pytest.raises(Unknown):
            await queue.job("7", "alice")
        scheduler.away, scheduler.now = False, 2.0
        return await queue.job("7", "alice")

    assert asyncio.run(both()).node == "gpu-1"
