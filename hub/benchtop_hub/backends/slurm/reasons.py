"""Why a Slurm job waits, how many are before it and when it is expected to start, in plain words.

The words are those of Slurm 24.11 (src/common/slurm_protocol_defs.c). What is not known here is shown as
Slurm says it: better a foreign word than a wrong one.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from benchtop_hub import wording
from benchtop_hub.backends.queue import Job

_IN_LINE = frozenset({"", "Priority", "Resources"})  # such a job waits for its turn, and for nothing else

_WHY: Mapping[str, str] = {
    "Resources": "all suitable nodes are busy",
    "Priority": "other jobs are ahead of yours",
    "ReqNodeNotAvail": "the nodes are not available",
    "NodeDown": "the node is down",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is not starting jobs at the moment",
    "PartitionNodeLimit": "it requests more nodes than the partition allows",
    "PartitionTimeLimit": "it requests more time than the partition allows",
    "PartitionConfig": "the partition does not allow what it requests",
    "BadConstraints": "no node can ever provide what it requests",
    "Reservation": "its reservation has not started",
    "ReservationDeleted": "its reservation was deleted",
    "ReservationInvalid": "its reservation is not valid",
    "BeginTime": "it is set to start later",
    "JobHeldUser": "you put it on hold",
    "JobHeldAdmin": "an administrator put it on hold",
    "JobHoldMaxRequeue": "it was restarted too often and is on hold",
    "Dependency": "it is waiting for another job to end",
    "DependencyNeverSatisfied": "it is waiting for a job that can no longer finish as required",
    "Licenses": "all licenses are in use",
    "AccountNotAllowed": "your account may not use the partition",
    "QOSNotAllowed": "your quality of service may not use the partition",
    "InvalidAccount": "your account is no longer valid",
    "InvalidQOS": "your quality of service is no longer valid",
    "QOSUsageThreshold": "you have used too much of this quality of service",
    "MaxMemPerLimit": "it requests more memory than is allowed",
    "MaxPoweredUpNodes": "the maximum number of nodes is already powered on",
    "Prolog": "the node is being prepared",
    "Cleaning": "its previous run is still being cleaned up",
    "SchedDefer": "the scheduler has not considered it yet",
    "NonZeroExitCode": "JupyterLab stopped by itself",
    "RaisedSignal": "JupyterLab was killed",
    # Slurm's own watch over memory ends a job like this, and so does the kernel of the node
    "RaisedSignal:9": wording.KILLED,
    "RaisedSignal:53": "the node could not open its log: your home directory may be full or missing",
    "TimeLimit": wording.TIME_LIMIT,
    "OutOfMemory": wording.OUT_OF_MEMORY,
    "DeadLine": "it could not finish before its deadline",
    "JobLaunchFailure": "the node could not start it",
    "SystemFailure": "the scheduler failed",
}
_THINGS: Mapping[str, str] = {
    "cpu": "CPUs", "mem": "memory", "memory": "memory", "gres": "GPUs", "node": "nodes", "jobs": "jobs",
    "submitjob": "jobs", "submitjobs": "jobs", "license": "licenses", "billing": "billing units",
    "bb": "burst buffer", "energy": "energy", "wall": "time", "wallduration": "time",
}  # fmt: skip
_UNCOUNTED = {"memory", "energy", "burst buffer", "time"}
_LIMIT = re.compile(
    r"(?P<whose>QOS|Assoc|)(?P<kind>Grp|Max|Min)"
    r"(?P<thing>Cpu|CPU|Memory|Mem|GRES|Node|Jobs|SubmitJobs?|License|Billing|BB|Energy|WallDuration|Wall)"
    r"(?P<time>(?:Run)?Min(?:ute)?s)?(?P<per>Per(?:Job|Node|User|Account))?(?:NotSatisfied|Limit)?"
)


def explain(reason: str) -> str:
    """Why a job waits or ended, of squeue's reason; "" for none.

    A reason may have more behind it: "ReqNodeNotAvail, UnavailableNodes:gpu-1", "RaisedSignal:9(Killed)".
    """
    word, _, more = reason.partition(",")
    signal = word.partition("(")[0]
    known = _WHY.get(signal) or _WHY.get(signal.partition(":")[0]) or _limit(word)
    if known is None:
        return f"Slurm says “{reason}”" if reason else ""
    nodes = more.strip().removeprefix("UnavailableNodes:")
    return f"{known} ({nodes})" if nodes and nodes != more.strip() else known


def _limit(word: str) -> str | None:
    found = _LIMIT.fullmatch(word)
    if found is None:
        return None
    thing = _THINGS[found["thing"].lower()]
    whose = "your account" if found["whose"] == "Assoc" else "this quality of service"
    if found["kind"] == "Min":
        less = "less" if thing in _UNCOUNTED else "fewer"
        return f"it requests {less} {thing} than {whose} requires"
    if found["time"]:
        return f"the {thing} time of {whose} is used up"
    if found["kind"] == "Grp" or found["per"] == "PerAccount":
        whose = "your account" if found["per"] == "PerAccount" else whose
        return f"all jobs of {whose} together have reached their limit ({thing})"
    if found["per"] in {"PerJob", "PerNode"} or "Wall" in found["thing"]:
        return f"it requests more than {whose} allows ({thing})"
    many = "much" if thing in _UNCOUNTED else "many"
    verb = "have" if thing == "jobs" else "use"
    return f"you already {verb} as {many} {thing} as you may have at a time"


def position(jobs: Mapping[str, Job], number: str) -> int | None:
    """A job's place in the queue of its partition, the first being 1; None when it does not wait in line."""
    own = jobs.get(number)
    if own is None or own.state != "PENDING" or own.reason not in _IN_LINE or not own.partition:
        return None
    beside = {n: job for n, job in jobs.items() if job.state == "PENDING" and job.partition == own.partition}
    if not all(name.isdecimal() for name in beside):
        return None  # an array is one line, and nobody knows how many jobs
    line = [(-job.priority, int(name)) for name, job in beside.items() if job.reason in _IN_LINE]
    return sorted(line).index((-own.priority, int(number))) + 1


def describe_turn(position: int | None, expected: datetime | None, now: datetime) -> str:
    """Its position and expected start as sentences, each only where it is known; both times with a zone."""
    known = []
    if position is not None:
        known.append(f"You are {'next' if position == 1 else f'number {position}'} in the queue.")
    if expected is not None and expected > now:
        known.append(f"{wording.expected_start(expected, now)}.")
    return " ".join(known)
