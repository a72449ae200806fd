"""HTCondor's jobs, by condor_q and condor_history.

Any attribute may be whatever the job's owner wrote, an expression for example: each is judged by itself.
"""

import json
import posixpath
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from benchtop_batch import guardian, systems
from benchtop_batch.listing.job import Job, State

ATTRIBUTES = (
    "ClusterId", "ProcId", "JobStatus", "JobBatchName", "Cmd", "HoldReason", "LastRejMatchReason",
    "RemoteHost", "LastRemoteHost", "QDate", "JobCurrentStartDate", "EnteredCurrentStatus", "RequestCpus",
    "CpusProvisioned", "RequestMemory", "MemoryProvisioned", "ResidentSetSize_RAW", "ResidentSetSize",
    "MemoryUsage", "CpusUsage", "RemoteUserCpu", "RemoteSysCpu", "ExitCode", "ExitBySignal", "ExitSignal",
    "RemoveReason", "Out", "Iwd",
)  # fmt: skip
MOST = 2000  # jobs of the past
BEHIND = (
    86400  # seconds: a job comes into the history as it leaves the queue, which may be long after its end
)
# As the access point and condor_submit put it
_BY_OWNER = re.compile(rf"\(by user {re.escape(guardian.user())}[)@]|at user's request")
_STATES: dict[int, State] = {
    1: "waiting", 2: "running", 3: "cancelled", 4: "done", 5: "held", 6: "ending", 7: "suspended",
}  # fmt: skip


def queue(env: Mapping[str, str], within: float) -> list[Job]:
    """The jobs in the queue. Raises NoAnswerError."""
    words = ["condor_q", "-json", "-attributes", ",".join(ATTRIBUTES)]
    return of_ads(systems.answer(words, env, within), time.time())


def records(env: Mapping[str, str], since: float, within: float) -> list[Job]:
    """The jobs that left the queue since then. Raises NoAnswerError."""
    owner = guardian.user()
    mine = f'Owner == "{owner}" && EnteredCurrentStatus >= {since:.0f}'
    stop = f"EnteredCurrentStatus < {since - BEHIND:.0f}"
    words = ["condor_history", "-constraint", mine, "-since", stop, "-limit", str(MOST), "-json"]
    return of_ads(systems.answer([*words, "-attributes", ",".join(ATTRIBUTES)], env, within), time.time())


def of_ads(said: str, now: float) -> list[Job]:
    """Of what -json prints, now: nothing at all where there is no job. Raises NoAnswerError."""
    try:
        ads = json.loads(said.strip() or "[]", strict=False)
        return [of_ad(ad, now) for ad in ads]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise systems.NoAnswerError(f"HTCondor: no answer that can be read ({error!r})") from None


def of_ad(ad: Mapping[str, Any], now: float) -> Job:
    """Of one ad. Raises KeyError for one without a number."""
    state = _STATES.get(ad["JobStatus"], "running")
    ended = _number(ad, "EnteredCurrentStatus") if state in {"cancelled", "done"} else None
    if state == "done" and _why_failed(ad):
        state = "failed"
    started = _number(ad, "JobCurrentStartDate")
    cpus = int(_number(ad, "RequestCpus") or _number(ad, "CpusProvisioned") or 1)
    megabytes = _number(ad, "RequestMemory") or _number(ad, "MemoryProvisioned") or 0
    # KiB; MemoryUsage is an expression of them, so that no number of it is there
    used = _number(ad, "ResidentSetSize_RAW") or _number(ad, "ResidentSetSize")
    most = int(used) << 10 if used else int((_number(ad, "MemoryUsage") or 0) * (1 << 20)) or None
    waits = state in {"waiting", "held"}
    return Job(
        "condor", f"{int(ad['ClusterId'])}.{int(ad['ProcId'])}",
        _text(ad, "JobBatchName") or posixpath.basename(_text(ad, "Cmd")), state, reason=_reason(ad, state),
        node="" if waits else (_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost")).rpartition("@")[2],
        submitted=_number(ad, "QDate"), started=None if waits else started, ended=ended, cpus=cpus,
        cpu_time=_cpu_time(ad, started, ended, now), memory=int(megabytes * (1 << 20)), memory_used=most,
        log=_log(ad),
    )  # fmt: skip


def _cpu_time(ad: Mapping[str, Any], started: float | None, ended: float | None, now: float) -> float | None:
    """What the queue has of a job that runs may be a quarter of an hour old: then its rate tells more."""
    user, system, rate = (_number(ad, name) for name in ("RemoteUserCpu", "RemoteSysCpu", "CpusUsage"))
    if started is None or (not user and not system and rate is None):
        return None
    spent = (user or 0.0) + (system or 0.0)
    return max(spent, 0.0 if ended else (rate or 0.0) * max(0.0, now - started))


def _reason(ad: Mapping[str, Any], state: State) -> str:
    if state == "held":
        said = _text(ad, "HoldReason")[: systems.SHOWN].strip(" .") or "no reason is given"
        if "memory usage exceeded" in said:
            return "it used more memory than it had requested"
        return "you put it on hold" if _BY_OWNER.search(said) else said
    if state == "waiting":
        return systems.why_condor(_text(ad, "LastRejMatchReason").partition("|")[0])
    if state == "cancelled":
        said = _text(ad, "RemoveReason")[: systems.SHOWN].strip(" .")
        if said.startswith("via condor_rm"):
            return "you cancelled it" if _BY_OWNER.search(said) else "it was cancelled"
        return f"HTCondor says “{said}”" if said else "it was cancelled"
    return _why_failed(ad) if state == "failed" else ""


def _why_failed(ad: Mapping[str, Any]) -> str:
    """Of a job that has ended; "" where it ended well."""
    if ad.get("ExitBySignal") is True:
        number = int(_number(ad, "ExitSignal") or 0)
        with suppress(ValueError):
            return f"it was ended by signal {number} ({signal.Signals(number).name.removeprefix('SIG')})"
        return "it was ended by a signal"
    code = int(_number(ad, "ExitCode") or 0)
    return f"it ended with exit code {code}" if code else ""


def _log(ad: Mapping[str, Any]) -> str:
    path = _text(ad, "Out")
    return "" if path in {"", "/dev/null"} else posixpath.join(_text(ad, "Iwd"), path)


def _number(ad: Mapping[str, Any], name: str) -> float | None:
    value = ad.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return float(value)


def _text(ad: Mapping[str, Any], name: str) -> str:
    value = ad.get(name)
    return value if isinstance(value, str) else ""
