# ruff: noqa: D102  # stand-ins: their names say it
"""Whoever waits on HTCondor reads why: what is too small, what is busy, and what only HTCondor can know."""

import asyncio
import logging
from dataclasses import replace

import pytest

from benchtop_hub.backends import commands
from benchtop_hub.backends.condor import form, reasons
from benchtop_hub.backends.condor.reasons import Analysis

WANTED = form.Granted("jupyter", 2, 1024, 512, 60)
FREE = form.Place("ep-1", "jupyter", 6, 2048, 4096, 6, 2048, 4096)
BUSY = replace(FREE, free_cpus=1)
OTHER = replace(FREE, pool="standard")
NO_MATCH = "no match found"
LOG = logging.getLogger("test")

# What condor_q 23.9 says, cut to what is read.
HEAD = """
The Requirements expression for job 10.000 reduces to these conditions:

         Slots
Step    Matched  Condition
-----  --------  ---------
"""
TAIL = """
No successful match recorded.
Last failed match: Wed Nov 25 14:44:27 2026

Reason for last match failure: no match found 

010.000:  Run analysis summary ignoring user priority.  Of 4 machines,
      {jobs} are rejected by your job's requirements
      {own} reject your job because of their own requirements
      0 match and are already running your jobs
      0 match but are serving other users
      {able} are able to run your job
"""  # noqa: W291  as it is said
UNMET = TAIL.format(jobs=4, own=0, able=0)
UNICORN = """\
[0]           4  NumShadowStarts is undefined
[3]           0  TARGET.HasUnicorn is true
[5]           0  regexp("^x",TARGET.Machine)
"""
EITHER = """\
[0]           0  TARGET.HasUnicorn is true
[1]           0  TARGET.IsPony is true
[2]           0  [0] || [1]
"""
BOTH = """\
[0]           3  TARGET.Machine == "condor-ep-1"
[1]           2  TARGET.Machine == "condor-ep-2"
[2]           0  [0] && [1]
"""
MET = """\
[0]           5  TARGET.Arch == "X86_64"
[7]           3  TARGET.Cpus >= RequestCpus
"""


@pytest.mark.parametrize(
    ("steps", "unmet"),
    [
        (UNICORN, "HasUnicorn is true"),
        (EITHER, "HasUnicorn is true || IsPony is true"),
        (BOTH, 'Machine == "condor-ep-1" && Machine == "condor-ep-2"'),
    ],
)
def test_the_requirement_that_no_slot_meets_is_found(steps, unmet):
    assert reasons.parse(HEAD + steps + UNMET) == Analysis(unmet, turned_away=True)


def test_figures_other_than_nothing_are_not_believed():
    """They are of whole machines: a busy one matches as well as a free one."""
    assert reasons.parse(HEAD + MET + TAIL.format(jobs=0, own=2, able=2)) == Analysis()


def test_machines_that_take_no_such_job_by_their_own_rules_are_noticed():
    assert reasons.parse(HEAD + MET + TAIL.format(jobs=1, own=3, able=0)) == Analysis(turned_away=True)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Job 10.000 is running.",
        "Of 0 machines,\n 0 are rejected by your job's requirements",
        "[0] 0",
        "[x] 0 TARGET.HasUnicorn",
        f"[0] {'9' * 5000} TARGET.HasUnicorn",
        "\x00\ufffd" * 50_000,
        " " * reasons.LARGEST + UNICORN,
    ],
)
def test_what_is_not_understood_is_no_reason(said):
    assert reasons.parse(said) == Analysis()


def test_steps_that_name_each_other_without_end_stay_short():
    said = "[0] 1 x\n" + "".join(f"[{n}] 0 {f'[{n - 1}] ' * 100}\n" for n in range(1, 60))
    assert len(reasons.parse(said).unmet) <= reasons.SHOWN


UNICORN_FOUND = Analysis("HasUnicorn is true", turned_away=True)


