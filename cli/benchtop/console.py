"""What a person sees while the tool works: one line a step, how long it took, and sentences.

On a terminal the line of the running step is alive (spinner, elapsed time, what is happening
now); in a log it is printed when the step ends, so that a CI log reads from top to bottom.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(highlight=False, soft_wrap=True, stderr=True)
log = logging.getLogger("benchtop")
log.addHandler(logging.NullHandler())  # before `keep_log`, nothing of it belongs on the terminal


class Problem(Exception):  # noqa: N818 - it is a sentence for a person, not a programming error
    """Something that the person at the keyboard can mend: what happened, and what to do next.

    details: lines that help to understand it (a log's end, a list of wrong lines); shown below it.
    """

    def __init__(self, message: str, details: list[str] | None = None) -> None:
        super().__init__(message)
        self.details = details or []
        for line in self.details:
            self.add_note(line)  # a traceback, of a test for example, shows them too


class Step:
    """The running step: `now` says what it is busy with, `note` leaves a line behind."""

    def __init__(self, title: str, status: Status | None) -> None:
        self.title = title
        self.outcome = ""
        self.began = time.monotonic()
        self._status = status

    @property
    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.began

    def now(self, what: str) -> None:
        """Show what is going on this moment; costs nothing in a log."""
        if self._status:
            self._status.update(f"{escape(self.title)} [dim]{duration(self.elapsed)}  {escape(what)}[/dim]")

    def note(self, line: str) -> None:
        """Leave a line behind, for what a person may want to read again later."""
        OUT.print(f"    [dim]{escape(line)}[/dim]")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s` or `3 min 5 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` while the body runs, then `✓ title: outcome (time)` or `✗ title (time)`."""
    status = OUT.status(escape(title), spinner="dots") if OUT.is_terminal else None
    current = Step(title, status)
    try:
        if status:
            with status:
                yield current
        else:
            yield current
    except BaseException:
        OUT.print(f"[red]✗[/red] {escape(title)} [dim]({duration(current.elapsed)})[/dim]")
        raise
    outcome = f": {escape(current.outcome)}" if current.outcome else ""
    OUT.print(f"[green]✓[/green] {escape(title)}{outcome} [dim]({duration(current.elapsed)})[/dim]")


def say(line: str = "") -> None:
    """A plain line on standard output."""
    OUT.print(escape(line))


def complain(problem: Problem) -> None:
    """Show a problem on standard error: the sentence first, what may explain it below."""
    ERR.print(f"[bold red]{escape(str(problem))}[/bold red]")
    for line in problem.details:
        ERR.print(f"  [dim]{escape(line)}[/dim]")


def keep_log(folder: Path) -> None:
    """Write what the tool does, tracebacks included, to `benchtop.log` in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.FileHandler(folder / "benchtop.log")
    except OSError:  # a checkout that one may only read still answers `make help` or `doctor`
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.CRITICAL)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
