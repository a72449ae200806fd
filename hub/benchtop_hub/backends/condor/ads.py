"""Jobs as HTCondor's ads have them."""

import json
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchtop_hub.backends import marks
from benchtop_hub.backends.condor.reasons import SHOWN_OF_HOLD, explain_hold
from benchtop_hub.backends.queue import Job
from benchtop_hub.wording import KILLED, quote

SPOOLING = 16  # the hold of a job whose files are still on their way
SPOOLED = 20  # seconds after which they never come: condor_submit was given up before
CUT_OFF = "HTCondor was restarted while it was accepting the job. Start the session again"
POLICY = 3  # … and of one that its own periodic_hold ended
ATTRIBUTES = (
    "ClusterId,JobStatus,RemoteHost,LastRemoteHost,HoldReasonCode,HoldReason,ExitCode,ExitBySignal,ExitSignal,"
    "LastRejMatchReason,Owner,BenchtopMark,EnteredCurrentStatus"
)
# Any of these may be whatever the job's owner wrote, and as long as they like: one such ad costs its owner,
# and nobody else, the hub's view of the session. Its kind is judged here (_job); its length, already there.
LARGEST = 2000  # characters of one of them, as it is written down
BEARABLE = " && ".join(
    ["isString(BenchtopMark)", *(f"size(unparse({name})) < {LARGEST}" for name in ATTRIBUTES.split(","))]
)
# HTCondor's numbers. Removed and transferring jobs still hold their place.
STATES = {1: "PENDING", 2: "RUNNING", 3: "COMPLETING", 4: "COMPLETED", 6: "COMPLETING", 7: "SUSPENDED"}
HELD = 5


def parse(listing: str, secret: bytes, cell: str) -> Mapping[str, Job]:
    """The jobs by number, of condor_q's JSON, which for no job at all may be nothing at all.

    Each ad by itself, and only those that this cell has marked for their owner: HTCondor itself lets
    nobody write the owner or the number.
    """
    found = {}
    for ad in json.loads(listing.strip() or "[]", strict=False):
        number, owner, mark = _number(ad, "ClusterId"), _text(ad, "Owner"), _text(ad, "BenchtopMark")
        if number is not None and marks.is_ours(mark, secret, cell, owner):
            found[str(number)] = replace(_job(ad), owner=owner, mark=mark)
    return found


def _number(ad: Mapping[str, Any], name: str) -> int | None:
    value = ad.get(name)
    return value if type(value) is int else None  # True and 2.0 are none of HTCondor's


def _text(ad: Mapping[str, Any], name: str) -> str:
    value = ad.get(name)
    return value if isinstance(value, str) else ""


def _job(ad: Mapping[str, Any]) -> Job:
    """What an ad tells, whatever is in it. One whose state is none lives: unknown is never gone."""
    job = _as_told(ad)
    if job.lingers and not job.message and job.reason != "memory":
        return replace(job, message=explain_hold(job.reason))
    return job


def _as_told(ad: Mapping[str, Any]) -> Job:
    status = _number(ad, "JobStatus")
    node = (_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost")).partition("@")[2]
    if status == HELD:
        return _held(ad, node)
    state = STATES.get(status or 0, "RUNNING")
    if state == "PENDING":
        rejected = _text(ad, "LastRejMatchReason")
        return Job(state, "", rejected.partition("|")[0].strip())  # behind it: which jobs are alike
    if state == "COMPLETED":
        code = _number(ad, "ExitCode")
        message = f"JupyterLab stopped by itself (exit code {code})" if code else ""
        if ad.get("ExitBySignal") is True:
            message = KILLED if _number(ad, "ExitSignal") == signal.SIGKILL else "JupyterLab was killed"
        return Job("FAILED" if message else state, node, "", message=message)
    return Job(state, node, "")


def _held(ad: Mapping[str, Any], node: str) -> Job:
    """What ran is gone, but the job stays where it is until it is removed."""
    code, why = _number(ad, "HoldReasonCode"), _text(ad, "HoldReason") or "on hold"
    if code == SPOOLING:
        # The schedd ends this hold itself, a second after the last file; not if it is restarted meanwhile
        since = _number(ad, "EnteredCurrentStatus")
        if since is not None and time.time() - since > SPOOLED:
            return Job("FAILED", "", "", lingers=True, message=CUT_OFF)
        return Job("PENDING", "", "spooling")
    if code == POLICY:
        return Job("FAILED", node, "", lingers=True, message=quote(why, SHOWN_OF_HOLD))
    return Job("FAILED", node, "memory" if "memory usage exceeded" in why else why, lingers=True)
