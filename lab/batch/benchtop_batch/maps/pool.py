"""Why a component waits: what the pool has of what it needs, in the words of the hub's waiting page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 120  # characters of HTCondor's own words
_LIMITS = {
    "submitter limit exceeded": "you are using your share of the pool, and others are waiting for theirs",
    "concurrency limit reached": "the maximum number of jobs of its kind is running",
}
_NEEDS = {"Cpus": "RequestCpus", "Memory": "RequestMemory", "Disk": "RequestDisk"}


@dataclass(frozen=True)
class Slots:
    """What of the pool would take a job at all, and how much of that is free: in CPUs, MB and kB."""

    whole: tuple[Mapping[str, int], ...] = ()
    free: tuple[Mapping[str, int], ...] = field(default=())
    refusing: bool = False  # are there slots, and none takes such a job however large it is?


def explain(wants: Mapping[str, int], rejected: str, slots: Slots) -> str:
    """Why a job waits. wants: by the names of _NEEDS; rejected: the negotiator's last word."""
    if rejected in _LIMITS:
        return _LIMITS[rejected]
    if not slots.whole:
        if slots.refusing:
            return "no machine of the pool meets what it requires"
        return "no machine offers slots for it at the moment"
    if not any(_fits(wants, slot) for slot in slots.whole):
        lacking, most = _short(wants, slots.whole)
        return f"no machine has {_amount(lacking, wants[lacking])} (the largest has {_some(lacking, most)})"
    if not any(_fits(wants, slot) for slot in slots.free):
        lacking, most = _short(wants, slots.free or ({"Cpus": 0},))
        needed = _amount(lacking, wants[lacking])
        return (
            f"all suitable slots are busy (it needs {needed};"
            f" the most that is free in one is {_some(lacking, most)})"
        )
    return "the pool has not considered it yet" if not rejected else f"HTCondor says “{rejected[:SHOWN]}”"


def _fits(wants: Mapping[str, int], slot: Mapping[str, int]) -> bool:
    return all(slot.get(name, 0) >= wanted for name, wanted in wants.items())


def _short(wants: Mapping[str, int], slots: Iterable[Mapping[str, int]]) -> tuple[str, int]:
    """What no slot has enough of, and the most that one has; else what those that have it lack."""
    slots = list(slots)
    for name, wanted in wants.items():
        most = max(slot.get(name, 0) for slot in slots)
        if most < wanted:
            return name, most
        slots = [slot for slot in slots if slot.get(name, 0) >= wanted]
    return next(iter(wants)), 0


def _some(name: str, number: int) -> str:
    if name == "Disk":
        return f"{number // 1024} MB"
    return f"{number} MB" if name == "Memory" else str(number)


def _amount(name: str, number: int) -> str:
    if name == "Cpus":
        return "1 CPU" if number == 1 else f"{number} CPUs"
    return f"{_some(name, number)} of {name.lower()}"


def wants(job: Any) -> dict[str, int]:
    """What a job's ad asks for."""
    return {name: number for name, attribute in _NEEDS.items() if (number := _number(job, attribute))}


def slots(job: Any, ads: Iterable[Any]) -> Slots:
    """Of the pool's slots (their ads, without those that were carved out of another), what takes this job."""
    whole, free, some = [], [], False
    modest = _copy(job)
    modest.update(dict.fromkeys(_NEEDS.values(), 0))
    for ad in ads:
        some = True
        now = {name: _number(ad, name) for name in _NEEDS}
        total = {name: _number(ad, f"TotalSlot{name}") or now[name] for name in _NEEDS}
        roomy = _copy(ad)
        roomy.update(total)
        if roomy.symmetricMatch(modest):
            whole.append(total)
            free.append(now)
    return Slots(tuple(whole), tuple(free), some and not whole)


def _copy(ad: Any) -> Any:
    import classad  # of Debian's condor, not everywhere

    return classad.ClassAd(str(ad))


def _number(ad: Any, name: str) -> int:
    try:
        return int(ad.eval(name))
    except (KeyError, TypeError, ValueError, RuntimeError):
        return 0
