"""The two batch systems as people and admins use them, beside their hubs: for tests of sessions."""

from __future__ import annotations

from dataclasses import dataclass
from subprocess import CompletedProcess

from benchtop.settings import Settings
from benchtop.stack import compose
from support.as_person import become

OPERATOR = {"hpc": "erin", "htc": "condor"}
CONTROLLER = {"hpc": "slurmctld", "htc": "condor-ap"}
STATES = {"1": "PENDING", "2": "RUNNING", "3": "ENDING", "5": "HELD", "6": "RUNNING", "7": "SUSPENDED"}
# An operator's steps: by Slurm's scontrol, and by HTCondor's tools.
STEPS = {
    "hpc": {"suspend": "scontrol suspend", "resume": "scontrol resume"},
    "htc": {"suspend": "condor_suspend", "resume": "condor_continue"},
}


@dataclass(frozen=True)
class Job:
    """A job, as its scheduler tells it; `name` is what the queue calls it."""

    number: str
    state: str
    node: str
    name: str


@dataclass(frozen=True)
class Batch:
    """One of the two, hpc or htc."""

    settings: Settings
    cluster: str

    @property
    def operator(self) -> str:
        """Who may do everything to everybody's jobs."""
        return OPERATOR[self.cluster]

    def run(self, person: str, *command: str, on: str = "", check: bool = True) -> CompletedProcess[bytes]:
        """A command as a person: on one of Slurm's nodes, or at the access point with a token of theirs."""
        if self.cluster == "htc" and not on:
            words = ["condor-ap", "condor-as", person]
        else:
            words = [on or "cpu-1", *become(person), "env", f"HOME=/home/{person}"]
        return compose.run(self.settings, "exec", "-T", *words, *command, check=check)

    def said(self, person: str, *command: str, on: str = "") -> str:
        """What such a command says."""
        return self.run(person, *command, on=on).stdout.decode()

    def jobs(self, person: str) -> list[Job]:
        """What a person has in the queue; of HTCondor's, none that has ended."""
        if self.cluster == "hpc":
            queue = ["squeue", "--noheader", f"--user={person}", "--format=%A|%T|%N|%j"]
            return [Job(*line.split("|")) for line in self.said(self.operator, *queue).splitlines()]
        what = 'ClusterId JobStatus ifThenElse(RemoteHost=?=undefined,"-",RemoteHost) JobBatchName'
        left = f'Owner == "{person}" && JobStatus != 4'
        asked = ["condor_q", "-allusers", "-constraint", left, "-autoformat", *what.split()]
        found = (line.split() for line in self.said(self.operator, *asked).splitlines())
        return [
            Job(number, STATES[state], host.partition("@")[2], name) for number, state, host, name in found
        ]

    def job(self, person: str) -> Job | None:
        """The only job of a person; None when there is none, or more than one."""
        found = self.jobs(person)
        return found[0] if len(found) == 1 else None

    def do(self, step: str, number: str) -> None:
        """One of STEPS, by the operator."""
        self.run(self.operator, *STEPS[self.cluster][step].split(), number)

    def cancel(self, person: str, *numbers: str) -> None:
        """As the person themself does."""
        self.run(person, "scancel" if self.cluster == "hpc" else "condor_rm", *numbers, check=False)

    def clear(self, person: str) -> None:
        """End whatever a person has in the queue."""
        self.cancel(person, *(job.number for job in self.jobs(person)))
