"""What may be asked for on an HTCondor pool, by the pool's own word, and the form that asks.

A place is a partitionable slot: half of a node, kept for notebooks or for everything else (IsJupyterSlot).
What one session may have is what the largest place of its kind has.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from benchtop_hub import wording
from benchtop_hub.backends import page, request
from benchtop_hub.backends.page import Places
from benchtop_hub.backends.request import ENVIRONMENT, WITHOUT_SETTINGS, Before, Problem, Refused

FIELDS = {
    "where": "Run on",
    "environment": ENVIRONMENT,
    "pool": "Pool",
    "cpus": "CPUs",
    "memory": "Memory",
    "disk": "Disk",
    "runtime": "Runtime",
    "without_settings": WITHOUT_SETTINGS,
}
JUPYTER, STANDARD = "jupyter", "standard"
POOLS = {JUPYTER: "the Jupyter slots", STANDARD: "the Standard pool"}
CHOICES = {JUPYTER: "Jupyter slots", STANDARD: "Standard pool"}  # the same, as choices
SIZES = ("Cpus", "Memory", "Disk", "TotalSlotCpus", "TotalSlotMemory", "TotalSlotDisk")
ATTRIBUTES = ",".join(("Machine", "IsJupyterSlot", *SIZES))


@dataclass(frozen=True)
class Place:
    """One half of a node. Memory and disk in MB."""

    node: str
    pool: str
    cpus: int
    memory: int
    disk: int
    free_cpus: int
    free_memory: int
    free_disk: int


@dataclass(frozen=True)
class Granted:
    """A request that some place could serve, with nothing left open. Memory and disk in MB."""

    pool: str
    cpus: int
    memory: int
    disk: int
    runtime: int


@dataclass(frozen=True)
class Rules:
    """What the facility says: what whoever does not say gets, minutes that a session may run, whom to ask.

    explanations: what the form says of a pool
    """

    usual: Granted
    longest: int
    support: str
    explanations: Mapping[str, str] = field(default_factory=dict)


class Request(request.Request):
    """What somebody asks for; None: the usual."""

    pool: Literal["jupyter", "standard"] = "jupyter"
    cpus: int | None = Field(None, ge=1, le=4096)
    disk: int | None = Field(None, ge=1, le=1 << 30)

    @field_validator("pool", mode="before")
    @classmethod
    def _nothing_is_the_usual(cls, value: object) -> object:
        return JUPYTER if value in {None, ""} else value


def parse_places(shown: str) -> list[Place]:
    """From `condor_status -json` with ATTRIBUTES of the partitionable slots.

    One that does not say what it has, or not in numbers, is none that anybody could be promised.
    """
    return [
        Place(
            node=str(slot["Machine"]),
            pool=JUPYTER if slot.get("IsJupyterSlot") is True else STANDARD,
            cpus=int(slot["TotalSlotCpus"]),
            memory=int(slot["TotalSlotMemory"]),
            disk=int(slot["TotalSlotDisk"]) // 1024,
            free_cpus=int(slot["Cpus"]),
            free_memory=int(slot["Memory"]),
            free_disk=int(slot["Disk"]) // 1024,
        )
        for slot in json.loads(shown or "[]", strict=False)
        if isinstance(slot.get("Machine"), str) and all(_is_size(slot.get(name)) for name in SIZES)
    ]


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def of_kind(kind: str, offered: Sequence[Place]) -> list[Place]:
    """The places of one pool."""
    return [place for place in offered if place.pool == kind]


def lacking(
    wanted: Granted, here: Sequence[Place], free: Literal["", "free_"] = ""
) -> tuple[str, int] | None:
    """The first of which no place has as much as is wanted, and the most that one has; None: one has it all.

    here: at least one place; free: "free_" looks at what is free now
    """
    fits = list(here)
    for size in ("cpus", "memory", "disk"):
        # by the places that are left: what was looked at before is had together with this
        most = max(getattr(place, f"{free}{size}") for place in fits)
        fits = [place for place in fits if getattr(place, f"{free}{size}") >= getattr(wanted, size)]
        if not fits:
            return size, most
    return None


def parse(sent: Mapping[str, Any]) -> Request:
    """A request from a form's fields or from the API's JSON. Raises Refused."""
    return request.parse(sent, Request, FIELDS)


def check(request: Request, offered: Sequence[Place], rules: Rules) -> Granted:
    """The request with its open parts filled, if the pool could ever serve it.

    A pool of which no node is seen is off, or its central manager has just started: what it has, nobody can
    say, and a job can wait for it.
    Raises Refused with the first field that is too large: such a job would wait for ever.
    """
    here = of_kind(request.pool, offered)
    name = POOLS[request.pool]
    if offered and not here:
        sentence = f"Pool: no node offers {name} at the moment. Choose the other one, or ask {rules.support}."
        raise Refused(Problem("pool", request.pool, "pool", sentence))
    wanted = Granted(
        request.pool,
        *(
            getattr(rules.usual, field) if getattr(request, field) is None else getattr(request, field)
            for field in ("cpus", "memory", "disk", "runtime")
        ),
    )
    if here and (short := lacking(wanted, here)):
        field, most = short
        value, unit = getattr(wanted, field), wording.UNITS[field]
        sentence = (
            f"{FIELDS[field]}: {value}{unit} is more than any machine has in {name} ({most}{unit}). "
            f"Choose less, or ask {rules.support}."
        )
        raise Refused(Problem(field, str(value), f"slot:{request.pool}/{field}", sentence))
    if wanted.runtime > rules.longest:
        sentence = (
            f"Runtime: {wanted.runtime} minutes is more than the maximum ({rules.longest}). "
            f"Choose less, or ask {rules.support}."
        )
        raise Refused(Problem("runtime", str(wanted.runtime), "longest", sentence))
    return wanted


def expected_start(granted: Granted, offered: Sequence[Place]) -> str:
    """When such a session would start, as far as the pool knows: HTCondor plans nothing ahead."""
    if not offered:
        return "Expected start: unknown, because no node of the pool is visible at the moment"
    here = of_kind(granted.pool, offered)
    if here and not lacking(granted, here, "free_"):
        return wording.STARTS_AT_ONCE
    return f"Expected start: as soon as that much is free in {POOLS[granted.pool]}"


def describe_free(offered: Sequence[Place]) -> str:
    """What is free of each pool, as a sentence; "" where no node is seen."""
    words = []
    for kind, called in CHOICES.items():
        if here := of_kind(kind, offered):
            cpus = f"{sum(place.free_cpus for place in here)} of {sum(place.cpus for place in here)} CPUs"
            sizes = sum(place.free_memory for place in here), sum(place.memory for place in here)
            words.append(f"{called}: {cpus}, {wording.of_memory(*sizes)} free.")
    return " ".join(words)


def _filled(
    asked: Mapping[str, Any], offered: Sequence[Place], rules: Rules, pools: Sequence[str]
) -> Granted:
    """What the form starts with: the last request as far as the pool still has it, else the usual."""
    here = asked if asked.get("pool", JUPYTER) in pools else {**asked, "pool": next(iter(pools))}
    try:
        return request.still_granted(here, lambda some: check(parse(some), offered, rules))[1]
    except Refused:  # not even the usual fits what is there: who presses Start is told so
        return rules.usual


def render(templates: Path, offered: Sequence[Place], rules: Rules, before: Before, places: Places) -> str:
    """The form's fields as HTML."""
    sizes = ("cpus", "memory", "disk")
    most = {field: max((getattr(place, field) for place in offered), default=None) for field in sizes}
    most["runtime"] = rules.longest
    by_kind = {kind: of_kind(kind, offered) for kind in POOLS}
    pools = {
        kind: {"free": sum(place.free_cpus for place in here), "total": sum(place.cpus for place in here)}
        for kind, here in by_kind.items()
        if here or not offered
    }
    # each place, by its kind, with the most of it; of a pool that is not seen: each kind, without a limit
    limits = [(place.pool, {field: getattr(place, field) for field in sizes}) for place in offered]
    limits = limits or [(kind, dict.fromkeys(sizes)) for kind in pools]
    usual = _filled(before.asked, offered, rules, list(pools))
    asked = {"where": before.asked.get("where", "batch")}
    values = page.as_written({name: getattr(usual, name, "") for name in FIELDS}) | asked | dict(before.sent)
    by_place = [
        {"fits": {"pool": list(POOLS).index(kind)}, "most": {**limit, "runtime": rules.longest}}
        for kind, limit in limits
    ]
    return page.render(
        templates,
        "pool-form.html",
        before,
        pools=pools,
        names=CHOICES,
        lines={kind: rules.explanations[kind] for kind in pools if kind in rules.explanations},
        seen=bool(offered),
        most=most,
        values=values,
        fields=FIELDS,
        places=places,
        offers=page.script_data({"lists": [[kind] for kind in POOLS], "offers": by_place}),
    )
