"""The tutorials of lab/tutorials, and what must be true of each once all of its cells have run."""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchtop.settings import Settings
from support.batch import Batch
from support.notebooks import Shown

FOLDER = Path(__file__).parents[2] / "lab/tutorials"


@dataclass(frozen=True)
class Tutorial:
    """A notebook, by whom and where it is executed, and what it must have printed and run by then."""

    name: str
    places: tuple[tuple[str, str], ...]  # each a cluster and a person, whose session there executes it
    printed: Callable[[Sequence[Shown]], None]  # recomputes what the cells print
    ran: Callable[[Settings, str], object]  # waits until the accounting has the jobs of a person that it made
    options: dict[str, object] = field(default_factory=dict)  # of the session, beside the least

    @property
    def file(self) -> Path:
        """The notebook."""
        return FOLDER / f"{self.name}.ipynb"


def _htmap_printed(shown: Sequence[Shown]) -> None:
    text = "\n".join(cell.stdout for cell in shown)
    points = 0
    for seed in range(12):
        numbers = random.Random(seed)  # noqa: S311 the tutorial's
        points += sum(numbers.random() ** 2 + numbers.random() ** 2 < 1 for _ in range(200_000))
    for line in (
        f"{points} of 2400000 points: pi is about {points / 600_000:.4f}",
        str([number**3 for number in range(10)]),
        "COMPLETED = 12",
        "True",
        "3 6",
        "failed: ZeroDivisionError: integer division or modulo by zero",
        "['tutorial-pi']",
    ):
        assert line in text, line
    bars = [line for cell in shown for line in cell.texts]
    assert bars[-1].startswith("tutorial-pi: 12 of 12 done")


def _htmap_ran(settings: Settings, person: str) -> object:
    """The map of 12 that the notebook has left, in the pool's history."""
    wanted = f'Owner == "{person}" && JobBatchName == "tutorial-pi" && ExitCode == 0'
    words = ["condor_history", "-limit", "12", "-constraint", wanted, "-autoformat", "ProcId"]
    return sorted(map(int, Batch(settings, "htc").said(person, *words).split())) == list(range(12))


def _dask_printed(shown: Sequence[Shown]) -> None:
    text = "\n".join(cell.stdout for cell in shown)

    def primes(stop: int) -> int:
        composite = {multiple for n in range(2, math.isqrt(stop) + 1) for multiple in range(n * n, stop, n)}
        return stop - 2 - len(composite)

    for line in (
        "2 workers",
        f"{primes(100_000)} primes below 100000",
        "True counted on the nodes of your cluster",
        f"{math.pi**2 / 6 - 1 / 20_000_000:.6f} is nearly pi squared over six",
        f"{sum(n * n for n in range(100))} is the sum of a hundred squares",
        f"{primes(1000)} primes below 1000",
        "True tls",
        "closed",
    ):
        assert line in text, line


def _engines_printed(shown: Sequence[Shown]) -> None:
    text = "\n".join(cell.stdout for cell in shown)
    primes = sum(all(n % d for d in range(2, math.isqrt(n) + 1)) for n in range(2, 40_000))
    for line in (
        f"IPyParallel: {primes}",
        f"Parsl: {primes}",
        f"Executor: {primes}",
        "[40001, 40001]",
        "raised: ValueError",
    ):
        assert line in text, line


def _recorded(wanted: Mapping[str, int]) -> Callable[[Settings, str], bool]:
    """Has the accounting of a person's cluster so many jobs of the last ten minutes, by patterns of names?"""

    def ran(settings: Settings, person: str) -> bool:
        if person == "carol":
            words = ["sacct", "--allocations", "--noheader", "--starttime=now-10minutes", "--parsable2"]
            words += [f"--user={person}", "--format=JobName"]
            said = Batch(settings, "hpc").said(person, *words)
        else:
            recent = f'Owner == "{person}" && EnteredCurrentStatus > time() - 600'
            words = ["condor_history", "-constraint", recent, "-autoformat", "JobBatchName"]
            said = Batch(settings, "htc").said(person, *words)
        names = said.splitlines()
        return all(len(fnmatch.filter(names, pattern)) >= count for pattern, count in wanted.items())

    return ran


TUTORIALS = [
    Tutorial("04-htmap", (("htc", "bob"), ("hpc", "alice")), _htmap_printed, _htmap_ran),
    Tutorial("05-dask", (("hpc", "carol"), ("htc", "bob")), _dask_printed, _recorded({"dask-worker-*": 2})),
    Tutorial(
        "06-ipyparallel-and-parsl",
        (("hpc", "carol"), ("htc", "bob")),
        _engines_printed,
        _recorded({"ipengine-*": 2, "parsl-*": 1}),
    ),
]
