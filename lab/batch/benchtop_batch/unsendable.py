"""Why a function cannot be sent to a worker: which of its variables is to blame, and what to do.

What a pickler says names a type ("cannot pickle '_thread.lock' object") and nothing that its author wrote.
"""

import functools
import importlib
import inspect
import itertools
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType

_SHOWN = 120  # characters of what a pickler says
_INSTEAD = (
    (
        ("TextIOWrapper", "BufferedReader", "BufferedWriter", "FileIO"),
        "pass the file's path, and open it in the function",
    ),
    (
        ("lock", "RLock", "Condition", "Semaphore", "Event"),
        "leave it out: workers share no memory with the notebook",
    ),
    (("generator",), "make a list of it first"),
    (("socket", "Connection", "Cursor", "Session"), "connect inside the function"),
    (("module",), "import it inside the function"),
)  # fmt: skip


def explain(
    function: Callable[..., object], values: Sequence[object] = (), named: Mapping[str, object] | None = None
) -> str:
    """Which variables of a call cannot be sent, as sentences; "" where all can be."""
    found = [
        f"{where} “{name}” is a {type(value).__name__}, which cannot be sent ({problem}): {_instead(value)}."
        for where, name, value in itertools.chain(_variables(function), _arguments(values, named or {}))
        if (problem := _problem(value))
    ]
    if not found and (
        (isinstance(function, FunctionType) and not _by_value()) or not (problem := _problem(function))
    ):
        return ""
    name = getattr(function, "__name__", None) or type(function).__name__
    lines = found or [f"it cannot be sent ({problem})."]
    return f"The call of “{name}” cannot be sent to a worker. " + " ".join(
        line[0].upper() + line[1:] for line in lines
    )


def explain_value(value: object) -> str:
    """The same of a value alone, as a sentence."""
    if not (problem := _problem(value)):
        return ""
    return f"A {type(value).__name__} cannot be sent to a worker ({problem}): {_instead(value)}."


def _variables(function: Callable[..., object]) -> Iterator[tuple[str, str, object]]:
    inner = inspect.unwrap(function)
    inner = getattr(inner, "func", inner)  # of functools.partial
    code = getattr(inner, "__code__", None)
    if code is None:
        return
    try:
        closed = inspect.getclosurevars(inner)
    except (TypeError, ValueError):
        return
    for name, value in closed.nonlocals.items():
        yield "its variable", name, value
    if getattr(inner, "__module__", "") == "__main__":  # others are imported by the worker
        for name, value in closed.globals.items():
            if not inspect.ismodule(value):
                yield "the notebook's variable", name, value
    for name, value in zip(
        reversed(code.co_varnames[: code.co_argcount]), reversed(inner.__defaults__ or ()), strict=False
    ):
        yield "the default of its argument", name, value


def _arguments(values: Sequence[object], named: Mapping[str, object]) -> Iterator[tuple[str, str, object]]:
    for number, value in enumerate(values, 1):
        yield "its argument number", str(number), value
    for name, value in named.items():
        yield "its argument", name, value


def _problem(value: object) -> str:
    """Why it cannot be pickled; "" where it can be."""
    try:
        (_by_value() or pickle).dumps(value)
    except Exception as error:
        return (str(error) or type(error).__name__)[:_SHOWN]
    return ""


@functools.cache
def _by_value() -> ModuleType | None:
    """What sends functions of a notebook: each environment of the facility has it."""
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return None


def _instead(value: object) -> str:
    kind = type(value).__name__
    for kinds, words in _INSTEAD:
        if kind in kinds:
            return words
    return "make it inside the function, or pass what it is made of"
