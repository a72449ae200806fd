"""Why an HTCondor session waits, or is on hold, in plain words.

Most of it is told by what the pool has and what of that is free. Of limits, the negotiator's last word tells
(src/condor_negotiator.V6/matchmaker.cpp). Only a requirement that no machine meets has to be looked for, by
`condor_q -better-analyze`.

No position in line is told, because there is no line: the next place goes to whoever has used least of late,
and only a person's own jobs follow each other. And no expected start: HTCondor plans nothing ahead.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from logging import Logger

from benchtop_hub.backends.backend import FREE_AGE, TROUBLES
from benchtop_hub.backends.condor import form
from benchtop_hub.wording import UNITS, quote

ANALYSIS_AGE = 30.0  # seconds until the requirements of a job are looked at again
LARGEST = 20_000  # characters of an analysis that are read; a session's has 1,500
SHOWN = 120  # characters of a requirement that are shown
SHOWN_OF_HOLD = 300  # … and of why a job is on hold
_NO_MATCH = "no match found"
_WORDS = {
    _NO_MATCH: "HTCondor found no suitable slot when it last looked",
    "insufficient priority": "users with a higher priority hold the suitable slots",
    "PREEMPTION_REQUIREMENTS == False": "all suitable slots are busy",
}
_LIMITS = {
    "spooling": "its files are being transferred",
    "submitter limit exceeded": "you are using your share of the pool, and others are waiting for theirs",
    "concurrency limit reached": "the maximum number of jobs of its kind is running",
}
_LIMIT = re.compile(r"concurrency limit (?P<names>[\w., -]{1,80}) reached")
_STEP = re.compile(r"\[(?P<step>\d{1,4})\]\s+(?P<slots>\d{1,9})\s+(?P<condition>\S.*)")
_PART = re.compile(r"\[(\d{1,4})\]")  # in a condition: what an earlier step says
_MACHINES = re.compile(r"Of (\d{1,9}) machines?,")
_TURNED_AWAY = re.compile(
    r"(\d{1,9}) (?:are rejected by your job's|rejects? your job because of their own) req"
)


_HELD_BY = re.compile(r"via condor_hold \((by user [\w.@-]{1,80})\)")


def explain_hold(reason: str) -> str:
    """Why a job is on hold, of HTCondor's reason."""
    if by := _HELD_BY.fullmatch(reason):  # who did it gave no reason
        return f"it was put on hold ({by[1]})"
    said = quote(reason, SHOWN_OF_HOLD).strip(" .")
    return "it was put on hold" + (f": {said}" if said != "on hold" else "")


@dataclass(frozen=True)
class Analysis:
    """What condor_q says of the requirements of a job: an expression that no slot meets, "" for none."""

    unmet: str = ""
    turned_away: bool = False  # does every machine refuse it, by the job's rules or by its own?


def parse(analysis: str) -> Analysis:
    """From `condor_q -better-analyze`, of one job. What is not understood is left out.

    Only what no slot at all meets is believed. Other figures are of whole machines, not of what is free.
    """
    analysis = analysis[:LARGEST]
    steps = [found for line in analysis.splitlines() if (found := _STEP.fullmatch(line.strip()))]
    texts: dict[str, str] = {}
    for one in steps:
        # a step that names others is shown by what they say
        texts[one["step"]] = _PART.sub(lambda part: texts.get(part[1], part[0]), one["condition"])[
            : 2 * SHOWN
        ]
    parts = {step for one in steps for step in _PART.findall(one["condition"])}
    unmet = (texts[one["step"]] for one in steps if int(one["slots"]) == 0 and one["step"] not in parts)
    machines = _MACHINES.search(analysis)
    turned_away = sum(int(number) for number in _TURNED_AWAY.findall(analysis))
    return Analysis(
        quote(next(unmet, "").replace("TARGET.", ""), SHOWN),
        machines is not None and 0 < int(machines[1]) == turned_away,
    )


