"""One job as its owner sees it, on either batch system."""

import re
from dataclasses import dataclass
from typing import Literal

from benchtop_batch import guardian, systems
from benchtop_batch.place import Cluster

State = Literal["waiting", "running", "suspended", "held", "ending", "done", "failed", "cancelled"]
# In the order in which a person wants to see them
STATES: tuple[State, ...] = (
    "running", "suspended", "ending", "held", "waiting", "failed", "cancelled", "done",
)  # fmt: skip
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})
# Numbers as the commands take them: a job, all of an array or a cluster, and some of an array
NUMBERS: dict[Cluster, re.Pattern[str]] = {
    "slurm": re.compile(r"\d{1,10}(_(\d{1,10}|\[[0-9,:-]+\]))?"),
    "condor": re.compile(r"\d{1,10}(\.\d{1,10})?"),
}
NOT_THERE = ("Invalid job id", "already completing or completed", "Couldn't find", "not found")


class CannotCancelError(Exception):
    """A job was not cancelled; the message says why, as a sentence."""


@dataclass(frozen=True)
class Job:
    """One job, or the tasks of an array that still wait.

    Times are POSIX times in seconds, amounts of memory bytes; None is what the batch system does not say.

    CPU and memory of running jobs are those of sstat on Slurm, which nodes and login nodes of the cluster
    can ask, and on HTCondor what the queue has, which running jobs renew every SHADOW_QUEUE_UPDATE_INTERVAL
    seconds: in between, the CPU is the last rate that was told. Of ended jobs they are those of accounting.
    """

    cluster: Cluster
    """Such as "slurm" or "condor"."""
    number: str
    """As the commands take it: 12, 12_3, 12.0; of tasks that wait also 12_[4-99]."""
    name: str
    """Of HTCondor, the batch name or the program."""
    state: State
    """Running, suspended, ending, held or waiting; failed, cancelled or done."""
    reason: str = ""
    """Why it waits, is on hold, failed or was cancelled, in plain words."""
    node: str = ""
    """Where it runs or ran."""
    submitted: float | None = None
    """When, as the next two."""
    started: float | None = None
    """The last time, if it was started anew."""
    ended: float | None = None
    """Also when it failed or was cancelled."""
    cpus: int = 0
    """Asked for."""
    cpu_time: float | None = None
    """Seconds of CPU that it used, over all CPUs."""
    memory: int = 0
    """Asked for; 0 is not known."""
    memory_used: int | None = None
    """The most that it used at a time."""
    log: str = ""
    """Path of what it prints; "" where that goes nowhere, or is not known."""
    count: int = 1
    """How many tasks it stands for."""
    session: Literal["", "this", "other"] = ""
    """Is it the session that this process runs in, or another one? `sessions` of batch.ini says how those
    are called."""
    raw: str = ""
    """Slurm's own number, by which it knows a task of an array as well."""

    @property
    def active(self) -> bool:
        """Has it not ended?"""
        return self.state not in ENDED

    @property
    def group(self) -> str:
        """The number of the whole array or cluster."""
        return self.number.partition("_" if self.cluster == "slurm" else ".")[0]

    @property
    def since(self) -> float | None:
        """When the state began that it is in, as far as that is known."""
        if not self.active:
            return self.ended
        return self.submitted if self.state in {"waiting", "held"} else self.started

    def elapsed(self, now: float) -> float | None:
        """Seconds that it has run. now: POSIX time"""
        if self.started is None:
            return None
        return max(0.0, (now if self.active else self.ended or now) - self.started)

    def cpu(self, now: float) -> float | None:
        """CPU used of what it has asked for: 1.0 is all of it, all the time. now: POSIX time

        >>> job = Job("slurm", "12_3", "fit", "running", started=1000.0, cpus=2, cpu_time=50.0)
        >>> job.group, job.active, job.elapsed(1100.0), job.cpu(1100.0)
        ('12', True, 100.0, 0.25)
        """
        elapsed = self.elapsed(now)
        if self.cpu_time is None or not elapsed or not self.cpus:
            return None
        return self.cpu_time / (elapsed * self.cpus)

    def cancel(self) -> None:
        """Cancel it. One that has ended meanwhile is no error.

        Raises CannotCancelError: for the session that this runs in, and with what the batch system says.
        """
        if self.session == "this":
            raise CannotCancelError(
                f"Job {self.number} is your session itself: stop it where you started it."
            )
        if self.active:
            cancel(self.cluster, [self.number])


def cancel(cluster: Cluster, numbers: list[str]) -> None:
    """Cancel jobs of one's own by their numbers; those that have ended are no error.

    Raises CannotCancelError.
    """
    wrong = [number for number in numbers if not NUMBERS[cluster].fullmatch(number)]
    if wrong:
        raise CannotCancelError(f"“{wrong[0]}” is not a job number of {systems.NAMES[cluster]}.")
    if not numbers:
        return
    command = "scancel" if cluster == "slurm" else "condor_rm"
    try:
        systems.answer([command, *numbers])
    except systems.NoAnswerError as error:
        said = str(error).removeprefix(f"{command}: ").removeprefix("error: ")
        others = [line for line in said.splitlines() if not any(known in line for known in NOT_THERE)]
        if not said:
            others = [f"{command} gave no reason"]
        if others:
            what = f"Job {numbers[0]} was" if len(numbers) == 1 else "Some jobs were"
            text = " ".join(others)[: systems.SHOWN]
            if "ermission denied" in text:
                text = f"it is not a job of yours ({guardian.user()})"
            raise CannotCancelError(f"{what} not cancelled: {text}.".replace("..", ".")) from None
