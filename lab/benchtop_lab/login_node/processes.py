"""Processes of this machine as /proc tells of them: who descends from whom, and what memory they take.

Not by psutil: a process is known again, from a record that another process wrote, by the kernel's own count
of ticks. psutil tells the hour instead, which moves when the clock is set, and a session would be taken for
lost. Its import would add a quarter to what each question of a hub costs, too (14 ms of CPU to 51).
"""

import contextlib
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process, as /proc tells it."""

    pid: int
    parent: int
    born: int  # in the kernel's ticks: with the pid, it names one process for ever
    uid: int


def process(pid: int) -> Process | None:
    """The process of that number; None when there is none, or only what nobody has fetched yet."""
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] == "Z" else Process(pid, int(fields[1]), int(fields[19]), uid)


def processes() -> dict[int, Process]:
    """All of this machine, by number."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {number: found for number in numbers if (found := process(number))}


def offspring(of: int, everybody: Mapping[int, Process] | None = None) -> list[int]:
    """All that descends from a process, now or among these."""
    children: dict[int, list[int]] = {}
    for found in (processes() if everybody is None else everybody).values():
        children.setdefault(found.parent, []).append(found.pid)
    below, ahead = [], [of]
    while ahead:
        born = children.get(ahead.pop(), [])
        below += born
        ahead += born
    return below


def memory(pids: list[int]) -> int:
    """Megabytes that these take together; what they share is counted once."""
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration, ValueError):
            with contextlib.suppress(OSError, IndexError, ValueError):  # it hides what it shares
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * resource.getpagesize() // 1024
    return total // 1024


def kill(pids: list[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
