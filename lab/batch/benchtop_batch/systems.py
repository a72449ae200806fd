"""The jobs behind a cluster of workers: what the batch system says of them, in plain words.

All jobs of one cluster have one name, by which they are found again whoever submitted them, and however that
ended. The words of Slurm are those of 24.11 (src/common/slurm_protocol_defs.c); what is not known here is
shown as the batch system says it.

Nothing but the standard library.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchtop_batch import guardian
from benchtop_batch.place import Cluster

NAMES: dict[Cluster, str] = {"slurm": "Slurm", "condor": "HTCondor"}
ASKING = 20.0  # seconds that a batch system has for an answer
SHOWN = 300  # characters that are shown of what it says

_RUNNING = frozenset(
    {"RUNNING", "CONFIGURING", "SUSPENDED", "STOPPED", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING"}
)
_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED"})
_HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_SLURM = {
    "Resources": "all suitable nodes are busy",
    "Priority": "other jobs are ahead",
    "None": "the scheduler has not looked at it yet",
    "": "the scheduler has not looked at it yet",
    "BeginTime": "it was put back into the queue, and starts again in a minute or two",
    "ReqNodeNotAvail": "the nodes are not available",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is not starting jobs at the moment",
    "PartitionTimeLimit": "it requests more time than the partition allows",
    "BadConstraints": "no node can ever provide what it requests",
    "JobHeldUser": "you put it on hold",
    "JobHeldAdmin": "an administrator put it on hold",
    "JobHoldMaxRequeue": "it was restarted too often and is on hold",
    "Dependency": "it is waiting for another job to end",
    "Cleaning": "its previous run is still being cleaned up",
    "JobArrayTaskLimit": "no more of them may run at a time",
    "AssocMaxJobsLimit": "you already have as many running jobs as your account may have",
    "AssocMaxSubmitJobLimit": "you already have as many jobs as your account may have",
    # of those that have ended
    "NonZeroExitCode": "its program ended with an error",
    "RaisedSignal": "its program was killed, most likely because it used more memory than it had requested",
    "TimeLimit": "its time limit was reached",
    "OutOfMemory": "it used more memory than it had requested",
    "JobLaunchFailure": "the node could not start it",
}
_SLURM_LIMIT = (
    "a limit is reached of what you, your account or this quality of service may use at a time ({})"
)
_CONDOR = {
    "": "the pool has not considered it yet",
    "no match found": "no slot with enough CPUs and memory is free",
    "insufficient priority": "users with a higher priority hold the suitable slots",
    "PREEMPTION_REQUIREMENTS == False": "all suitable slots are busy",
    "submitter limit exceeded": "you are using your share of the pool, and others are waiting for theirs",
}


class NoAnswerError(Exception):
    """A batch system says nothing that can be used; its message is for the log."""


@dataclass(frozen=True)
class Job:
    """One job, or one of an array."""

    number: str
    state: Literal["waiting", "running", "held", "over"]
    reason: str = ""  # why it waits, is on hold or has ended, in plain words: the end of a sentence


def listed(cluster: Cluster, name: str, *, over: bool = False) -> list[Job]:
    """The jobs of this name that have not ended; with `over`, and those of which Slurm still knows how.

    Raises NoAnswerError.
    """
    user = f"--user={guardian.user()}"
    words = {
        "slurm": [
            "squeue", "--noheader", "--array", user, f"--name={name}", "--format=%i|%T|%r",
            *(["--states=all"] if over else []),
        ],
        "condor": [
            "condor_q", "-constraint", f'JobBatchName == "{name}" && JobStatus != 3 && JobStatus != 4',
            "-json", "-attributes", "ClusterId,ProcId,JobStatus,HoldReason,LastRejMatchReason",
        ],
    }[cluster]  # fmt: skip
    try:
        return (of_slurm if cluster == "slurm" else of_condor)(answer(words))
    except (ValueError, KeyError) as error:
        raise NoAnswerError(f"{words[0]}: {error}") from None


def answer(words: Sequence[str], env: Mapping[str, str] | None = None, within: float = ASKING) -> str:
    """What a command of a batch system prints. Raises NoAnswerError.

    env: its environment; this process's own by default. within: seconds
    """
    try:
        return subprocess.run(
            words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=within, check=True,
        ).stdout  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise NoAnswerError(f"{words[0]}: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{words[0]}: no answer within {within:.0f} seconds") from None
    except OSError as error:
        raise NoAnswerError(f"{words[0]}: {error.strerror}") from None


def of_slurm(said: str) -> list[Job]:
    r"""Of squeue's lines NUMBER|STATE|REASON.

    >>> of_slurm("7_0|RUNNING|None\n7_1|PENDING|Resources")
    [Job(number='7_0', state='running', reason=''),
     Job(number='7_1', state='waiting', reason='all suitable nodes are busy')]
    """
    found = []
    for line in said.splitlines():
        number, state, reason = line.split("|", 2)
        if state in _HELD or (state == "PENDING" and reason.startswith(("JobHeld", "JobHold"))):
            found.append(Job(number, "held", why_slurm(reason)))
        elif state in _WAITING:
            found.append(Job(number, "waiting", why_slurm(reason)))
        elif state in _RUNNING:
            found.append(Job(number, "running"))
        else:
            found.append(Job(number, "over", "" if reason in {"", "None"} else why_slurm(reason)))
    return found


def why_slurm(reason: str) -> str:
    """Why Slurm keeps a job waiting, or how it ended.

    >>> why_slurm("(Priority)")
    'other jobs are ahead'
    >>> why_slurm("QOSMaxCpuPerUserLimit")
    'a limit is reached of what you, your account or this quality of service may use ...'
    """
    word = re.sub(r"\W.*", "", reason.strip("()"))
    if word in _SLURM:
        return _SLURM[word]
    if "Max" in word or "Grp" in word:
        return _SLURM_LIMIT.format(word)
    return f"Slurm says “{reason[:SHOWN]}”"


def of_condor(said: str) -> list[Job]:
    """Of what `condor_q -json` prints."""
    found = []
    for ad in json.loads(said) if said.strip() else []:
        number, state = f"{ad['ClusterId']}.{ad['ProcId']}", ad["JobStatus"]
        if state == 5:
            found.append(
                Job(number, "held", str(ad.get("HoldReason", "no reason is given"))[:SHOWN].strip(" ."))
            )
        elif state == 1:
            found.append(Job(number, "waiting", why_condor(str(ad.get("LastRejMatchReason", "")))))
        else:
            found.append(Job(number, "running"))
    return found


def why_condor(reason: str) -> str:
    """Why HTCondor keeps a job waiting, of what the negotiator said last.

    >>> why_condor("no match found")
    'no slot with enough CPUs and memory is free'
    """
    for known, words in _CONDOR.items():
        if reason.strip() == known:
            return words
    return f"HTCondor says “{reason[:SHOWN]}”"


def waiting(cluster: Cluster, what: str, jobs: Sequence[Job], wanted: int) -> str:
    r"""What a person waits for, as a sentence; "" when nothing waits. what: as "engine", each a job

    >>> waiting("slurm", "worker", of_slurm("7|RUNNING|None\n8|PENDING|Resources"), 4)
    '1 of 4 workers waits in the queue of Slurm: all suitable nodes are busy.'
    """
    queued = [job for job in jobs if job.state == "waiting"]
    if not queued:
        return ""
    reason = Counter(job.reason for job in queued).most_common(1)[0][0]
    how_many = f"{len(queued)} of {wanted} {plural(what, wanted)}"
    verb = "waits" if len(queued) == 1 else "wait"
    return f"{how_many} {verb} in the queue of {NAMES[cluster]}: {reason}."


def plural(what: str, number: int) -> str:
    """As 1 engine, 2 engines."""
    return what if number == 1 else f"{what}s"


def cancel(cluster: Cluster, name: str) -> None:
    """End all jobs of this name; some may have ended. Raises NoAnswerError."""
    words = guardian.cancelling(cluster, name)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ASKING, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoAnswerError(f"{words[0]}: {error}") from None
    nothing = ("not found", "Couldn't find", "Invalid job id", "have been marked")
    if done.returncode and done.stderr.strip() and not any(text in done.stderr for text in nothing):
        raise NoAnswerError(f"{words[0]}: {done.stderr.strip()}")


def submit_error(cluster: Cluster, said: str) -> str:
    """What a person is told when a batch system took no job, of what it said.

    >>> submit_error("slurm", "sbatch: error: Batch job submission failed: Invalid qos specification")
    'Slurm took no job: Batch job submission failed: Invalid qos specification.'
    """
    lines = [
        re.sub(r"^(sbatch: |condor_submit: )?(error: |ERROR: )?", "", line.strip())
        for line in said.splitlines()
    ]
    text = " ".join(line for line in lines if line and not line.startswith(("Submitting job", "WARNING")))
    text = re.sub(r"^(.+) Batch job submission failed: (.+)$", r"\1 (\2)", text)  # what of it is named before
    text = text[:SHOWN].rstrip(".") or "it gave no reason"
    return f"{NAMES[cluster]} took no job: {text}."
