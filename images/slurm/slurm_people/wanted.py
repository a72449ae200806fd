"""The list as it is wanted: each value spelt as sacctmgr shows it, so that it can be compared."""

import pwd
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slurm_people import Refused

LOWEST_UID = 1500  # below: root, daemons, the facility's own service users
LIMITS = {"gpu": "gres/gpu", "cpu": "cpu", "memory": "mem"}  # ours → a trackable resource of Slurm


@dataclass(frozen=True)
class Qos:
    """A quality of service. Each value is spelt as sacctmgr shows it; "" is no limit."""

    name: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Account:
    """What people's jobs are charged to."""

    name: str
    description: str
    qos: tuple[str, ...]
    settings: Mapping[str, str]  # of each of its people, as those of a Qos


@dataclass(frozen=True)
class Person:
    """Somebody who may run jobs."""

    name: str
    accounts: tuple[str, ...]
    qos: tuple[str, ...]
    max_tres: str
    admin: bool


@dataclass(frozen=True)
class Wanted:
    """The whole list."""

    qos: dict[str, Qos]
    accounts: dict[str, Account]
    people: dict[str, Person]


def text(value: object) -> str:
    """A limit as sacctmgr shows it; None is "no limit"."""
    return "" if value is None else str(value)


def in_order(names: Iterable[str]) -> str:
    """A comma-separated value in the order in which such values are compared."""
    return ",".join(sorted(filter(None, names)))


def resources(value: str | None) -> str:
    """A list of resources such as cpu=4,gres/gpu=1, in that order."""
    return in_order((value or "").split(","))


def duration(minutes: int | None) -> str:
    """Minutes as sacctmgr shows them: [days-]HH:MM:SS."""
    if minutes is None:
        return ""
    days, rest = divmod(minutes, 24 * 60)
    return (f"{days}-" if days else "") + f"{rest // 60:02}:{rest % 60:02}:00"


def qos(entry: Mapping[str, Any]) -> Qos:
    """A QOS of the list."""
    return Qos(
        entry["name"],
        {
            "Priority": str(entry.get("priority", 0)),
            "Preempt": in_order(entry.get("preempt", [])),
            "PreemptMode": entry.get("preempt_mode", "cluster"),
            "MaxTRESPU": resources(entry.get("max_tres_per_user")),
            "MaxTRES": resources(entry.get("max_tres_per_job")),
            "MaxJobsPU": text(entry.get("max_jobs_per_user")),
            "MaxWall": duration(entry.get("max_wall")),
            "Flags": in_order(entry.get("flags", [])),
        },
    )


def account(entry: Mapping[str, Any]) -> Account:
    """An account of the list."""
    # What an account's own association says of jobs, Slurm holds against each of its people's by itself.
    settings = {
        "MaxJobs": text(entry.get("max_jobs_per_user")),
        "MaxSubmit": text(entry.get("max_submit_jobs_per_user")),
    }
    return Account(entry["name"], entry["description"], tuple(entry["qos"]), settings)


def person(entry: Mapping[str, Any]) -> Person:
    """A person of the list, who must be the one that this container knows by that name."""
    name, uid = str(entry["name"]), int(entry["uid"])
    if uid < LOWEST_UID:
        raise Refused(f'{name}: "uid" must be a number from {LOWEST_UID} on, not {uid}.')
    # Slurm adds an association for a name that nobody has, and then never lets that person in.
    try:
        found = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Refused(
            f"{name!a} is not in the directory: apply the people to ldap first, and look at nslcd."
        ) from None
    if found != uid:
        raise Refused(f"{name} has uid {found} in the directory, but {uid} in the list.")
    limits = (f"{LIMITS[key]}={most}" for key, most in entry["limits"].items())
    return Person(name, tuple(entry["accounts"]), tuple(entry["qos"]), in_order(limits), bool(entry["admin"]))


def read(source: Mapping[str, Any], partitions: str) -> Wanted:
    """The list, which the host's tool has judged (cli/benchtop). partitions: the text of partitions.conf.

    What is looked at here protects: nobody below LOWEST_UID, nobody whom the directory does not know by that
    number, and no name of a QOS or an account that is not in the list: half of it would be applied by then,
    or slurmctld would not start again. Raises Refused.
    """
    try:
        wanted = Wanted(
            qos={entry["name"]: qos(entry) for entry in source["qos"]},
            accounts={entry["name"]: account(entry) for entry in source["accounts"]},
            people={entry["name"]: person(entry) for entry in source["people"]},
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"this is not the list that `make apply` sends: {error!r}.") from None
    uses: list[tuple[str, Iterable[str], Iterable[str]]] = [
        *((f"QOS {each.name}", each.settings["Preempt"].split(","), ()) for each in wanted.qos.values()),
        *((f"account {each.name}", each.qos, ()) for each in wanted.accounts.values()),
        *((each.name, each.qos, each.accounts) for each in wanted.people.values()),
        ("slurm/partitions.conf", names(partitions, "qos", "allowqos"), names(partitions, "allowaccounts")),
    ]
    for who, used_qos, used_accounts in uses:
        for word, used, known in (("QOS", used_qos, wanted.qos), ("account", used_accounts, wanted.accounts)):
            for name in filter(None, used):
                if name not in known:
                    raise Refused(f"{who} names the {word} {name}, which is not in the list.")
    return wanted


def names(conf: str, *keys: str) -> list[str]:
    """What the lines of a Slurm configuration say for any of these keys, each name once."""
    found: dict[str, None] = {}
    for line in conf.splitlines():
        for word in line.split("#")[0].split():
            key, _, value = word.partition("=")
            if key.lower() in keys:
                found |= dict.fromkeys(name for name in value.split(",") if name and name.upper() != "ALL")
    return list(found)
