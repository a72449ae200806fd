"""A map is made whole or not at all, by one notebook at a time; and what keeps it from that is said."""

import fcntl
import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import htcondor
import htmap
from htmap import condor, exceptions, htio, mapping, names

from benchtop_batch import place, unsendable
from benchtop_batch.maps import words

LOCK = ".making"  # a file in HTMap's folder
NOTHING_SUBMITTED = "nothing was submitted"
TROUBLES = (htcondor.HTCondorIOError, htcondor.HTCondorLocateError, htcondor.HTCondorInternalError)

_create_map, _get_schedd = mapping.create_map, condor.get_schedd


def put_in() -> None:
    """In place of HTMap's own."""
    mapping.create_map, mapping.execute_submit, condor.get_schedd = create_map, execute_submit, get_schedd
    htio.save_object, htio.save_func, htio.save_inputs = save_object, save_func, save_inputs


def create_map(tag: str | None, func: Any, args_and_kwargs: Any, map_options: Any = None) -> Any:
    """Two notebooks that took the same tag at once would both get it, and one map would be lost."""
    try:
        get_schedd(NOTHING_SUBMITTED)  # before anything is written
        with _alone(Path(htmap.settings["HTMAP_DIR"])):
            return _create_map(tag, func, args_and_kwargs, map_options)
    except Exception as error:
        if is_full(error):
            raise exceptions.NoSpaceLeft(words.home_is_full()) from None
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else of this home makes a map meanwhile, on whichever node."""
    with (folder / LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def is_full(error: BaseException | None) -> bool:
    """Is what was first in a chain of errors that there is no space?"""
    while error is not None:
        if isinstance(error, OSError) and error.errno in words.FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


# ---- what is sent --------------------------------------------------------------------------------------


def save_object(thing: Any, path: Path) -> None:
    """Compressed as far as it goes, as HTMap does it, a large input takes minutes."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        cloudpickle.dump(thing, file)


def save_func(map_dir: Path, func: Any) -> None:
    """Pickle says of what cannot be sent what type it is of, and not which variable it is."""
    with _named(lambda: unsendable.explain(func)):
        save_object(func, map_dir / names.FUNC)


def save_inputs(map_dir: Path, args_and_kwargs: Iterable[Any]) -> None:
    """The same of the inputs."""
    for number, given in enumerate(args_and_kwargs):
        with _named(lambda n=number, g=given: _input(n, g)):  # type: ignore[misc] # lambda with defaults
            save_object(given, map_dir / names.INPUTS_DIR / f"{number}.{names.INPUT_EXT}")


def _input(number: int, given: Any) -> str:
    args, kwargs = given
    value = args[0] if len(args) == 1 and not kwargs else (*args, *kwargs.values())
    return unsendable.explain_value(value, f"Input {number}")


@contextmanager
def _named(why: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        sentence = why()
        if not sentence:
            raise
        raise exceptions.CannotBeSent(sentence) from error


# ---- the queue -----------------------------------------------------------------------------------------


def get_schedd(doing: str = "nothing was changed") -> Any:
    """Says why there is none. doing: what did not happen."""
    own = htmap.settings.get("HTCONDOR.SCHEDULER")  # of another pool, which its user knows
    if not own and "condor" not in place.clusters():
        raise exceptions.CannotSubmit(words.no_pool(place.reason(), doing))
    try:
        return _get_schedd()
    except TROUBLES as error:
        raise exceptions.CannotSubmit(words.unreachable(str(error), doing)) from error


def execute_submit(submit: Any, items: list[dict[str, str]]) -> int:
    """In one call: transactions, as HTMap uses them, are deprecated, and say so in each notebook."""
    try:
        return int(get_schedd(NOTHING_SUBMITTED).submit(submit, count=1, itemdata=iter(items)).cluster())
    except TROUBLES as error:
        raise exceptions.CannotSubmit(words.unreachable(str(error), NOTHING_SUBMITTED)) from error
