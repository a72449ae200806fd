"""What a person may use on a Slurm cluster, in the scheduler's own words.

Nothing here is written down twice: partitions, nodes and reservations come from slurmctld, accounts, QOS and
limits from accounting, and are combined into `Choice`s. The form offers choices, the check of a request
looks for the choice that it names, and the scheduler has the last word.

What an association inherits is worked out here. Slurmdbd would do it too, account by account: for somebody
with 200 accounts that takes ten times as long as everything else.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

ANY = "any"  # a GPU, whatever its type
ASSOCIATIONS = (
    "account,parentname,partition,qos,maxtresperjob,maxtrespernode,grptres,maxwalldurationperjob,"
    "maxjobs,maxsubmitjobs"
)
QOS = (
    "name,maxtresperjob,maxtrespernode,grptres,maxwall,maxjobsperuser,maxsubmitjobsperuser,"
    "maxtresperuser,maxtresperaccount"
)
NODES = ",".join(f"{name}:|" for name in ("NodeHost", "Partition", "Gres", "GresUsed", "CPUsState", "Memory"))
UNITS = {"": 1 / 1048576, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1048576, "P": 1073741824}


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
        return self.partition in {"", choice.partition} and _listed(choice.account, self.accounts)


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


def minutes(text: str) -> int | None:
    """The whole minutes of Slurm's `[DAYS-]HOURS:MINUTES:SECONDS`; None: no limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text.strip())
    if not match:
        return None  # UNLIMITED, INFINITE, NONE or empty
    days, hours, rest, _ = map(int, match.groups(default="0"))
    return days * 1440 + hours * 60 + rest


def resources(tres: str) -> dict[str, int]:
    """The CPUs, memory (MB) and GPUs of a list like `cpu=4,mem=2G,gres/gpu=1,gres/gpu:tesla=0`."""
    found: dict[str, int] = {}
    for name, count, unit in re.findall(r"(?:^|,)([\w/:.-]+)=(\d+(?:\.\d+)?)([KMGTP]?)", tres):
        if name == "mem":
            found["mem"] = int(float(count) * UNITS[unit or "M"])
        elif name == "cpu":
            found["cpu"] = int(count)
        elif name == "gres/gpu":
            found[ANY] = int(count)
        elif name.startswith("gres/gpu:"):
            found[name.removeprefix("gres/gpu:")] = int(count)
    return found


def names(text: str) -> frozenset[str] | None:
    """A list of names; None when it stands for everything."""
    return None if text in {"", "ALL", "(null)"} else frozenset(text.split(","))


def nodes(shown: str) -> list[Node]:
    """From `sinfo --Node` in the format NODES; a node is told of once for each of its partitions."""
    found = []
    for line in shown.splitlines():
        fields = [part.strip() for part in line.split("|")]
        if len(fields) < 6:
            continue
        name, partition, gres, used, cpus, memory = fields[:6]
        allocated, idle, _, total = map(int, cpus.split("/"))
        there, taken = _gres(gres), _gres(used)
        # the default partition has a star; CPUs of a node that takes no jobs are neither taken nor idle
        free = {kind: there[kind] - taken.get(kind, 0) if allocated + idle else 0 for kind in there}
        found.append(Node(name, partition.rstrip("*"), total, int(memory), there, idle, free))
    return found


def _gres(text: str) -> dict[str, int]:
    """The GPUs of one node, like `gpu:pascal:2(S:0-1),gpu:tesla:1`, by type and `any`."""
    kinds: dict[str, int] = {}
    for kind, count in re.findall(r"(?:^|,)gpu:(?:([\w.-]+):)?(\d+)", text):
        kinds[kind or ANY] = kinds.get(kind or ANY, 0) + int(count)
    if kinds:
        kinds[ANY] = sum(kinds.values())
    return kinds


def partitions(shown: str, there: Iterable[Node]) -> dict[str, Partition]:
    """From `scontrol --oneliner show partition` and the nodes. What is down or has no node is left out."""
    shapes: dict[str, list[Shape]] = {}
    for node in there:
        shape, known = Shape(node.cpus, node.memory, node.gpus), shapes.setdefault(node.partition, [])
        if shape not in known:
            known.append(shape)
    found = {}
    for line in shown.splitlines():
        said = dict(re.findall(r"(\w+)=(\S*)", line))
        name = said.get("PartitionName", "")
        if name not in shapes or said.get("State") != "UP":
            continue
        found[name] = Partition(
            name,
            accounts=names(said.get("AllowAccounts", "ALL")),
            qos=names(said.get("AllowQos", "ALL")),
            minutes=minutes(said.get("MaxTime", "UNLIMITED")),
            own_qos="" if said.get("QoS", "N/A") == "N/A" else said["QoS"],
            shapes=tuple(shapes[name]),
            groups=names(said.get("AllowGroups", "ALL")),
            not_accounts=names(said.get("DenyAccounts", "")) or frozenset(),
            not_qos=names(said.get("DenyQos", "")) or frozenset(),
            cpus=_number(said.get("MaxCPUsPerNode", "")),
            memory=_number(said.get("MaxMemPerNode", "")),
        )
    return found


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text != "0" else None  # UNLIMITED or empty


