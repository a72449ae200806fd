"""What a measurement gives: a figure beside its bar, its aim and its floor."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import quantiles

from benchtop.console import Problem
from support.wait import wait_until

CLOSELY = 0.02  # seconds between two looks, where the look itself is what is measured


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    floor: what the same would take with nothing of ours in it; "" where there is nothing to compare
    """

    what: str
    measured: str
    floor: str = ""
    bar: str = ""
    aim: str = ""

    def describe(self) -> str:
        """The line, in Markdown."""
        cells = (self.what, self.bar or "-", self.aim or "-", self.measured, self.floor or "-")
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Table:
    """What does not fit into a line: a table of its own."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """The table under its title, in Markdown."""
        lines = (self.head, ("---",) * len(self.head), *self.rows)
        return "\n".join([f"## {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def until(condition: Callable[[], object], what: str, *, timeout: float = 120) -> None:
    """Ask closely until it is true. Raises Problem when that takes too long to be a figure."""
    try:
        wait_until(lambda: bool(condition()), timeout=timeout, what=what, every=CLOSELY)
    except AssertionError as late:
        raise Problem(f"Cannot be measured: {late}.") from None


def p95(values: Iterable[float]) -> float:
    """The value that one in twenty exceeds."""
    known = list(values)
    # Python takes a single one only from 3.13 on
    return quantiles(known, n=20, method="inclusive")[-1] if len(known) > 1 else known[0]
