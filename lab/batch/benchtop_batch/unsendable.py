"""Say which variable keeps a call from being sent to another machine, and what to do about it.

What a pickler says names a type ("cannot pickle '_thread.lock' object") and nothing that its author wrote.
"""

import importlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from benchtop_batch.sentence import SentenceError

Dumps: TypeAlias = Callable[[Any], object]
DEPTH = 3  # functions that call functions of the notebook are looked into as far as this
SHOWN = 60  # characters of what is named
SAID = 120  # … of what a pickler says
_INSTEAD = (
    (
        {"TextIOWrapper", "BufferedReader", "BufferedWriter", "FileIO"},
        "pass the file's path, and open it in the function",
    ),
    (
        {"lock", "RLock", "Condition", "Semaphore", "Event"},
        "leave it out, because workers share no memory with the notebook",
    ),
    ({"generator"}, "make a list of it first"),
    ({"socket", "Connection", "Cursor", "Session"}, "connect inside the function"),
)


class UnsendableError(SentenceError, TypeError):
    """A call that cannot be sent to a worker; the message says which variable is to blame, and what to do."""


def explain(
    function: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dumps: Dumps | None = None,
) -> str:
    """Why a call cannot be sent, a sentence for each reason; "" for one that can.

    dumps: how it would be sent; as cloudpickle does it by default, and where that is not, nothing is known
    """
    dumps = dumps or _by_value()
    if dumps is None:
        return ""
    given = [(f"Argument {number}", value) for number, value in enumerate(args, 1)]
    given += [(f"Argument “{name}”", value) for name, value in (kwargs or {}).items()]
    values = (explain_value(value, what, dumps=dumps) for what, value in given)
    return " ".join(filter(None, (_explain_function(function, dumps), *values)))


def explain_value(value: Any, what: str = "The value", *, dumps: Dumps | None = None) -> str:
    """The same of a value alone. what: as the sentence calls it

    >>> import pickle, threading
    >>> explain_value({"lock": threading.Lock()}, "“settings”", dumps=pickle.dumps)
    "“settings” (['lock']) cannot be sent to another machine (it is of type _thread.lock): leave it out, ..."
    >>> explain_value([1, 2], dumps=pickle.dumps)
    ''
    """
    dumps = dumps or _by_value()
    if dumps is None or _can(value, dumps):
        return ""
    part, inner = _part(value, dumps) or ("", value)
    where = f" ({part})" if part else ""
    return f"{what}{where} cannot be sent to another machine ({_kind(inner)}): {_instead(inner)}."


def _explain_function(function: Callable[..., Any], dumps: Dumps) -> str:
    if _can(function, dumps):
        return ""
    name = getattr(function, "__name__", "") or type(function).__name__
    found = _culprit(function, dumps, DEPTH, set())
    if not found:
        return f"“{name}” cannot be sent to another machine: {_error(function, dumps)[:SAID]}."
    variable, value, user = found
    cannot = f"cannot be sent to another machine ({_kind(value)})"
    return f"“{user or name}” uses “{variable}”, which {cannot}: {_instead(value)}."


def _by_value() -> Dumps | None:
    """What sends functions of a notebook: not every environment has it."""
    try:
        dumps: Dumps = importlib.import_module("cloudpickle").dumps
    except ImportError:
        return None
    return dumps


def _instead(value: Any) -> str:
    kind = type(value).__name__
    for kinds, words in _INSTEAD:
        if kind in kinds:
            return words
    return (
        "make it inside the function, or give the function what it is made from"
        " (the path of a file, the address of a database, plain numbers or text)"
    )


def _can(thing: Any, dumps: Dumps) -> bool:
    return not _error(thing, dumps)


def _error(thing: Any, dumps: Dumps) -> str:
    try:
        dumps(thing)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _kind(value: Any) -> str:
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"it is of type {name}"[:SHOWN]


def _culprit(thing: Any, dumps: Dumps, depth: int, seen: set[int]) -> tuple[str, Any, str] | None:
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


def _part(value: Any, dumps: Dumps) -> tuple[str, Any] | None:
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
