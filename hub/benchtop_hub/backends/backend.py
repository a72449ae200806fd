"""The cluster as this hub sees it: asked by command, in one person's name, and remembered for a while."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from benchtop_hub.access.minter import Minter, Refused, Unavailable
from benchtop_hub.backends import commands
from benchtop_hub.backends import queue as jobs

T = TypeVar("T")
FREE_AGE = 5.0  # seconds: as old may be what is said of free CPUs and GPUs
TROUBLES = (commands.Failed, Unavailable, Refused)  # what a command may raise
REMEMBER = 60.0  # seconds: as long may a change of rights take to reach the form; the scheduler knows at once


class Denied(Exception):  # noqa: N818  # what it is, not that it is an error
    """The scheduler lets this person not end this job: it is somebody else's."""


@dataclass
class _Kept(Generic[T]):
    value: T
    at: float


class Cluster(ABC):
    """A batch system, for the people of one hub."""

    def __init__(self, minter: Minter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.minter = minter
        self.queue = jobs.Queue(self._in_anybodys_name, self.parse)
        self._clock = clock
        self._kept: dict[str, _Kept[str]] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    def reached_by(cls, minter_url: str, keys: str) -> Self:
        """The cluster whose minter answers at `minter_url` to the certificate in the folder `keys`."""
        return cls(Minter(minter_url, Path(keys)))

    async def run(
        self,
        person: str,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        errors: bool = False,
    ) -> str:
        """Run one of the scheduler's commands as `person`; `errors` as commands.run has it.

        Raises commands.Failed, minter.Refused or minter.Unavailable.
        """
        shown = self.showing(person, await self.minter.token(person))
        return await commands.run(*command, stdin=stdin, env={**(env or {}), **shown}, errors=errors)

    @abstractmethod
    def showing(self, person: str, token: str) -> dict[str, str]:
        """The variables by which a command shows the token of a person."""

    @abstractmethod
    async def listing(self, person: str) -> str:
        """What the scheduler says of the jobs in its queue, asked in one person's name."""

    @abstractmethod
    def parse(self, listing: str) -> Mapping[str, jobs.Job]:
        """The jobs of a listing, by number."""

    async def is_node(self, name: str, person: str) -> bool:
        """Is this a node of the cluster? A session is looked for nowhere else. Raises as `run` does."""
        for age in (REMEMBER, 0.0):  # it may be new
            if name in await self.nodes(person, age):
                return True
        return False

    @abstractmethod
    async def nodes(self, person: str, max_age: float) -> Set[str]:
        """The nodes, by what was said of them at most `max_age` seconds ago. Raises as `run` does."""

    @abstractmethod
    async def cancel(self, number: str, person: str) -> bool:
        """Tell the scheduler to end a job; False when it knows no such job. Raises Denied, or as `run`."""

    async def insist(self, number: str, person: str) -> None:
        """What is left to do for a job that was cancelled and does not end: here, to say it again."""
        await self.cancel(number, person)

    def forget(self) -> None:
        """Ask for everything anew: the scheduler has just contradicted what was remembered."""
        self._kept.clear()

    async def _ask(self, what: str, person: str, *command: str, max_age: float = REMEMBER) -> str:
        """What a command said at most `max_age` seconds ago; `what` names the question.

        Who asks while somebody is asking already is served by that answer, unless an older one will do.
        """
        needed = self._clock() - max_age
        if (kept := self._kept.get(what)) and kept.at >= needed:
            return kept.value
        async with self._asking[what]:
            kept = self._kept.get(what)
            if kept is None or kept.at < needed:
                began = self._clock()
                kept = self._kept[what] = _Kept(await self.run(person, *command), began)
        return kept.value

    async def _in_anybodys_name(self, person: str) -> str:
        """The whole queue: everybody may see it, so it may be asked in anybody's name."""
        for who in dict.fromkeys((person, *self.minter.known())):
            try:
                return await self.listing(who)
            except Refused as refused:  # somebody who left: their jobs are still looked at
                why = refused
        raise why
