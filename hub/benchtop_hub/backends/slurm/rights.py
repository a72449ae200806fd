"""What a person may use on a Slurm cluster, in the scheduler's own words.

Nothing here is written down twice: partitions, nodes and reservations come from slurmctld, accounts, QOS and
limits from accounting, and are combined into `Choice`s. The form offers choices, the check of a request
looks for the choice that it names, and the scheduler has the last word.

What an association inherits is worked out here. Slurmdbd would do it too, account by account: for somebody
with 200 accounts that takes ten times as long as everything else.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import product

ANY = "any"  # a GPU, whatever its type


@dataclass(frozen=True)
class Limit:
    """A number that must not be exceeded, and the rule that says so, for the log."""

    value: int
    rule: str


@dataclass(frozen=True)
class Node:
    """A node as part of one partition, and what of it is free. Memory in MB; GPUs by type and `any`."""

    name: str
    partition: str
    cpus: int
    memory: int
    gpus: Mapping[str, int]
    free_cpus: int
    free_memory: int
    free_gpus: Mapping[str, int]


@dataclass(frozen=True)
class Shape:
    """What a kind of node has. Memory in MB."""

    cpus: int
    memory: int
    gpus: Mapping[str, int]


@dataclass(frozen=True)
class Partition:
    """A part of the cluster. `accounts`, `qos`, `groups`: who may come in; None: everybody."""

    name: str
    accounts: frozenset[str] | None
    qos: frozenset[str] | None
    minutes: int | None
    own_qos: str
    shapes: tuple[Shape, ...] = ()
    groups: frozenset[str] | None = None
    not_accounts: frozenset[str] = frozenset()
    not_qos: frozenset[str] = frozenset()
    cpus: int | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Rules:
    """What an association or a QOS limits. `most`: by `cpu`, `mem` (MB), type of GPU and `any`."""

    most: Mapping[str, int]
    minutes: int | None


@dataclass(frozen=True)
class Association:
    """A person's place in an account. `partition`: the only one it holds for, or empty."""

    account: str
    partition: str
    qos: frozenset[str]
    rules: Rules


@dataclass(frozen=True)
class Reservation:
    """Nodes that are kept for some. Empty `users`, `groups` and `accounts` restrict nothing."""

    name: str
    partition: str
    users: frozenset[str]
    groups: frozenset[str]
    accounts: frozenset[str]
    begin: datetime
    end: datetime

    def serves(self, choice: "Choice") -> bool:
        """May a job of this choice use it?"""
        return self.partition in {"", choice.partition} and is_listed(choice.account, self.accounts)


@dataclass(frozen=True)
class Choice:
    """One combination that a person may use, and how much of it. Memory in MB."""

    partition: str
    account: str
    qos: str
    minutes: Limit | None
    gpus: Mapping[str, Limit]  # by type and `any`; a type with value 0 is there but not theirs
    cpus: Limit
    memory: Limit
    shapes: tuple[Shape, ...]

    def offered(self) -> dict[str, int]:
        """The GPU types to choose from, and the most of each."""
        return {kind: limit.value for kind, limit in self.gpus.items() if limit.value > 0}

    def most(self, what: str, gpu: str, count: int, cpus: int = 1) -> Limit:
        """The most `cpus` or `memory` that is had together with so many GPUs and CPUs."""
        fitting = [
            shape
            for shape in self.shapes
            if shape.cpus >= cpus and (not count or shape.gpus.get(gpu, 0) >= count)
        ]
        limit: Limit = getattr(self, what)
        there = max((getattr(shape, what) for shape in fitting), default=0)
        return limit if limit.value <= there else Limit(there, f"partition:{self.partition}/Nodes")


def is_listed(name: str, allowed: Set[str]) -> bool:
    """Is somebody on a list that may also say who is not (`-NAME`)? Nobody is excluded by an empty one."""
    if f"-{name}" in allowed:
        return False
    plain = {one for one in allowed if not one.startswith("-")}
    return not plain or name in plain


def choices(
    parts: Mapping[str, Partition],
    rules: Mapping[str, Rules],
    assocs: Iterable[Association],
    groups: Set[str] = frozenset(),
) -> list[Choice]:
    """Everything that a person may ask for, in the order of their associations and the partitions.

    groups: the person's
    """
    found = []
    limits: dict[object, tuple[Limit | None, dict[str, Limit], Limit, Limit]] = {}
    for assoc, part in product(assocs, parts.values()):
        if not _lets_in(part, assoc, groups):
            continue
        own = assoc.rules
        # most associations have no limit of their own: what is the same for all is worked out once
        alike = (tuple(sorted(own.most.items())), own.minutes, assoc.account if own != NO_RULES else "")
        for qos in sorted(assoc.qos - part.not_qos if part.qos is None else assoc.qos & part.qos):
            if qos in rules:
                key = (part.name, qos, alike)
                if key not in limits:
                    limits[key] = _limits(part, assoc, qos, rules)
                time, gpus, cpus, memory = limits[key]
                if min(cpus.value, memory.value, time.value if time else 1) > 0:
                    found.append(Choice(part.name, assoc.account, qos, time, gpus, cpus, memory, part.shapes))
    return found


NO_RULES = Rules({}, None)


def _lets_in(part: Partition, assoc: Association, groups: Set[str]) -> bool:
    return (
        assoc.partition in {"", part.name}
        and (part.accounts is None or assoc.account in part.accounts)
        and assoc.account not in part.not_accounts
        and (part.groups is None or bool(part.groups & groups))
    )


def _limits(
    part: Partition, assoc: Association, qos: str, rules: Mapping[str, Rules]
) -> tuple[Limit | None, dict[str, Limit], Limit, Limit]:
    """Minutes, GPUs by type, CPUs and memory of one combination."""
    speak = [
        (f"assoc:{assoc.account}", assoc.rules),
        (f"qos:{qos}", rules[qos]),
        (f"partition:{part.name}/qos:{part.own_qos}", rules.get(part.own_qos, NO_RULES)),
    ]

    def least(there: int, rule: str, cap: int | None, *kinds: str) -> Limit:
        caps = [Limit(there, f"partition:{part.name}/{rule}")]
        if cap is not None:
            caps.append(Limit(cap, f"partition:{part.name}/{rule}"))
        caps += [
            Limit(said.most[k], f"{who}/MaxTRES") for who, said in speak for k in kinds if k in said.most
        ]
        return min(caps, key=lambda limit: limit.value)

    times = [Limit(said.minutes, f"{who}/MaxWall") for who, said in speak if said.minutes is not None]
    if part.minutes is not None:
        times.append(Limit(part.minutes, f"partition:{part.name}/MaxTime"))
    most: dict[str, int] = {}
    for shape in part.shapes:
        for kind, count in shape.gpus.items():
            most[kind] = max(most.get(kind, 0), count)
    return (
        min(times, key=lambda time: time.value, default=None),
        # what limits all GPUs together limits each type as well
        {kind: least(there, "Gres", None, *dict.fromkeys((kind, ANY))) for kind, there in most.items()},
        least(max(shape.cpus for shape in part.shapes), "Nodes", part.cpus, "cpu"),
        least(max(shape.memory for shape in part.shapes), "Nodes", part.memory, "mem"),
    )
