"""The cluster as this hub sees it: asked by command, in one person's name, and remembered for a while."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from benchtop_hub import commands, jobs, rights
from benchtop_hub.minter import Minter, Refused

T = TypeVar("T")
REMEMBER = 60.0  # seconds: as long may a change of rights take to reach the form; Slurm itself knows at once


@dataclass
class _Kept(Generic[T]):
    value: T
    until: float


class Cluster:
    """Slurm, for the people of one hub."""

    def __init__(self, minter: Minter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.minter = minter
        self.queue = jobs.Queue(self._squeue)
        self._clock = clock
        self._kept: dict[str, _Kept[str]] = {}

    @classmethod
    def reached_by(cls, minter_url: str, keys: str) -> "Cluster":
        """The cluster whose minter answers at `minter_url` to the certificate in the folder `keys`."""
        return cls(Minter(minter_url, Path(keys)))

    async def run(
        self, person: str, *command: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> str:
        """Run one of Slurm's commands as `person`. Raises commands.Failed, minter.Refused or Unavailable."""
        return await commands.run(*command, token=await self.minter.token(person), stdin=stdin, env=env)

    async def choices(self, person: str) -> list[rights.Choice]:
        """What this person may use. Raises as `run` does."""
        shown = await self._ask("partitions", person, "scontrol", "--oneliner", "--all", "show", "partition")
        qos = await self._ask("qos", person, *_SACCTMGR, "qos", f"format={rights.QOS}")
        assoc = await self._ask(
            f"assoc {person}", person, *_SACCTMGR, "assoc", "where", f"user={person}",
            f"format={rights.ASSOCIATIONS}",
        )  # fmt: skip
        parts = rights.partitions(shown, await self._nodes(person))
        return rights.choices(parts, rights.qualities(qos), rights.associations(assoc))

    async def is_node(self, name: str, person: str) -> bool:
        """Is this a node of the cluster? A session is looked for nowhere else."""
        return name in rights.node_names(await self._nodes(person))

    async def _nodes(self, person: str) -> str:
        return await self._ask(
            "nodes", person, "sinfo", "--all", "--noheader", "--Node", f"--format={rights.NODES}"
        )

    async def _ask(self, what: str, person: str, *command: str) -> str:
        kept = self._kept.get(what)
        if kept is None or kept.until < self._clock():
            answer = await self.run(person, *command)
            kept = self._kept[what] = _Kept(answer, self._clock() + REMEMBER)
        return kept.value

    async def _squeue(self, person: str) -> str:
        """The whole queue: everybody may see it, so it may be asked in anybody's name."""
        ask: Callable[[str], Awaitable[str]] = lambda who: self.run(  # noqa: E731
            who, "squeue", "--all", "--noheader", "--states=all", f"--format={jobs.FORMAT}"
        )
        for who in dict.fromkeys((person, *self.minter.known())):
            try:
                return await ask(who)
            except Refused as refused:  # somebody who left: their jobs are still looked at
                why = refused
        raise why


_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show")
