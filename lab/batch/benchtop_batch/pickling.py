"""Say which variable keeps a function from being sent to another machine, and what to do about it."""

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

DEPTH = 3  # functions that call functions of the notebook are looked into as far as this
SHOWN = 60  # characters of what is named


def cannot_send(function: Callable[..., Any], dumps: Callable[[Any], object]) -> str:
    """Why a function cannot be sent, as a sentence; "" for one that can. dumps: how it would be."""
    if _can(function, dumps):
        return ""
    name = getattr(function, "__name__", "") or type(function).__name__
    found = _culprit(function, dumps, DEPTH, set())
    if not found:
        return f"“{name}” cannot be sent to another machine: {_error(function, dumps)}."
    variable, value, user = found
    user = user or name
    return (
        f"“{user}” uses “{variable}”, which cannot be sent to another machine ({_kind(value)}). "
        f"Make “{variable}” inside the function, or give the function what it is made from"
        " (the path of a file, the address of a database) as an argument."
    )


def cannot_send_argument(number: int, value: Any, dumps: Callable[[Any], object]) -> str:
    """The same of what a function is called with; number: of the call, from 0."""
    if _can(value, dumps):
        return ""
    found = _part(value, dumps)
    part, inner = found or ("", value)
    where = f" ({part})" if part else ""
    return (
        f"Input {number}{where} cannot be sent to another machine ({_kind(inner)}). "
        "Give the function what it is made from (the path of a file, plain numbers or text) instead."
    )


def _can(thing: Any, dumps: Callable[[Any], object]) -> bool:
    return not _error(thing, dumps)


def _error(thing: Any, dumps: Callable[[Any], object]) -> str:
    try:
        dumps(thing)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _kind(value: Any) -> str:
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"it is of type {name}"[:SHOWN]


def _culprit(
    thing: Any, dumps: Callable[[Any], object], depth: int, seen: set[int]
) -> tuple[str, Any, str] | None:
    """The variable, its value, and the function that uses it; "" for the function that was asked about."""
    function = _plain(thing)
    if function is None or id(function) in seen:
        return None
    seen.add(id(function))
    for name, value in _variables(thing, function):
        if _can(value, dumps):
            continue
        inner = _plain(value)
        if inner is not None and depth:
            deeper = _culprit(value, dumps, depth - 1, seen)
            if deeper:
                return deeper[0], deeper[1], deeper[2] or inner.__name__
        part = _part(value, dumps)
        return (f"{name}{part[0]}", part[1], "") if part and part[0] else (name, value, "")
    return None


def _plain(thing: Any) -> types.FunctionType | None:
    if isinstance(thing, types.MethodType):
        thing = thing.__func__
    thing = getattr(thing, "func", thing)  # functools.partial, htmap.MappedFunction
    return thing if isinstance(thing, types.FunctionType) else None


def _variables(thing: Any, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, types.MethodType):
        yield "self", thing.__self__
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue
    names = {name for inner in _codes(code) for name in inner.co_names}
    for name in sorted(names & function.__globals__.keys()):
        yield name, function.__globals__[name]
    parameters = inspect.signature(function).parameters.values()
    for one in parameters:
        if one.default is not inspect.Parameter.empty:
            yield one.name, one.default


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _part(value: Any, dumps: Callable[[Any], object]) -> tuple[str, Any] | None:
    """Which part of a container it is: `["db"]` of a dict, `[2]` of a list, `.lock` of an object."""
    items: Iterator[tuple[str, Any]]
    if isinstance(value, dict):
        items = ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        items = ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(
        value, type | types.ModuleType | types.FunctionType
    ):
        items = ((f".{name}", item) for name, item in vars(value).items())
    else:
        return None
    return next(((key[:SHOWN], item) for key, item in items if not _can(item, dumps)), None)
