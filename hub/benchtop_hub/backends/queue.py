"""The queue of the cluster, asked once for all sessions of the hub.

Upstream runs one squeue a session and poll (batchspawner #329). Here one answer serves everybody until it
is too old for the one who asks. And an answer that did not come is `Unknown`, never "gone": upstream
drops the session then and leaks its job (batchspawner #315).
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

# A job's, or a session's on the login node or in a container
NUMBER = re.compile(r"(local-[0-9]+-)?[0-9]+|box-[0-9a-f]{12}")
# States are Slurm's; what another scheduler says is translated.
# Everything else is alive, states of later versions included: a suspended, requeued or completing job
# still holds what it holds (upstream counts those as gone).
# fmt: off
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL",
    "OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT",
})
WAITING = frozenset({
    "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT",
})
# fmt: on


class Unknown(Exception):  # noqa: N818  # what it is, not that it is an error
    """The scheduler did not say; the message is why, and `trouble` what was met, if anybody was asked."""

    def __init__(self, why: str, trouble: Exception | None = None) -> None:
        super().__init__(why)
        self.trouble = trouble


@dataclass(frozen=True)
class Job:
    """One job, as the scheduler tells it."""

    state: str
    node: str
    reason: str
    lingers: bool = False  # ended, and yet the scheduler keeps it until somebody cancels it
    partition: str = ""
    priority: int = 0
    expected: datetime | None = None  # when it started, or when it is expected to
    owner: str = ""  # "" where nobody says it
    mark: str = ""  # by which a cell knows its own: marks.py
    message: str = ""  # why it ended, where that is known in plain words already
    port: int = 0  # where its session is reached, if not at the port that it listens on

    @property
    def alive(self) -> bool:
        """Does it still hold anything?"""
        return self.state not in ENDED

    @property
    def waiting(self) -> bool:
        """Has it not started?"""
        return self.state in WAITING

    def may_be_of(self, person: str) -> bool:
        """Is nobody else known to be its owner?"""
        return self.owner in {"", person}


class Queue:
    """One cached answer, shared by all who ask."""

    def __init__(
        self,
        ask: Callable[[str], Awaitable[str]],
        parse: Callable[[str], Mapping[str, Job]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask: gets the scheduler's answer in the name of a person; parse: reads it. May raise anything."""
        self._ask = ask
        self._parse = parse
        self._clock = clock
        self._jobs: Mapping[str, Job] | Unknown = Unknown("nobody has asked yet")
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def known(self) -> Mapping[str, Job]:
        """The last answer; nothing when there was none."""
        return {} if isinstance(self._jobs, Unknown) else self._jobs

    async def job(self, number: str, person: str, *, max_age: float = 1.0) -> Job | None:
        """A person's job, by an answer that is at most `max_age` seconds old; None when there is none.

        A scheduler that lost its memory counts anew: a job of somebody else with that number is not theirs.
        Raises Unknown.
        """
        found = (await self.all(person, max_age=max_age)).get(number)
        return found if found and found.may_be_of(person) else None

    async def all(self, person: str, *, max_age: float = 1.0) -> Mapping[str, Job]:
        """All jobs, by number, likewise. person: in whose name to ask, if one must ask. Raises Unknown."""
        needed = self._clock() - max_age
        if self._asked_at < needed:
            async with (
                self._lock
            ):  # all who wait here are served by the first one's answer, if it is new enough
                if self._asked_at < needed:
                    await self._refresh(person)
        if isinstance(self._jobs, Unknown):
            raise Unknown(str(self._jobs), self._jobs.trouble)
        return self._jobs

    async def _refresh(self, person: str) -> None:
        asked_at = self._clock()
        try:
            self._jobs = self._parse(await self._ask(person))
        except Exception as error:
            self._jobs = Unknown(f"{type(error).__name__}: {error}", error)
        self._asked_at = asked_at
