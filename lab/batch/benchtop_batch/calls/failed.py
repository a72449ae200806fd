"""Why there is no result: an exception of its own kind, whose message is a sentence with what to do."""

from dataclasses import dataclass
from pathlib import Path

from benchtop_batch.place import Cluster
from benchtop_batch.systems import NAMES, SHOWN

LAST_LINES = 8  # that are shown of what a job printed
_TAIL = 1 << 14  # bytes of a log that are looked at


class OptionError(ValueError):
    """There is no such option, partition, type of GPU, account or QOS; the message says which there are."""


class NotSubmittedError(RuntimeError):
    """No job was taken, and nothing is left behind; the message says why: no credential, no space, …"""


class JobError(RuntimeError):
    """A job ended without a result; the message says why, and what to do. Those below are of this kind.

    message: the sentence
    number: of the job, as its batch system writes it
    cluster: "slurm" or "condor"
    log: path of what it printed

    `number`, `cluster`, `log` and `reason`, the kind in a word ("unknown" is this one's), are attributes.
    """

    reason = "unknown"

    def __init__(self, message: str, number: str = "", cluster: Cluster = "slurm", log: str = "") -> None:
        super().__init__(message)
        self.number, self.cluster, self.log = number, cluster, log

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        return type(self), (str(self), self.number, self.cluster, self.log)


class OutOfMemoryError(JobError):
    """It used more memory than it asked for."""

    reason = "memory"


class TimeLimitError(JobError):
    """It reached its time limit."""

    reason = "time"


class HeldError(JobError):
    """The batch system put it on hold, and not by hand. It is removed from the queue, where it would stay."""

    reason = "held"


class NodeLostError(JobError):
    """Its node failed, and the job was not started anew."""

    reason = "node"


class JobCancelledError(JobError):
    """Somebody cancelled it, and not by its future."""

    reason = "cancelled"


class PreemptedError(JobError):
    """It had to make room for another job, and was not put back into the queue."""

    reason = "preempted"


class NoSpaceError(JobError):
    """There was no space for its result in the home."""

    reason = "space"


class CrashedError(JobError):
    """Its Python ended before the function did: by os._exit, or by a signal."""

    reason = "crashed"


class RemoteError(RuntimeError):
    """The function raised an exception that cannot be brought here; the message is all there is of it."""


class RemoteTraceback(Exception):  # noqa: N818 no error of its own: the cause that an exception shows
    """The traceback of an exception on its node."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


_KINDS: dict[str, type[JobError]] = {
    kind.reason: kind
    for kind in (
        OutOfMemoryError, TimeLimitError, HeldError, NodeLostError, JobCancelledError, PreemptedError,
        NoSpaceError, CrashedError, JobError,
    )
}  # fmt: skip


@dataclass(frozen=True)
class End:
    """How a job ended that left no result.

    kind: a `reason` of JobError
    words: more about it, of the batch system
    """

    kind: str
    words: str = ""
    node: str = ""


def error(  # noqa: PLR0913 each is said
    end: End,
    number: str,
    cluster: Cluster,
    log: Path,
    *,
    asked: str = "",
    option: str = "memory",
) -> JobError:
    """The exception for it. asked: the memory that it asked for, in words; option: how one asks for more."""
    where = f" on {end.node}" if end.node else ""
    job = f"{NAMES[cluster]} job {number}"
    told = {
        "memory": f"{job} used more memory{where} than it asked for{f' ({asked})' if asked else ''}."
        f" Ask for more, for example with {option}.",
        "time": f"{job} reached its time limit{where} before the function returned. Ask for more time, or"
        " give each job less to do.",
        "held": f"{job} was put on hold and is removed: {end.words or 'no reason is given'}.",
        "node": f"{job} was lost with its node{f' {end.node}' if end.node else ''}. Call the function again.",
        "cancelled": f"{job} was cancelled{f' {end.words}' if end.words else ''}, and not by this notebook."
        " To have the result after all, call the function again.",
        "preempted": f"{job} had to make room for another job and was not put back into the queue. Call the"
        " function again, or use another partition or QOS.",
        "space": f"{job} had no space in your home for its result. Delete what you do not need (`du -xh"
        " --max-depth=1 ~ | sort -h` shows what takes most), and call the function again.",
        "crashed": f"{job}: its Python ended{where} before the function returned ({end.words}).",
    }.get(end.kind, f"{job} has ended without a result{f' ({end.words})' if end.words else ''}.")
    if end.kind in {"crashed", "held", "unknown"} and (lines := last_lines(log)):
        told += "\nThe last that it printed:\n" + "\n".join(f"    {line[:SHOWN]}" for line in lines)
    told += f"\nIts log: {log}"
    return _KINDS.get(end.kind, JobError)(told, number, cluster, str(log))


def tail(log: Path) -> str:
    """The end of what a job printed; "" where there is nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_lines(log: Path) -> list[str]:
    """The last lines of that."""
    return tail(log).strip().splitlines()[-LAST_LINES:]
