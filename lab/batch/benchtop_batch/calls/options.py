"""What a job may ask for, by the names of decorators and magics, and how each batch system is told."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

from benchtop_batch.calls.failed import OptionError
from benchtop_batch.place import Cluster
from benchtop_batch.systems import NAMES

Options = dict[str, Any]


class Common(TypedDict, total=False):
    """What a job of either batch system may ask for. None is as if it were left out."""

    cpus: int | None
    """CPUs; 1 by default."""
    memory: str | int | None
    """Such as "500M", "2G", or a number of MB; by default Slurm's own, or of HTCondor `memory` of batch.ini
    or 512."""
    gpus: str | int | None
    """A number, or a type and a number: "a100:1", of HTCondor a part of its name; none by default."""
    extra: Sequence[str] | None
    """More options of sbatch, or lines for condor_submit, each as it is."""


class SlurmOptions(Common, total=False):
    """What `slurm` takes besides.

    When one of `partition`, `gpus`, `account`, `qos` and `nodes` is given, the others are found. When none
    is, the partition is that of batch.ini, otherwise the cluster's default.
    """

    time: str | int | timedelta | None
    """The most that it runs: "10m", "1h30m", "1-12:00:00", or a number of minutes; by default `minutes` of
    batch.ini, otherwise the partition's."""
    partition: str | None
    """By default one that has the rest and lets one in: the cluster's default, then by PriorityTier."""
    account: str | None
    """By default the session's, or one's default, or the first of one's own that goes with the rest."""
    qos: str | None
    """By default the account's own default, then as the partition lists them."""
    nodes: int | None
    """The function is called on each of so many, by srun; the result is the first one's. 1 by default."""
    constraint: str | None
    """Features that a node has to have, as sbatch takes them."""


class CondorOptions(Common, total=False):
    """What `condor` takes besides."""

    disk: str | int | None
    """Space on the node's disk, as `memory`; the pool's default by default."""
    requirements: str | None
    """An expression of HTCondor, which a machine has to fulfil."""


_UNITS = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_SIZES = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}


def seconds(value: object) -> int:
    """Of "10m", "1h30m", "1-12:00:00", a timedelta, or a number of minutes. Raises OptionError.

    >>> seconds("1h30m"), seconds("1-12:00:00"), seconds(15)
    (5400, 129600, 900)
    >>> seconds("soon")
    Traceback (most recent call last):
    benchtop_batch.calls.failed.OptionError: “soon” is no time: write it as 10m, 2h, 1h30m or 1-12:00:00.
    """
    if isinstance(value, timedelta):
        value = f"{math.ceil(value.total_seconds())}s"
    text = str(value).strip().lower()
    found = re.findall(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)", text)
    if found and re.fullmatch(r"(?:\d+(?:\.\d+)?\s*(?:d|h|min|m|s)\s*)+", text):
        total = math.ceil(sum(float(number) * _UNITS[unit] for number, unit in found))
    elif re.fullmatch(r"\d+", text):
        total = 60 * int(text)
    elif match := re.fullmatch(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})", text):
        clock = [int(part) for part in match["clock"].split(":")]
        if match["days"]:  # D-HH, D-HH:MM
            clock += [0] * (3 - len(clock))
        clock = [0] * (3 - len(clock)) + clock
        total = int(match["days"] or 0) * 86400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
    else:
        total = 0
    if total < 1:
        raise OptionError(f"“{value}” is no time: write it as 10m, 2h, 1h30m or 1-12:00:00.")
    return total


def megabytes(value: object) -> int:
    """Of "1G", "500M", or a number of MB. Raises OptionError.

    >>> megabytes("1G"), megabytes("1.5 GiB"), megabytes(500)
    (1024, 1536, 500)
    """
    match = re.fullmatch(
        r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", str(value).strip(), re.IGNORECASE
    )
    found = math.ceil(float(match["number"]) * _SIZES[(match["unit"] or "m").lower()]) if match else 0
    if found < 1:
        raise OptionError(f"“{value}” is no amount of memory or disk: write it as 500M or 2G.")
    return found


def positive(value: object) -> int:
    """A whole number from 1. Raises OptionError."""
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise OptionError(f"“{value}” is no whole number from 1.")
    return number


def gpus(value: object) -> tuple[str, int]:
    """Their kind, "" for any, and how many, of "a100:1", "a100" or 2. Raises OptionError.

    >>> gpus("a100:4"), gpus("a100"), gpus(2)
    (('a100', 4), ('a100', 1), ('', 2))
    """
    kind, _, number = str(value).strip().rpartition(":")
    if not kind and not number.isdecimal():
        kind, number = number, "1"
    if not re.fullmatch(r"[\w.-]*", kind) or not number.isdecimal() or int(number) < 1:
        raise OptionError(f"“{value}” says no GPUs: write 1, or a type and a number like a100:1.")
    return kind, int(number)


