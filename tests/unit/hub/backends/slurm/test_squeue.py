"""The queue as squeue tells it: every state, and nothing of what somebody wrote into it."""

from datetime import UTC, datetime

import pytest

from benchtop_hub.backends.queue import Job
from benchtop_hub.backends.slurm.squeue import parse

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