def explain(
    rejected: str, wanted: form.Granted, offered: Sequence[form.Place] | None, analysis: Analysis
) -> str:
    """Why a job waits; "" where that is not known.

    rejected: what the negotiator said of it last; offered: None while nobody knows
    """
    unmet = analysis.unmet and f"no machine meets its requirement “{analysis.unmet}”"
    said = _limit(rejected) or _too_small(wanted, offered) or unmet or _busy(wanted, offered)
    if not said and offered is not None:
        # there is room
        if not rejected:
            return "the pool has not considered it yet"
        if analysis.turned_away:
            return "the suitable machines are not accepting such jobs at the moment"
    last = f"HTCondor says “{quote(rejected, SHOWN)}”" if rejected else ""
    return said or _WORDS.get(rejected, last)


def _limit(rejected: str) -> str:
    if found := _LIMIT.fullmatch(rejected):
        return f"the maximum number of jobs that may use {found['names']} is running"
    return _LIMITS.get(rejected, "")


def _too_small(wanted: form.Granted, offered: Sequence[form.Place] | None) -> str:
    if offered is None:
        return ""
    name, here = form.POOLS[wanted.pool], form.of_kind(wanted.pool, offered)
    if not here:
        return f"no machine offers {name} at the moment"
    if short := form.lacking(wanted, here):
        field, most = short
        return f"no machine has {_amount(field, wanted)} in {name} (the largest has {_some(field, most)})"
    return ""


def _busy(wanted: form.Granted, offered: Sequence[form.Place] | None) -> str:
    if offered is None:
        return ""
    if short := form.lacking(wanted, form.of_kind(wanted.pool, offered), "free_"):
        field, most = short
        amount, free = _amount(field, wanted), _some(field, most)
        return f"all suitable slots are busy (it needs {amount}; the most that is free in one is {free})"
    return ""


def _some(field: str, number: int) -> str:
    return f"{number}{UNITS[field]}"


def _amount(field: str, wanted: form.Granted) -> str:
    number: int = getattr(wanted, field)
    if field == "cpus":
        return "1 CPU" if number == 1 else f"{number} CPUs"
    return f"{_some(field, number)} of {field}"


@dataclass
class _Waiting:
    person: str
    seen: float = 0.0
    rejected: str = ""
    analysed: float = float("-inf")
    analysis: Analysis = Analysis()


class Reasons:
    """What is known of why the sessions of this hub wait.

    It is found out beside them: no start waits for it. One round at a time looks at what is free, and at the
    requirements of one job, the one that was not looked at for longest.
    """

    def __init__(
        self,
        places: Callable[[str], Awaitable[Sequence[form.Place]]],
        analyse: Callable[[str, str], Awaitable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Places: what the pool has, asked in a person's name; analyse: condor_q's word on a job of one."""
        self._ask = places
        self._analyse = analyse
        self._clock = clock
        self._places: Sequence[form.Place] | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._next = float("-inf")
        self._round: asyncio.Task[None] | None = None

    def of(self, number: str, person: str, rejected: str, wanted: form.Granted, log: Logger) -> str:
        """Why a person's job waits, as far as that is known by now."""
        one = self._waiting.setdefault(number, _Waiting(person))
        one.seen, one.rejected = self._clock(), rejected
        if one.seen >= self._next and (self._round is None or self._round.done()):
            self._next = one.seen + FREE_AGE
            self._round = asyncio.create_task(self._look(person, log))
        return explain(rejected, wanted, self._places, one.analysis)

    async def _look(self, person: str, log: Logger) -> None:
        now = self._clock()
        self._waiting = {n: one for n, one in self._waiting.items() if now - one.seen < ANALYSIS_AGE}
        try:
            self._places = await self._ask(person)
        except (*TROUBLES, ValueError, TypeError, KeyError) as trouble:
            self._places = None
            log.warning("pool unknown user=%s: %r", person, trouble)
        due = [
            (one.analysed, number)
            for number, one in self._waiting.items()
            if one.rejected not in {"", *_LIMITS} and now - one.analysed >= ANALYSIS_AGE
        ]
        if not due:
            return
        number = min(due)[1]
        one = self._waiting[number]
        one.analysed = now
        try:
            one.analysis = parse(await self._analyse(number, one.person))
        except TROUBLES as trouble:
            one.analysis = Analysis()
            log.warning("requirements unknown user=%s job=%s: %r", one.person, number, trouble)