def text(value: object) -> str:
    """One line that is no option itself. Raises OptionError."""
    line = str(value).strip()
    if not line or "\n" in line or "\0" in line or line.startswith("-"):
        raise OptionError(f"“{value}” cannot be used: it has to be one line that does not begin with “-”.")
    return line


def extra(value: object) -> tuple[str, ...]:
    """More words for sbatch, or lines for condor_submit; each as it is. Raises OptionError."""
    lines = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else []
    if not lines or not all(
        isinstance(line, str) and "\n" not in line and "\0" not in line for line in lines
    ):
        raise OptionError("extra is a list of texts of one line each.")
    return tuple(lines)


_COMMON: dict[str, Callable[[object], Any]] = {
    "cpus": positive,
    "memory": megabytes,
    "gpus": gpus,
    "extra": extra,
}
KNOWN: dict[Cluster, dict[str, Callable[[object], Any]]] = {
    "slurm": {
        **_COMMON,
        "time": seconds,
        "partition": text,
        "account": text,
        "qos": text,
        "nodes": positive,
        "constraint": text,
    },
    "condor": {**_COMMON, "disk": megabytes, "requirements": text},
}


def nearest(name: str, known: Iterable[str]) -> str:
    """As words: the one of them that was meant, perhaps.

    >>> nearest("memry", ["cpus", "memory", "time"])
    ' Did you mean “memory”?'
    >>> nearest("colour", ["cpus", "memory", "time"])
    ''
    """
    known = list(known)
    found = difflib.get_close_matches(name.lower(), known, 1, 0.5)
    found = found or [other for other in known if name and (name in other or other in name)][:1]
    return f" Did you mean “{found[0]}”?" if found else ""


def check(cluster: Cluster, given: Mapping[str, object]) -> Options:
    """What a job asks for, each as it is meant; what is None is not asked for. Raises OptionError.

    >>> check("condor", {"memory": "1G", "disk": "500M", "gpus": None})
    {'memory': 1024, 'disk': 500}
    >>> check("condor", {"time": "10m"})
    Traceback (most recent call last):
    benchtop_batch.calls.failed.OptionError: HTCondor jobs have no option “time”. The options are ...
    """
    known = KNOWN[cluster]
    wanted: Options = {}
    for name, value in given.items():
        if name not in known:
            raise OptionError(
                f"{NAMES[cluster]} jobs have no option “{name}”.{nearest(name, known)}"
                f" The options are {', '.join(sorted(known))}."
            )
        if value is None:
            continue
        try:
            wanted[name] = known[name](value)
        except OptionError as error:
            raise OptionError(f"{name}: {error}") from None
    return wanted


def of_slurm(wanted: Options) -> list[str]:
    """The words for sbatch.

    >>> of_slurm(check("slurm", {"gpus": "a100:1", "time": "90s", "memory": "1G", "cpus": 2}))
    ['--gres=gpu:a100:1', '--time=1:30', '--mem=1024M', '--cpus-per-task=2']
    """
    words = []
    if "gpus" in wanted:
        kind, number = wanted["gpus"]
        words.append("--gres=gpu:" + (f"{kind}:" if kind else "") + str(number))
    if "time" in wanted:
        minutes, rest = divmod(wanted["time"], 60)
        words.append(f"--time={minutes}:{rest:02}")
    if "memory" in wanted:
        words.append(f"--mem={wanted['memory']}M")
    if "nodes" in wanted:
        words += [f"--nodes={wanted['nodes']}", "--ntasks-per-node=1"]
    if "cpus" in wanted:
        words.append(f"--cpus-per-task={wanted['cpus']}")
    words += [
        f"--{name}={wanted[name]}" for name in ("partition", "account", "qos", "constraint") if name in wanted
    ]
    return [*words, *wanted.get("extra", ())]


def of_condor(wanted: Options) -> list[str]:
    """The lines for condor_submit.

    >>> of_condor(check("condor", {"cpus": 2, "memory": "1G", "disk": "1G"}))
    ['request_cpus = 2', 'request_memory = 1024', 'request_disk = 1048576']
    """
    lines = []
    if "cpus" in wanted:
        lines.append(f"request_cpus = {wanted['cpus']}")
    if "memory" in wanted:
        lines.append(f"request_memory = {wanted['memory']}")
    if "disk" in wanted:
        lines.append(f"request_disk = {1024 * wanted['disk']}")
    if "gpus" in wanted:
        kind, number = wanted["gpus"]
        lines.append(f"request_gpus = {number}")
        if kind:
            lines.append(f'require_gpus = regexp("{re.escape(kind)}", DeviceName, "i")')
    if "requirements" in wanted:
        lines.append(f"requirements = {wanted['requirements']}")
    return [*lines, *wanted.get("extra", ())]