@pytest.mark.parametrize(
    ("rejected", "places", "analysis", "words"),
    [
        ("", None, Analysis(), ""),
        ("", [FREE, BUSY], Analysis(), "the pool has not considered it yet"),
        ("spooling", [BUSY], Analysis(), "its files are being transferred"),
        ("", [OTHER], Analysis(), "no machine offers the Jupyter slots at the moment"),
        (
            NO_MATCH,
            [OTHER, replace(FREE, cpus=1)],
            UNICORN_FOUND,
            "no machine has 2 CPUs in the Jupyter slots (the largest has 1)",
        ),
        (
            "",
            [replace(FREE, memory=512), replace(FREE, cpus=1)],
            Analysis(),
            "no machine has 1024 MB of memory in the Jupyter slots (the largest has 512 MB)",
        ),
        (
            "",
            [BUSY, replace(FREE, free_cpus=0), OTHER],
            Analysis(),
            "all suitable slots are busy (it needs 2 CPUs; the most that is free in one is 1)",
        ),
        (
            NO_MATCH,
            [replace(FREE, free_disk=9)],
            Analysis(),
            "all suitable slots are busy (it needs 512 MB of disk; the most that is free in one is 9 MB)",
        ),
        (NO_MATCH, [BUSY], UNICORN_FOUND, "no machine meets its requirement “HasUnicorn is true”"),
        (NO_MATCH, None, UNICORN_FOUND, "no machine meets its requirement “HasUnicorn is true”"),
        (
            NO_MATCH,
            [FREE],
            Analysis(turned_away=True),
            "the suitable machines are not accepting such jobs at the moment",
        ),
        (NO_MATCH, [FREE], Analysis(), "HTCondor found no suitable slot when it last looked"),
        (
            "submitter limit exceeded",
            [FREE],
            Analysis(),
            "you are using your share of the pool, and others are waiting for theirs",
        ),
        (
            "insufficient priority",
            [FREE],
            Analysis(),
            "users with a higher priority hold the suitable slots",
        ),
        (
            "concurrency limit matlab, root.v6 reached",
            [BUSY],
            Analysis(),
            "the maximum number of jobs that may use matlab, root.v6 is running",
        ),
        ("a reason of\ntomorrow", [FREE], Analysis(), "HTCondor says “a reason of\ufffdtomorrow”"),
    ],
)
def test_a_reason_is_told_in_plain_words(rejected, places, analysis, words):
    assert reasons.explain(rejected, WANTED, places, analysis) == words


class Asked:
    """A pool that counts what it is asked, and answers when the test says so."""

    def __init__(self):
        self.now = 0.0
        self.analysed: list[str] = []
        self.at_once = self.most_at_once = 0
        self.says = HEAD + UNICORN + UNMET
        self.trouble: Exception | None = None
        self.reasons = reasons.Reasons(self.places, self.analyse, clock=lambda: self.now)

    async def places(self, person):
        if self.trouble:
            raise self.trouble
        return [BUSY]

    async def analyse(self, number, person):
        self.analysed.append(number)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.trouble:
            raise self.trouble
        return self.says

    async def why(self, *numbers, rejected=NO_MATCH):
        """What is known of the last, once all is found out that was begun."""
        for number in (*numbers, numbers[-1]):
            said = self.reasons.of(number, "alice", rejected, WANTED, LOG)
        if self.reasons._round:
            await self.reasons._round
        return self.reasons.of(numbers[-1], "alice", rejected, WANTED, LOG) or said


def test_what_is_found_out_is_told_from_then_on():
    async def look():
        asked = Asked()
        assert asked.reasons.of("7", "alice", NO_MATCH, WANTED, LOG) == reasons._WORDS[NO_MATCH]
        return await asked.why("7")

    assert asyncio.run(look()) == "no machine meets its requirement “HasUnicorn is true”"


def test_the_requirements_of_each_job_are_looked_at_in_turn_and_no_more_often_than_they_may_be():
    async def look():
        asked = Asked()
        for second in range(61):
            asked.now = float(second)
            await asked.why("7", "8", "9")
        return asked

    asked = asyncio.run(look())
    assert asked.analysed == ["7", "8", "9"] * 2 + ["7"]
    assert asked.most_at_once == 1


def test_a_job_that_nothing_refused_yet_is_not_analysed():
    async def look():
        asked = Asked()
        return await asked.why("7", rejected=""), await asked.why("7", rejected="spooling"), asked.analysed

    assert asyncio.run(look())[2] == []


@pytest.mark.parametrize(
    "trouble", [commands.Failed("condor_q gave no answer in 15 s"), ValueError("garbage")]
)
def test_a_pool_that_cannot_be_seen_leaves_the_reason_out_and_is_asked_again(trouble):
    async def look():
        asked = Asked()
        asked.trouble = trouble
        first = await asked.why("7", rejected="")
        asked.trouble, asked.now = None, 5.0
        return first, await asked.why("7", rejected="")

    first, second = asyncio.run(look())
    assert first == ""
    assert second.startswith("all suitable slots are busy")


def test_a_job_that_waits_no_longer_is_forgotten():
    async def look():
        asked = Asked()
        await asked.why("7")
        asked.now = 60.0
        await asked.why("8")
        return asked

    asked = asyncio.run(look())
    assert asked.analysed == ["7", "8"]
    assert set(asked.reasons._waiting) == {"8"}