def qualities(shown: str) -> dict[str, Rules]:
    """From `sacctmgr --parsable2 show qos format=QOS`. A QOS that grants no job at all is left out."""
    found = {}
    for line in shown.splitlines():
        name, *said = line.split("|")
        job, node, group, wall, jobs, submits, *users = [*said, *[""] * 6]
        if name and "0" not in {jobs, submits}:
            found[name] = Rules(_least(*map(resources, (job, node, group, *users))), minutes(wall))
    return found


@dataclass(frozen=True)
class _Level:
    """What holds at one level of accounting: for each job, and for all jobs of the account together."""

    qos: frozenset[str] = frozenset()
    job: Mapping[str, int] = field(default_factory=dict)
    group: Mapping[str, int] = field(default_factory=dict)
    minutes: int | None = None
    closed: bool = False  # it grants no job at all

    def below(self, row: Sequence[str]) -> "_Level":
        """One level down: its own word for each resource, and where it says nothing, this one's."""
        _, _, _, qos, job, node, group, wall, jobs, submits = row
        own = minutes(wall)
        return _Level(
            _own_qos(qos, self.qos),
            {**self.job, **_least(resources(job), resources(node))},
            _least(self.group, resources(group)),
            self.minutes if own is None else own,
            self.closed or "0" in {jobs, submits},
        )


def associations(accounts: str, own: str) -> list[Association]:
    """From `sacctmgr --parsable2 show assoc … format=ASSOCIATIONS woplimits`: of accounts, and of one person.

    What grants no job at all is left out.
    """
    above = {row[0]: row for row in map(_columns, accounts.splitlines()) if row[0]}
    levels: dict[str, _Level] = {"": _Level()}

    def level(account: str) -> _Level:
        if account not in levels:
            row = above.get(account)
            levels[account] = _Level()  # Slurm has no circles; a listing that has one must not hang us
            if row is not None:
                levels[account] = level(row[1]).below(row)
        return levels[account]

    found = []
    for row in map(_columns, own.splitlines()):
        if row[0]:
            here = level(row[0]).below(row)
            if not here.closed:
                rules = Rules(_least(here.job, here.group), here.minutes)
                found.append(Association(row[0], row[2], here.qos, rules))
    return found


def _columns(line: str) -> list[str]:
    return [*line.split("|"), *[""] * 10][:10]


def _own_qos(said: str, above: frozenset[str]) -> frozenset[str]:
    """A list of its own, nothing (then it is the one above), or changes to that: `+long,-short`."""
    listed = [name for name in said.split(",") if name]
    plain = frozenset(name for name in listed if name[0] not in "+-")
    added = {name[1:] for name in listed if name[0] == "+"}
    return ((plain or above) | added) - {name[1:] for name in listed if name[0] == "-"}


def _least(*limits: Mapping[str, int]) -> dict[str, int]:
    kinds = {kind for limit in limits for kind in limit}
    return {kind: min(limit[kind] for limit in limits if kind in limit) for kind in kinds}


def reservations(shown: str, person: str, groups: Set[str], now: datetime) -> list[Reservation]:
    """Those of `scontrol --oneliner show reservation` that are not over and that this person may use.

    now: in the time zone of the command (commands.py: UTC), and like its times without one
    """
    found = []
    for line in shown.splitlines():
        said = dict(re.findall(r"(\w+)=(\S*)", line))
        if "ReservationName" not in said:
            continue
        one = Reservation(
            said["ReservationName"],
            partition=said.get("PartitionName", "").replace("(null)", ""),
            users=names(said.get("Users", "")) or frozenset(),
            groups=names(said.get("Groups", "")) or frozenset(),
            accounts=names(said.get("Accounts", "")) or frozenset(),
            begin=datetime.fromisoformat(said["StartTime"]),
            end=datetime.fromisoformat(said["EndTime"]),
        )
        # one without users and groups is for accounts; one that names nobody at all is maintenance
        meant = bool(one.users or one.groups or one.accounts) and _listed(person, one.users)
        if meant and one.end > now and (not one.groups or one.groups & groups):
            found.append(one)
    return found


def _listed(name: str, allowed: Set[str]) -> bool:
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
        alike = (tuple(sorted(own.most.items())), own.minutes, assoc.account if own != _NO_RULES else "")
        for qos in sorted(assoc.qos - part.not_qos if part.qos is None else assoc.qos & part.qos):
            if qos in rules:
                key = (part.name, qos, alike)
                if key not in limits:
                    limits[key] = _limits(part, assoc, qos, rules)
                time, gpus, cpus, memory = limits[key]
                if min(cpus.value, memory.value, time.value if time else 1) > 0:
                    found.append(Choice(part.name, assoc.account, qos, time, gpus, cpus, memory, part.shapes))
    return found


_NO_RULES = Rules({}, None)


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
        (f"partition:{part.name}/qos:{part.own_qos}", rules.get(part.own_qos, _NO_RULES)),
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
