"""What a batch system says of jobs: whether one waits, for what, and how it ended. In plain words.

Nothing but the standard library.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["waiting", "running", "held", "over"]


@dataclass(frozen=True)
class Job:
    """One job. why: what it waits for, is held for, or ended with, as the end of a sentence; or nothing."""

    state: State
    why: str = ""


# One question for all jobs of whoever asks, also for those that have just ended
ASK: Mapping[str, tuple[str, ...]] = {
    "slurm": ("squeue", "--me", "--noheader", "--states=all", "--format=%A|%T|%r"),
    "condor": ("condor_q", "-json", "-attributes", "ClusterId,ProcId,JobStatus,HoldReason"),
}
CANCEL: Mapping[str, str] = {"slurm": "scancel", "condor": "condor_rm"}

_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "SUSPENDED", "STOPPED"})
_RUNNING = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING"})
_HOLDS = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
# The more frequent of Slurm's reasons; others are shown as Slurm says them
_SLURM = {
    "None": "",
    "Resources": "all suitable nodes are busy",
    "Priority": "other jobs are ahead of yours",
    "ReqNodeNotAvail": "the nodes are not available",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is not starting jobs at the moment",
    "PartitionTimeLimit": "it requests more time than the partition allows",
    "JobHeldUser": "you put it on hold",
    "JobHeldAdmin": "an administrator put it on hold",
    "JobHoldMaxRequeue": "it was restarted too often and is on hold",
    "Dependency": "it is waiting for another job to end",
    "BeginTime": "it was put back into the queue and starts again soon",
    "Cleaning": "its previous run is still being cleaned up",
    "NonZeroExitCode": "its program ended with an error",
    "RaisedSignal": "its program was killed, most likely because it used more memory than it had requested",
    "TimeLimit": "its time limit was reached",
    "OutOfMemory": "it used more memory than it had requested",
    "JobLaunchFailure": "the node could not start it",
}
_LIMIT = re.compile(r"(QOS|Assoc|Max)\w*(Cpu|CPU|Mem|Jobs|Submit|GRES|Node)\w*")
_HELD = frozenset({"JobHeldUser", "JobHeldAdmin", "JobHoldMaxRequeue"})


def explain_slurm(reason: str) -> str:
    """What a job waits for or ended with, by squeue's reason; "" for nothing."""
    word = reason.partition(",")[0].partition(":")[0].partition("(")[0].strip()
    if word in _SLURM:
        return _SLURM[word]
    if _LIMIT.fullmatch(word):
        return "your jobs have reached a limit of your account"
    return f"Slurm says “{reason}”" if reason else ""


def parse_slurm(stdout: str) -> dict[str, Job]:
    """Of squeue's lines: number → job."""
    found = {}
    for line in stdout.splitlines():
        number, _, rest = line.strip().partition("|")
        state, _, reason = rest.partition("|")
        why = explain_slurm(reason)
        if state in _HOLDS or (state == "PENDING" and reason in _HELD):
            found[number] = Job("held", why)
        elif state in _WAITING:
            found[number] = Job("waiting", why)
        elif state in _RUNNING:
            found[number] = Job("running")
        elif number:
            found[number] = Job("over", why)
    return found


def parse_condor(stdout: str) -> dict[str, Job]:
    """Of condor_q's answer in JSON, which is empty for no job: number → job. Raises ValueError."""
    found = {}
    for ad in json.loads(stdout) if stdout.strip() else ():
        number = f"{ad['ClusterId']}.{ad['ProcId']}"
        status = ad.get("JobStatus")
        if status == 1:
            found[number] = Job("waiting", "HTCondor has no free slot for it yet")
        elif status == 5:
            found[number] = Job("held", str(ad.get("HoldReason", "")).strip(" ."))
        elif status in {3, 4}:
            found[number] = Job("over")
        else:
            found[number] = Job("running")
    return found


PARSE = {"slurm": parse_slurm, "condor": parse_condor}


def describe_waiting(jobs: list[Job], title: str) -> str:
    """One sentence for all that wait; "" when none does."""
    waiting = [job for job in jobs if job.state == "waiting"]
    if not waiting:
        return ""
    count = len(waiting)
    whose = "1 worker waits" if count == 1 else f"{count} workers wait"
    reasons = sorted({job.why for job in waiting if job.why})
    return f"{whose} in the queue of {title}" + (f": {'; '.join(reasons)}." if reasons else ".")


def describe_refusal(title: str, stderr: str) -> str:
    """Why a job was not taken, by what its command printed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Submitting job", "WARNING"))]
    said = re.sub(
        r"^(sbatch|condor_submit|scancel): (error: |ERROR: )?",
        "",
        lines[-1] if lines else "no reason was given",
    )
    if len(lines) > 1 and lines[-1].startswith("sbatch: error: Batch job submission failed"):
        said = (
            re.sub(r"^sbatch: (error: )?", "", lines[-2]) + " (" + lines[-1].rpartition("failed: ")[2] + ")"
        )
    return f"{title} did not take a worker's job: {said.rstrip('.')}."
