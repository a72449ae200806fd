"""What a cluster has, and what of it a person may use: asked of the batch system when a job names any of it.

Who asks for a GPU alone need not know in which partition, for which account and under which QOS there is one.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchtop_batch import guardian
from benchtop_batch.calls.failed import OptionError
from benchtop_batch.calls.options import Options, nearest, seconds
from benchtop_batch.systems import ASKING, NoAnswerError, plural

KEPT = 60.0  # seconds for which an answer is good
ACCOUNT = "BENCHTOP_ACCOUNT"  # of the environment: which of Slurm's the session counts for
CHOOSING = ("partition", "gpus", "account", "qos", "nodes")
T = TypeVar("T")


@dataclass(frozen=True)
class Partition:
    """Of Slurm. None: everybody, or without a limit.

    longest: seconds that a job may run; nodes: that it may have
    gpus: by type, the most that one node has
    """

    name: str
    default: bool = False
    accounts: tuple[str, ...] | None = None
    qos: tuple[str, ...] | None = None
    longest: int | None = None
    nodes: int | None = None
    tier: int = 1
    gpus: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """Somebody's, with the QOS that they have in it; the first is their default."""

    name: str
    qos: tuple[str, ...] = ()


def _ask(*words: str) -> str:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=ASKING, check=True, start_new_session=True
        )
    except subprocess.CalledProcessError as error:
        raise NoAnswerError(f"{words[0]}: {error.stderr.strip()}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise NoAnswerError(f"{words[0]}: {error}") from None
    return done.stdout


_known: dict[str, tuple[float, object]] = {}


def _kept(name: str, ask: Callable[[], T]) -> T:
    now = time.monotonic()
    when, answer = _known.get(name, (-KEPT, None))
    if now - when > KEPT:
        when, answer = now, ask()
        _known[name] = when, answer
    return answer  # type: ignore[return-value] # it is of this name


# ---- Slurm ---------------------------------------------------------------------------------------------


def partitions() -> list[Partition]:
    """All that are up. Raises NoAnswerError."""
    return _kept(
        "partitions",
        lambda: of_partitions(
            _ask("scontrol", "--oneliner", "show", "partition"), _ask("sinfo", "--noheader", "--format=%R|%G")
        ),
    )


def of_partitions(shown: str, nodes: str) -> list[Partition]:
    """Of scontrol's lines, and of sinfo's: PARTITION|GRES."""
    gpus: dict[str, dict[str, int]] = {}
    for line in nodes.splitlines():
        name, _, gres = line.strip().partition("|")
        for kind, number in re.findall(r"\bgpu(?::([^:,()]+))??:(\d+)", gres):
            most = gpus.setdefault(name, {})
            most[kind] = max(most.get(kind, 0), int(number))
    found = []
    for line in shown.splitlines():
        said = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if said.get("State", "UP") != "UP" or "PartitionName" not in said:
            continue
        found.append(
            Partition(
                said["PartitionName"],
                said.get("Default") == "YES",
                _some(said.get("AllowAccounts", "ALL")),
                _some(said.get("AllowQos", "ALL")),
                None if said.get("MaxTime") in {None, "UNLIMITED"} else seconds(said["MaxTime"]),
                min(
                    (
                        int(said[name])
                        for name in ("MaxNodes", "TotalNodes")
                        if said.get(name, "").isdecimal()
                    ),
                    default=None,
                ),
                int(said.get("PriorityTier", "1")),
                gpus.get(said["PartitionName"], {}),
            )
        )
    return found


def _some(listed: str) -> tuple[str, ...] | None:
    return None if listed in {"ALL", "(null)"} else tuple(listed.split(","))


def accounts() -> list[Account]:
    """One's own, the one that jobs count for first. Empty on a cluster without accounting."""
    try:
        return _kept("accounts", _accounts)
    except NoAnswerError:
        return []


def _accounts() -> list[Account]:
    user = f"user={guardian.user()}"
    lines = _ask("sacctmgr", "-nP", "show", "assoc", user, "format=Account,DefaultQOS,QOS").splitlines()
    default = _ask("sacctmgr", "-nP", "show", "user", guardian.user(), "format=DefaultAccount").strip()
    return of_accounts(lines, os.environ.get(ACCOUNT) or default)


def of_accounts(lines: Iterable[str], first: str) -> list[Account]:
    """Of sacctmgr's lines ACCOUNT|DEFAULT QOS|QOS,…"""
    found = {}
    for line in lines:
        name, default, qos = line.split("|")[:3]
        ordered = sorted(qos.split(","), key=lambda one: (one != (default or "normal"), one))
        found[name] = Account(name, tuple(one for one in ordered if one))
    return sorted(found.values(), key=lambda account: account.name != first)


def settle(wanted: Options) -> Options:
    """The same with what Slurm wants to know besides, if any of it was named. Raises OptionError."""
    if not any(name in wanted for name in CHOOSING):
        return wanted
    try:
        there = partitions()
    except NoAnswerError:
        return wanted  # Slurm itself will say
    return choose(wanted, there, accounts())


def choose(wanted: Options, there: list[Partition], mine: list[Account]) -> Options:
    """A partition, an account and a QOS that go together and have what is asked for. Raises OptionError."""
    names = [partition.name for partition in there]
    if "," in wanted.get("partition", ""):
        return wanted  # several: somebody knows what they do
    _among("partition", wanted.get("partition"), names, "The partitions of this cluster are")
    if mine:
        _among("account", wanted.get("account"), [one.name for one in mine], "Your accounts are")
        _among("qos", wanted.get("qos"), sorted({qos for one in mine for qos in one.qos}), "You may use")
    kind, number = wanted.get("gpus", ("", 0))
    if number:
        _gpus(kind, number, there)
    candidates = sorted(
        (one for one in there if wanted.get("partition", one.name) == one.name),
        key=lambda one: (not one.default, -one.tier, one.name),
    )
    having = [one for one in candidates if most(one, kind) >= number]
    if not having:
        others = _or([one.name for one in there if most(one, kind) >= number])
        raise OptionError(f"Partition “{candidates[0].name}” has no node with that GPU: use {others}.")
    wide = [one for one in having if one.nodes is None or wanted.get("nodes", 1) <= one.nodes]
    if not wide:
        highest = max(one.nodes or 0 for one in having)
        raise OptionError(
            f"A job in {_or([one.name for one in having])} may have"
            f" {highest} {plural('node', highest)} at most."
        )
    fitting = [one for one in wide if one.longest is None or wanted.get("time", 0) <= one.longest]
    if not fitting:
        longest = max(wide, key=lambda one: one.longest or 0)
        raise OptionError(
            f"A job in {_or([one.name for one in wide])} may run {(longest.longest or 0) // 60} minutes at"
            " most: ask for less time."
        )
    for partition in fitting:
        for account in mine or [Account(wanted.get("account", ""), (wanted.get("qos", ""),))]:
            if wanted.get("account", account.name) != account.name:
                continue
            if partition.accounts is not None and account.name and account.name not in partition.accounts:
                continue
            # the account's own default, then as the partition lists them
            for qos in (*account.qos[:1], *(partition.qos or ()), *account.qos):
                if (
                    wanted.get("qos", qos) == qos
                    and qos in account.qos
                    and (not qos or partition.qos is None or qos in partition.qos)
                ):
                    found = {"partition": partition.name, "account": account.name, "qos": qos}
                    return {**wanted, **{name: value for name, value in found.items() if value}}
    raise OptionError(
        f"You may not use partition {_or([one.name for one in fitting])} with what you ask for: "
        + "; ".join(_who(one) for one in fitting)
        + f". You have {', '.join(_account(one) for one in mine)}."
    )


def most(partition: Partition, kind: str) -> int:
    """The most GPUs of a type, "" for any, that one of its nodes has."""
    return partition.gpus.get(kind, 0) if kind else max(partition.gpus.values(), default=0)


def _gpus(kind: str, number: int, there: list[Partition]) -> None:
    types = sorted({name for one in there for name in one.gpus if name})
    if not any(one.gpus for one in there):
        raise OptionError("This cluster has no GPUs.")
    if kind:
        _among("GPU type", kind, types, "The types of this cluster are")
    highest = max(most(one, kind) for one in there)
    if number > highest:
        raise OptionError(
            f"No node has {number} GPUs{f' of type {kind}' if kind else ''}: at most {highest}."
        )


def _among(what: str, name: str | None, known: list[str], are: str) -> None:
    if name is not None and name not in known:
        raise OptionError(f"There is no {what} “{name}”.{nearest(name, known)} {are} {', '.join(known)}.")


def _or(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "another"


def _who(partition: Partition) -> str:
    who = f"account {_or(partition.accounts)}" if partition.accounts else "any account"
    return f"{partition.name} is for {who}" + (f" with QOS {_or(partition.qos)}" if partition.qos else "")


def _account(account: Account) -> str:
    return f"account {account.name} with QOS {_or(account.qos)}"


def largest_array(otherwise: int = 1000) -> int:
    """How many tasks one array may have, by the cluster's configuration."""

    def ask() -> int:
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"))
        return max(1, int(found[1]) - 1) if found else otherwise

    try:
        return _kept("array", ask)
    except NoAnswerError:
        return otherwise


# ---- HTCondor ------------------------------------------------------------------------------------------


def check_pool(wanted: Options) -> None:
    """What the queue would take, and no machine ever run. Raises OptionError."""
    if "gpus" not in wanted:
        return
    kind, number = wanted["gpus"]
    try:
        shown = _kept(
            "pool",
            lambda: _ask(
                "condor_status", "-json", "-attributes",
                "TotalGPUs,GPUs_DeviceName,CUDADeviceName", "-constraint", "TotalGPUs > 0",
            ),
        )  # fmt: skip
    except NoAnswerError:
        return  # jobs wait, and say why
    ads = json.loads(shown) if shown.strip() else []
    if not ads:
        raise OptionError("No machine of the HTCondor pool has a GPU: leave gpus out, or use Slurm.")
    highest = max(int(ad["TotalGPUs"]) for ad in ads)
    if number > highest:
        raise OptionError(f"No machine of the HTCondor pool has {number} GPUs: at most {highest}.")
    types = sorted({str(ad.get("GPUs_DeviceName", ad.get("CUDADeviceName", ""))) for ad in ads} - {""})
    if kind and types and not any(kind.lower() in one.lower() for one in types):
        raise OptionError(
            f"There is no GPU type “{kind}” in the HTCondor pool.{nearest(kind, types)}"
            f" It has {', '.join(types)}."
        )
