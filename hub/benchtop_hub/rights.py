"""What a person may use on a Slurm cluster, in the scheduler's own words.

Nothing here is written down twice: partitions and nodes come from slurmctld, accounts, QOS and limits
from accounting, and are combined into `Choice`s. The form offers choices, the check of a request looks
for the choice that it names, and the scheduler has the last word.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

ANY = "any"  # a GPU, whatever its type
ASSOCIATIONS = "account,partition,qos,maxtresperjob,maxwalldurationperjob"
QOS = "name,maxwall,maxtresperjob,maxtresperuser,maxjobsperuser"
NODES = "%N|%R|%G"


@dataclass(frozen=True)
class Limit:
    """A number that must not be exceeded, and the rule that says so, for the log."""

    value: int
    rule: str


@dataclass(frozen=True)
class Partition:
    """A part of the cluster. `accounts`, `qos`: who may come in; None: everybody."""

    name: str
    accounts: frozenset[str] | None
    qos: frozenset[str] | None
    minutes: int | None
    own_qos: str
    gpus: Mapping[str, int] = field(default_factory=dict)  # the most of each type that one node has


@dataclass(frozen=True)
class Rules:
    """What an association or a QOS limits: GPUs by type (`any`: all types together) and minutes."""

    gpus: Mapping[str, int]
    minutes: int | None


@dataclass(frozen=True)
class Association:
    """A person's place in an account. `partition`: the only one it holds for, or empty."""

    account: str
    partition: str
    qos: frozenset[str]
    rules: Rules


@dataclass(frozen=True)
class Choice:
    """One combination that a person may use, and how much of it."""

    partition: str
    account: str
    qos: str
    minutes: Limit | None
    gpus: Mapping[str, Limit]  # by type and `any`; a type with value 0 is there but not theirs

    def offered(self) -> dict[str, int]:
        """The GPU types to choose from, and the most of each."""
        return {kind: limit.value for kind, limit in self.gpus.items() if limit.value > 0}


def minutes(text: str) -> int | None:
    """The whole minutes of Slurm's `[DAYS-]HOURS:MINUTES:SECONDS`; None: no limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text.strip())
    if not match:
        return None  # UNLIMITED, INFINITE, NONE or empty
    days, hours, rest, _ = map(int, match.groups(default="0"))
    return days * 1440 + hours * 60 + rest


def gpus(tres: str) -> dict[str, int]:
    """The GPUs of a list like `cpu=4,gres/gpu=1,gres/gpu:tesla=0`."""
    return {
        kind or ANY: int(count) for kind, count in re.findall(r"(?:^|,)gres/gpu(?::([\w.-]+))?=(\d+)", tres)
    }


def names(text: str) -> frozenset[str] | None:
    """A list of names; None when it stands for everything."""
    return None if text in {"", "ALL", "(null)"} else frozenset(text.split(","))


def partitions(shown: str, nodes: str) -> dict[str, Partition]:
    """From `scontrol --oneliner show partition` and `sinfo --Node` in the format NODES."""
    most: dict[str, dict[str, int]] = {}
    for line in nodes.splitlines():
        if line.count("|") == 2:
            _, partition, gres = line.split("|")
            here = most.setdefault(partition.strip(), {})
            for kind, count in _gres(gres).items():
                here[kind] = max(here.get(kind, 0), count)
    found = {}
    for line in shown.splitlines():
        said = dict(re.findall(r"(\w+)=(\S*)", line))
        if "PartitionName" in said and said.get("State") == "UP":
            name = said["PartitionName"]
            found[name] = Partition(
                name,
                accounts=names(said.get("AllowAccounts", "ALL")),
                qos=names(said.get("AllowQos", "ALL")),
                minutes=minutes(said.get("MaxTime", "UNLIMITED")),
                own_qos="" if said.get("QoS", "N/A") == "N/A" else said["QoS"],
                gpus=most.get(name, {}),
            )
    return found


def _gres(text: str) -> dict[str, int]:
    """The GPUs of one node, like `gpu:pascal:2(S:0-1),gpu:tesla:1`, by type and `any`."""
    kinds: dict[str, int] = {}
    for kind, count in re.findall(r"(?:^|,)gpu:(?:([\w.-]+):)?(\d+)", text.strip()):
        kinds[kind or ANY] = kinds.get(kind or ANY, 0) + int(count)
    if kinds:
        kinds[ANY] = sum(kinds.values())
    return kinds


def node_names(nodes: str) -> frozenset[str]:
    """Every node that the scheduler knows, from `sinfo --Node` in the format NODES."""
    return frozenset(line.split("|")[0].strip() for line in nodes.splitlines() if line.count("|") == 2)


def qualities(shown: str) -> dict[str, Rules]:
    """From `sacctmgr --parsable2 show qos format=QOS`. A QOS that grants no job at all is left out."""
    found = {}
    for line in shown.splitlines():
        name, wall, per_job, per_user, jobs, *_ = [*line.split("|"), "", "", "", ""]
        if name and jobs != "0":
            found[name] = Rules(_least(gpus(per_job), gpus(per_user)), minutes(wall))
    return found


def associations(shown: str) -> list[Association]:
    """From `sacctmgr --parsable2 show assoc where user=… format=ASSOCIATIONS`."""
    found = []
    for line in shown.splitlines():
        account, partition, qos, tres, wall, *_ = [*line.split("|"), "", "", "", ""]
        if account:
            rules = Rules(gpus(tres), minutes(wall))
            found.append(Association(account, partition, names(qos) or frozenset(), rules))
    return found


def _least(*limits: Mapping[str, int]) -> dict[str, int]:
    kinds = {kind for limit in limits for kind in limit}
    return {kind: min(limit[kind] for limit in limits if kind in limit) for kind in kinds}


def choices(
    parts: Mapping[str, Partition], rules: Mapping[str, Rules], assocs: Iterable[Association]
) -> list[Choice]:
    """Everything that a person may ask for, in the order of their associations and the partitions."""
    found = []
    for assoc, part in product(assocs, parts.values()):
        if assoc.partition not in {"", part.name}:
            continue
        if part.accounts is not None and assoc.account not in part.accounts:
            continue
        for qos in sorted(assoc.qos if part.qos is None else assoc.qos & part.qos):
            if qos in rules:
                found.append(_choice(part, assoc, qos, rules))
    return found


def _choice(part: Partition, assoc: Association, qos: str, rules: Mapping[str, Rules]) -> Choice:
    speak = [
        (f"assoc:{assoc.account}", assoc.rules),
        (f"qos:{qos}", rules[qos]),
        (f"partition:{part.name}/qos:{part.own_qos}", rules.get(part.own_qos, Rules({}, None))),
    ]
    times = [Limit(said.minutes, f"{who}/MaxWall") for who, said in speak if said.minutes is not None]
    if part.minutes is not None:
        times.append(Limit(part.minutes, f"partition:{part.name}/MaxTime"))
    offered = {}
    for kind, there in part.gpus.items():
        caps = [Limit(there, f"partition:{part.name}/Gres")]
        for who, said in speak:
            # what limits all GPUs together limits each type as well
            caps += [
                Limit(said.gpus[k], f"{who}/MaxTRES") for k in dict.fromkeys((kind, ANY)) if k in said.gpus
            ]
        offered[kind] = min(caps, key=lambda cap: cap.value)
    shortest = min(times, key=lambda time: time.value, default=None)
    return Choice(part.name, assoc.account, qos, shortest, offered)
