"""Wait for a condition, never for a time."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


def wait_until(
    condition: Callable[[], T],
    *,
    timeout: float,
    what: str,
    every: float = 0.2,
    tell: Callable[[], str] = str,
) -> T:
    """Ask until the answer is true, and return it; the time-out is the promise that is tested.

    condition: called at least once; timeout, every: seconds; what: ends "waited for …". A question that takes
    longer than `every` is asked half of the time at most, since other tests run beside this one.
    tell: asked when it is in vain, for what else there is to know.
    Raises AssertionError with the last answer.
    """
    end = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        if answer := condition():
            return answer
        assert time.monotonic() < end, f"waited {timeout:.0f} s for {what}; last answer: {answer!r} {tell()}"
        time.sleep(min(max(every, time.monotonic() - asked), max(end - time.monotonic(), 0)))


def stays(condition: Callable[[], object], *, lasting: float, what: str, every: float = 1.0) -> None:
    """Ask for `lasting` seconds and fail at the first answer that is not true: the opposite of waiting.

    what: begins "… ended after"
    """
    begin = time.monotonic()
    while (past := time.monotonic() - begin) < lasting:
        answer = condition()
        assert answer, f"{what} ended after {past:.0f} of {lasting:.0f} s; last answer: {answer!r}"
        time.sleep(every)


def at_once(do: Callable[[T], U], each: Iterable[T]) -> list[U]:
    """Do it with each of them at the same time, and return what came of it in their order."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(do, each))


def outcome(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns, or raises, from a loop in a thread of its own.

    A worker that has had a test of the browser keeps Playwright's loop in its main thread until it ends, and
    a thread can have one loop.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
