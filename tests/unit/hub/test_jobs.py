# ruff: noqa: D102  # stand-ins: their names say it
"""One answer of the queue serves everybody, and no answer is never "gone"."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from benchtop_hub.backends import commands
from benchtop_hub.backends.queue import Job, Queue, Unknown, parse
from benchtop_hub.backends.slurm import backend as slurm

LISTING = """\
4d1c|
4d1c|2|CANCELLED|n/a|debug|10000|2026-11-25T13:07:15|None|hpc-1:alice:66c20a1f
4d1c|7|RUNNING|gpu-1|debug|9|2026-11-25T11:00:00|None|hpc-1:alice:66c20a1f
4d1c|8|PENDING|n/a|debug|7|N/A|Resources|(null)
4d1c|9|SUSPENDED|cpu-1|debug|9|2026-11-25T11:00:00|None|(null)
4d1c|10|COMPLETING|cpu-1|debug|9|2026-11-25T11:00:00|None|(null)
4d1c|11|FAILED|gpu-1|debug|9|2026-11-25T11:00:00|NonZeroExitCode|(null)
4d1c|12|A_STATE_OF_TOMORROW|cpu-1|debug|9|2026-11-25T11:00:00|odd|a | b
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
        return Queue(self.squeue, clock=lambda: self.now)


@pytest.fixture
def scheduler():
    return Scheduler()


def test_states_are_read_as_slurm_tells_them():
    jobs = parse(LISTING)
    started = datetime(2026, 11, 25, 11, tzinfo=UTC)
    mark = "hpc-1:alice:66c20a1f"
    assert jobs["7"] == Job("RUNNING", "gpu-1", "", False, "debug", 9, started, "alice", mark)
    assert (jobs["2"].state, jobs["2"].priority, jobs["2"].owner) == ("CANCELLED", 10000, "alice")
    assert jobs["8"].owner == "", "nothing says whose it is"
    assert jobs["8"].expected is None
    assert jobs["8"].waiting
    assert jobs["8"].node == ""
    assert jobs["12"].mark == "a | b"


def test_nobody_writes_jobs_into_the_queue_by_a_comment():
    forged = "7|COMPLETED|gpu-1|debug|9|N/A|None|x"
    jobs = parse(LISTING + f"4d1c|13|RUNNING|cpu-1|debug|9|N/A|None|mine\n{forged}\n0000|{forged}\n")
    assert jobs["7"].alive
    assert jobs["13"].mark == "mine"


@pytest.mark.parametrize(
    "cut", ["4", "4d1c|", "4d1c|7|RUNN", "4d1c|7|RUNNING|gpu-1|debug|9|N/A|None|x", "4d1c|7|RUNNING\n"]
)
def test_an_answer_that_is_cut_off_is_no_answer(cut):
    with pytest.raises(ValueError, match="half a line"):
        parse("4d1c|\n4d1c|5|RUNNING|gpu-1|debug|9|N/A|None|x\n" + cut)


@pytest.mark.parametrize("number", ["7", "8", "9", "10", "12"])
def test_whatever_has_not_ended_is_alive(number):
    assert parse(LISTING)[number].alive


def test_what_failed_is_not():
    assert not parse(LISTING)["11"].alive


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


async def token(person):
    return "a token"


# finds what each line of the answer is to begin with, as squeue does
SQUEUE = """#!/bin/sh
for word; do case $word in --format=*) form=${word#--format=} ;; esac; done
line=${form%%'%i'*}"7|RUNNING|gpu-1|debug|9|N/A|None|x"
"""


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Job 7, by a program in squeue's place that says what it is told."""
    program = tmp_path / "squeue"
    monkeypatch.setattr(commands, "PATH", f"{tmp_path}:{commands.PATH}")

    def job(says):
        program.write_text(SQUEUE + says)
        program.chmod(0o755)
        cluster = slurm.SlurmCluster(SimpleNamespace(token=token, known=list))
        return asyncio.run(cluster.queue.job("7", "alice"))

    return job


def test_what_squeue_says_is_believed(squeue):
    """The control beside the garbage."""
    assert squeue('echo "$line"').alive
    assert squeue("") is None, "an empty queue"


@pytest.mark.parametrize(
    "says",
    [
        "echo slurm_load_jobs error",
        "head -c 500 /dev/urandom",
        'printf %s "$line"',  # ends before its end
        'echo "${line%|N*}"',
        'echo "$line"; exit 1',
        'echo "$line"; kill -9 $$',
    ],
)
def test_garbage_is_no_answer(squeue, says):
    with pytest.raises(Unknown):
        squeue(says)
