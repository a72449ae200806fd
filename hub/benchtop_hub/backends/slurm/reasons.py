"""Why a Slurm job waits, how many are before it and when it is expected to start, in plain words.

The words are those of Slurm 24.11 (src/common/slurm_protocol_defs.c). What is not known here is shown as
Slurm says it: better a foreign word than a wrong one.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from benchtop_hub.backends.queue import Job

_IN_LINE = frozenset({"", "Priority", "Resources"})  # such a job waits for its turn, and for nothing else

_WHY: Mapping[str, str] = {
    "Resources": "all fitting nodes are busy",
    "Priority": "others are before you",
    "ReqNodeNotAvail": "the nodes are not available",
    "NodeDown": "the node is down",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition starts no jobs at the moment",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows",
    "PartitionTimeLimit": "it asks for more time than the partition allows",
    "PartitionConfig": "the partition does not allow what it asks for",
    "BadConstraints": "no node can ever serve what it asks for",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted",
    "ReservationInvalid": "its reservation is not valid",
    "BeginTime": "it is not to start before a set time",
    "JobHeldUser": "you put it on hold",
    "JobHeldAdmin": "an administrator put it on hold",
    "JobHoldMaxRequeue": "it was started too often and is on hold",
    "Dependency": "it waits for another job to end",
    "DependencyNeverSatisfied": "it waits for a job that can no longer end as it should",
    "Licenses": "all licenses are in use",
    "AccountNotAllowed": "your account may not use the partition",
    "QOSNotAllowed": "your quality of service may not use the partition",
    "InvalidAccount": "your account is no longer valid",
    "InvalidQOS": "your quality of service is no longer valid",
    "QOSUsageThreshold": "you have used too much of this quality of service",
    "MaxMemPerLimit": "it asks for more memory than is allowed",
    "MaxPoweredUpNodes": "as many nodes are switched on as may be",
    "Prolog": "the node is being prepared",
    "Cleaning": "its earlier run is still being cleaned up",
    "SchedDefer": "the scheduler has not looked at it yet",
    "NonZeroExitCode": "JupyterLab stopped by itself",
    "RaisedSignal": "JupyterLab was killed",
    "RaisedSignal:53": "the node could not open its log: your home may be full, or not there",
    "TimeLimit": "its time was over",
    "OutOfMemory": "it needed more memory than it had asked for",
    "DeadLine": "it could not end before its deadline",
    "JobLaunchFailure": "the node could not start it",
    "SystemFailure": "the scheduler had a failure",
}
_THINGS: Mapping[str, str] = {
    "cpu": "CPUs", "mem": "memory", "memory": "memory", "gres": "GPUs", "node": "nodes", "jobs": "jobs",
    "submitjob": "jobs", "submitjobs": "jobs", "license": "licenses", "billing": "billing units",
    "bb": "burst buffer", "energy": "energy", "wall": "time", "wallduration": "time",
}  # fmt: skip
_LIMIT = re.compile(
    r"(?P<whose>QOS|Assoc|)(?P<kind>Grp|Max|Min)"
    r"(?P<thing>Cpu|CPU|Memory|Mem|GRES|Node|Jobs|SubmitJobs?|License|Billing|BB|Energy|WallDuration|Wall)"
    r"(?P<time>(?:Run)?Min(?:ute)?s)?(?P<per>Per(?:Job|Node|User|Account))?(?:NotSatisfied|Limit)?"
)


def why(reason: str) -> str:
    """Why a job waits or ended, of squeue's reason; "" for none.

    A reason may have more behind it: "ReqNodeNotAvail, UnavailableNodes:gpu-1", "RaisedSignal:9(Killed)".
    """
    word, _, more = reason.partition(",")
    signal = word.partition("(")[0]
    said = _WHY.get(signal) or _WHY.get(signal.partition(":")[0]) or _limit(word)
    if said is None:
        return f"Slurm says “{reason}”" if reason else ""
    nodes = more.strip().removeprefix("UnavailableNodes:")
    return f"{said} ({nodes})" if nodes and nodes != more.strip() else said


def _limit(word: str) -> str | None:
    found = _LIMIT.fullmatch(word)
    if found is None:
        return None
    thing = _THINGS[found["thing"].lower()]
    whose = "your account" if found["whose"] == "Assoc" else "this quality of service"
    if found["kind"] == "Min":
        return f"it asks for less {thing} than {whose} is for"
    if found["time"]:
        return f"the {thing} time of {whose} is used up"
    if found["kind"] == "Grp" or found["per"] == "PerAccount":
        whose = "your account" if found["per"] == "PerAccount" else whose
        return f"all jobs of {whose} together hold as much as they may have at a time ({thing})"
    if found["per"] in {"PerJob", "PerNode"} or "Wall" in found["thing"]:
        return f"it asks for more than {whose} allows ({thing})"
    many = "much" if thing in {"memory", "energy", "burst buffer"} else "many"
    verb = "have" if thing == "jobs" else "hold"
    return f"you {verb} as {many} {thing} as you may have at a time"


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


def line(place: int | None, expected: datetime | None, now: datetime) -> str:
    """Both as sentences, each only where it is known; expected, now: with a time zone."""
    said = []
    if place is not None:
        said.append("It is the next in line." if place == 1 else f"It is number {place} in line.")
    if expected is not None and expected > now:
        minutes = round((expected - now).total_seconds() / 60)
        about = "a minute" if minutes <= 1 else f"{minutes} minutes"
        if minutes > 90:
            about = f"{round(minutes / 60)} hours"
        said.append(f"Slurm expects it to start in about {about}.")
    return " ".join(said)
