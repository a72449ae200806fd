"""The containers of a cell, by what the engine says of them, as jobs."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from benchtop_hub import wording
from benchtop_hub.backends.queue import Job
from benchtop_hub.upstream.engine import PORT

PREFIX = "box-"  # of the hub's numbers, before DIGITS of the container's own
DIGITS = 12
CELL, OWNER, MARK = (f"benchtop.{name}" for name in ("cell", "owner", "mark"))  # labels
# What Notes add to the engine's list: how one ended, where one is reached, when its time is over
STATE, PUBLISHED, ENDS = "BenchtopState", "BenchtopPort", "BenchtopEnds"
ENDED = frozenset({"exited", "dead", "stopped"})
STATES = {"running": "RUNNING", "created": "CONFIGURING", "initialized": "CONFIGURING", "paused": "SUSPENDED"}
GRACE = 60  # seconds after its time limit, until which one may end by itself
UNBEGUN = 60  # seconds after which one that is not running yet will not be
RESTARTED = "the container engine was restarted"
# How a session ended, by its exit status: lab/benchtop_lab/container.py
STATUS = {0: "COMPLETED", 124: "TIMEOUT", 125: "OUT_OF_MEMORY"}
_NO_LAB = "its image has no JupyterLab of the facility: choose another one"
MESSAGES = {
    123: "its owner may not use this cluster any more",
    126: _NO_LAB,  # its first process was not there, or could not be run
    127: _NO_LAB,
    137: wording.KILLED,  # by a SIGKILL, which nothing inside has sent
}
LOST = 255  # with its engine


def parse(listing: str, cell: str, host: str, now: float) -> Mapping[str, Job]:
    """Those of a cell, by number. host: where their sessions are reached.

    Raises ValueError or KeyError for what is no list.
    """
    every = json.loads(listing)
    return {
        number(found["Id"]): _job(found, host, now)
        for found in every
        if (found.get("Labels") or {}).get(CELL) == cell
    }


def number(full: str) -> str:
    """By which the hub knows a container; full: the engine's own number"""
    return f"{PREFIX}{full[:DIGITS]}"


def _job(found: Mapping[str, Any], host: str, now: float) -> Job:
    labels = found["Labels"]
    of_it = partial(Job, node=host, owner=labels.get(OWNER, ""), mark=labels.get(MARK, ""))
    over = partial(of_it, lingers=True)  # until the hub has taken note of how
    state = found["State"]
    if state in ENDED:
        return _end(over, found.get(STATE) or {})
    if state not in STATES:  # removing, stopping, or one of a later version: it still holds what it holds
        return of_it("COMPLETING", reason="")
    if now > found.get(ENDS, now) + GRACE:  # its own clock did not end it
        return over("TIMEOUT", reason="")
    if STATES[state] == "CONFIGURING" and now > float(found.get("Created") or now) + UNBEGUN:
        return over("NODE_FAIL", reason="", message=RESTARTED)
    return of_it(STATES[state], reason="", port=found.get(PUBLISHED, 0))


def _end(over: "partial[Job]", how: Mapping[str, Any]) -> Job:
    status = int(how.get("ExitCode", LOST))
    if how.get("OOMKilled"):
        return over("OUT_OF_MEMORY", reason="")
    if status in STATUS:
        return over(STATUS[status], reason="")
    if status in MESSAGES:
        return over("FAILED", reason="", message=MESSAGES[status])
    if status == LOST:
        return over("NODE_FAIL", reason="", message=RESTARTED)
    return over("FAILED", reason=f"JupyterLab stopped by itself (exit code {status})")


class Notes:
    """What the engine's list leaves out of the containers, by number. ends: when the time of each is over

    A hub that was restarted knows of no end any more. The first process of each container does.
    """

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self._ports: dict[str, int] = {}

    def lack(self, found: Mapping[str, Any]) -> bool:
        """Is there more to be asked of one?"""
        runs = found["State"] == "running"
        return found["State"] in ENDED or (runs and number(found["Id"]) not in self._ports)

    def complete(self, found: dict[str, Any], described: Mapping[str, Any], *, longest: float) -> None:
        """Add what is known. described: by the engine, just now; longest: seconds that any may run"""
        known = number(found["Id"])
        if described:
            found[STATE] = described["State"]
            ports = described["NetworkSettings"]["Ports"].get(f"{PORT}/tcp") or []
            if ports:
                self._ports[known] = int(ports[0]["HostPort"])
        found[PUBLISHED] = self._ports.get(known, 0)
        found[ENDS] = self.ends.get(known, float(found["Created"]) + longest)

    def forget(self, every: Iterable[Mapping[str, Any]], now: float) -> None:
        """Keep nothing of those that are gone; of one that was made just now, the list may not know yet."""
        listed = {number(found["Id"]) for found in every}
        self._ports = {known: port for known, port in self._ports.items() if known in listed}
        self.ends = {known: end for known, end in self.ends.items() if known in listed or end > now}
