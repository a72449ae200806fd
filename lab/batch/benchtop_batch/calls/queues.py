"""What a batch system says of the tasks of jobs: of those in its queue, and of those that have ended."""

import contextlib
import json
import pwd
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import Literal

from benchtop_batch import guardian
from benchtop_batch.calls.failed import End
from benchtop_batch.calls.run import NO_SPACE
from benchtop_batch.maps import words
from benchtop_batch.place import Cluster
from benchtop_batch.systems import ASKING, SHOWN, NoAnswerError, why_condor, why_slurm

MEMORY = re.compile(r"memory limit|oom[- _]?kill|out of memory handler|exceeded job memory", re.IGNORECASE)
_ENDED = {
    "BOOT_FAIL": "node",
    "CANCELLED": "cancelled",
    "COMPLETED": "crashed",
    "DEADLINE": "time",
    "FAILED": "crashed",
    "NODE_FAIL": "node",
    "OUT_OF_MEMORY": "memory",
    "PREEMPTED": "preempted",
    "REVOKED": "cancelled",
    "TIMEOUT": "time",
}  # Slurm's states → `reason` of JobError
_STUCK = ("launch failed requeued held", "JobHoldMaxRequeue")
_BY_HAND = {1, 15}  # HTCondor's codes of a hold that somebody asked for: condor_hold, submitted so
_MEMORY_HOLD = 34


@dataclass(frozen=True)
class Seen:
    """A task in the queue. end: how it ended, when it has"""

    state: Literal["waiting", "running", "ended"]
    reason: str = ""  # why it waits, in plain words
    node: str = ""
    end: End | None = None


def ask(*command: str) -> str:
    """What a command prints, which an interrupt of the notebook does not reach. Raises NoAnswerError."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASKING, check=True, start_new_session=True
        )
    except subprocess.CalledProcessError as error:
        raise NoAnswerError(f"{command[0]}: {error.stderr.strip()}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise NoAnswerError(f"{command[0]}: {error}") from None
    return done.stdout


def listed(cluster: Cluster, name: str) -> dict[str, Seen]:
    """All tasks of jobs of this name that are in the queue, by their numbers. Raises NoAnswerError."""
    if cluster == "slurm":
        whose = (f"--user={guardian.user()}", f"--name={name}", "--states=all")
        return of_slurm(ask("squeue", "--noheader", "--array", *whose, "--format=%i|%T|%N|%r"))
    attributes = "ClusterId,ProcId,JobStatus,HoldReason,HoldReasonCode,LastRejMatchReason,RemoteHost"
    return of_condor(
        ask("condor_q", "-constraint", f'JobBatchName == "{name}"', "-json", "-attributes", attributes)
    )


def of_slurm(answer: str) -> dict[str, Seen]:
    """Of squeue's lines NUMBER|STATE|NODES|REASON."""
    found = {}
    for line in answer.splitlines():
        number, state, node, reason = line.split("|", 3)
        if state in _ENDED:
            found[number] = Seen("ended", node=node, end=End(_ENDED[state], node=node))
        elif reason.strip("()") in _STUCK:
            found[number] = Seen("ended", node=node, end=End("held", reason.strip("()")))
        elif state in {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}:
            found[number] = Seen("waiting", why_slurm(reason))
        else:
            found[number] = Seen("running", node=node)
    return found


def of_condor(answer: str) -> dict[str, Seen]:
    """Of what `condor_q -json` prints."""
    found = {}
    for ad in json.loads(answer) if answer.strip() else []:
        if "ProcId" not in ad:  # of the cluster
            continue
        number, status = f"{ad['ClusterId']}.{ad['ProcId']}", ad.get("JobStatus")
        node = str(ad.get("RemoteHost", "")).rpartition("@")[2]
        if status == 5:
            found[number] = _held(str(ad.get("HoldReason", "")), int(ad.get("HoldReasonCode", 0)), node)
        elif status == 1:
            found[number] = Seen("waiting", why_condor(str(ad.get("LastRejMatchReason", ""))))
        elif status in {3, 4}:
            found[number] = Seen("ended", node=node, end=_of_ad(ad))
        else:
            found[number] = Seen("running", node=node)
    return found


def _held(reason: str, code: int, node: str) -> Seen:
    why = words.hold(reason)
    if code in _BY_HAND:
        return Seen("waiting", why)
    kind = "memory" if code == _MEMORY_HOLD or "used more memory" in why else "held"
    return Seen("ended", node=node, end=End(kind, why, node))


def ended(cluster: Cluster, number: str) -> dict[str, End]:
    """How tasks of a job have ended, of those that are known to have. Raises NoAnswerError."""
    if cluster == "slurm":
        columns = "--format=JobID,State,ExitCode,NodeList"
        return of_sacct(
            ask("sacct", "-X", "--noheader", "--parsable2", "--array", f"--jobs={number}", columns)
        )
    attributes = "ClusterId,ProcId,JobStatus,ExitCode,ExitBySignal,ExitSignal,RemoveReason,LastRemoteHost"
    answer = ask(
        "condor_history", "-json", "-attributes", attributes, "-constraint", f"ClusterId == {number}"
    )
    return {
        f"{ad['ClusterId']}.{ad['ProcId']}": _of_ad(ad)
        for ad in (json.loads(answer) if answer.strip() else [])
    }


def of_sacct(answer: str) -> dict[str, End]:
    """Of sacct's lines NUMBER|STATE|CODE:SIGNAL|NODES."""
    found = {}
    for line in answer.splitlines():
        number, state, code, node = line.split("|")[:4]
        state, _, by = state.partition(" by ")
        if state not in _ENDED:
            continue
        kind, said = _ENDED[state], ""
        if kind == "cancelled" and by.isdecimal():
            with contextlib.suppress(KeyError):
                said = f"by {pwd.getpwuid(int(by)).pw_name}"
        elif kind == "crashed":
            status, _, number_of_signal = code.partition(":")
            kind, said = _crash(int(status or 0), int(number_of_signal or 0))
        found[number] = End(kind, said, "" if node == "None assigned" else node)
    return found


def _of_ad(ad: dict[str, object]) -> End:
    node = str(ad.get("LastRemoteHost", "")).rpartition("@")[2]
    if ad.get("JobStatus") == 3:
        by = re.search(r"\(by user ([^@)]+)", str(ad.get("RemoveReason", "")))
        return End("cancelled", f"by {by[1]}" if by else str(ad.get("RemoveReason", ""))[:SHOWN], node)
    by_signal = ad.get("ExitSignal") if ad.get("ExitBySignal") is True else 0
    kind, said = _crash(int(str(ad.get("ExitCode", 0))), int(str(by_signal or 0)))
    return End(kind, said, node)


def _crash(status: int, number: int) -> tuple[str, str]:
    if status == NO_SPACE:
        return "space", ""
    if status > 128 and not number:  # as a shell says it
        number = status - 128
    if number:
        try:
            return "crashed", f"by signal {number}, {signal.strsignal(number)}"
        except ValueError:
            return "crashed", f"by signal {number}"
    return "crashed", f"with exit code {status}"
