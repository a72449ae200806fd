"""What Slurm's commands answer about a cluster and its people, as `rights` has it."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from benchtop_hub.backends.amounts import UNITS
from benchtop_hub.backends.slurm.rights import (
    ANY,
    Association,
    Node,
    Partition,
    Reservation,
    Rules,
    Shape,
    is_listed,
)

ASSOCIATIONS = (
    "account,parentname,partition,qos,maxtresperjob,maxtrespernode,grptres,maxwalldurationperjob,"
    "maxjobs,maxsubmitjobs"
)
QOS = (
    "name,maxtresperjob,maxtrespernode,grptres,maxwall,maxjobsperuser,maxsubmitjobsperuser,"
    "maxtresperuser,maxtresperaccount"
)
NODES = ",".join(
    f"{name}:|" for name in ("NodeHost", "Partition", "Gres", "GresUsed", "CPUsState", "Memory", "AllocMem")
)


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
        if len(fields) < 7:
            continue
        name, partition, gres, used, cpus, memory, taken_memory = fields[:7]
        allocated, idle, _, total = map(int, cpus.split("/"))
        gpus, taken = _gres(gres), _gres(used)
        # the default partition has a star; CPUs of a node that takes no jobs are neither taken nor idle
        takes_jobs = allocated + idle > 0
        free = {kind: gpus[kind] - taken.get(kind, 0) if takes_jobs else 0 for kind in gpus}
        free_memory = int(memory) - int(taken_memory) if takes_jobs else 0
        found.append(Node(name, partition.rstrip("*"), total, int(memory), gpus, idle, free_memory, free))
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
        meant = bool(one.users or one.groups or one.accounts) and is_listed(person, one.users)
        if meant and one.end > now and (not one.groups or one.groups & groups):
            found.append(one)
    return found
