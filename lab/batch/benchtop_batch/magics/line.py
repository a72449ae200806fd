"""The options of a cell's first line."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchtop_batch.calls import options
from benchtop_batch.calls.failed import OptionError
from benchtop_batch.calls.options import Options, nearest
from benchtop_batch.place import Cluster

MOST = 100_000  # tasks of an array: more is a slip
_COMMON = {
    "--cpus": "cpus", "-c": "cpus", "--mem": "memory", "--memory": "memory", "--gpus": "gpus", "-G": "gpus",
    "--in": "in", "-i": "in", "--out": "out", "-o": "out", "--background": "background", "-b": "background",
    "--keep": "keep",
}  # fmt: skip
KNOWN: dict[Cluster, dict[str, str]] = {
    "slurm": {
        **_COMMON, "--time": "time", "-t": "time", "--array": "array", "-a": "array", "--nodes": "nodes",
        "-N": "nodes", "--partition": "partition", "-p": "partition", "--account": "account", "-A": "account",
        "--qos": "qos", "-q": "qos", "--constraint": "constraint", "-C": "constraint",
    },
    "condor": {
        **_COMMON, "--disk": "disk", "--requirements": "requirements", "-r": "requirements",
        "--count": "count", "-n": "count",
    },
}  # fmt: skip
_OWN = {"in", "out", "background", "keep", "array", "count"}  # of the magics alone


@dataclass(frozen=True)
class Request:
    """What is asked for. ids: the tasks' numbers, None for one job; limit: of those that run at a time"""

    asked: Options = field(default_factory=dict)
    ids: tuple[int, ...] | None = None
    limit: int = 0
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    background: str = ""
    keep: bool = False


def parse(cluster: Cluster, line: str) -> Request:
    """Of the text behind %%slurm or %%condor. Raises OptionError.

    >>> parse("slurm", "-t 10m --array 0-2 --in x,y --out result")
    Request(asked={'time': 600}, ids=(0, 1, 2), limit=0, inputs=('x', 'y'), outputs=('result',), ...)
    >>> parse("slurm", "--tme 10m")
    Traceback (most recent call last):
    benchtop_batch.calls.failed.OptionError: %%slurm has no option “--tme”. Did you mean “--time”? ...
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise OptionError(f"The options cannot be read: {error}. Quote what has spaces or quotes.") from None
    given: dict[str, str] = {}
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name not in KNOWN[cluster]:
            raise OptionError(unknown(cluster, name))
        meant = KNOWN[cluster][name]
        if meant == "keep":
            if equals:
                raise OptionError("--keep takes no value: leave it out, and the job ends with the notebook.")
            value = "yes"
        elif not equals:
            if not words or words[0] in KNOWN[cluster]:
                raise OptionError(f"{name} needs a value, like {name} {_EXAMPLES.get(meant, 'VALUE')}.")
            value = words.pop(0)
        given[meant] = value
    ids, limit = None, 0
    if "array" in given:
        ids, limit = array(given["array"])
    elif "count" in given:
        ids = tuple(range(options.positive(given["count"])))
    return Request(
        options.check(cluster, {name: value for name, value in given.items() if name not in _OWN}),
        ids,
        limit,
        _names(given.get("in", "")),
        _names(given.get("out", "")),
        next(iter(_names(given.get("background", ""))), ""),
        "keep" in given,
    )


_EXAMPLES = {
    "time": "10m",
    "memory": "1G",
    "gpus": "1",
    "cpus": "2",
    "array": "0-9",
    "in": "x,y",
    "out": "result",
}


def unknown(cluster: Cluster, name: str) -> str:
    """What is told of an option that there is none of."""
    known = [option for option in KNOWN[cluster] if option.startswith("--")]
    short = [option for option in KNOWN[cluster] if not option.startswith("--")]
    return (
        f"%%{cluster} has no option “{name}”.{nearest(name, known)} The options are"
        f" {', '.join(sorted(known))}; in short {', '.join(sorted(short))}."
    )


def array(text: str) -> tuple[tuple[int, ...], int]:
    """The numbers of the tasks, and how many run at a time (0: all), of "0-9", "1,3,5-7", "0-20:5%2".

    >>> array("1,3,5-7"), array("0-20:5%2")
    (((1, 3, 5, 6, 7), 0), ((0, 5, 10, 15, 20), 2))
    """
    numbers, percent, limit = text.partition("%")
    found: set[int] = set()
    for part in numbers.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part.strip())
        first, last, step = (
            (int(one) if one else None for one in match.groups()) if match else (None, None, None)
        )
        if first is None or step == 0 or (last or 0) - first > MOST:
            raise OptionError(
                f"“{text}” names no tasks: write --array 0-9, 1,3,5 or 0-99%10 (ten at a time)."
            )
        found.update(range(first, (first if last is None else last) + 1, step or 1))
    if not found:
        raise OptionError(f"“{text}” names no tasks: the first number has to be the smaller one.")
    return tuple(sorted(found)), options.positive(limit) if percent else 0


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not name.isidentifier():
            raise OptionError(f"“{name}” is no name of a variable.")
    return names


def check_variables(names: Iterable[str], there: Iterable[str]) -> None:
    """Raises OptionError where the notebook lacks one."""
    there = [name for name in there if not name.startswith("_")]
    for name in names:
        if name not in there:
            raise OptionError(f"The notebook has no variable “{name}”.{nearest(name, there)}")
