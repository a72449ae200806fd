"""Whether a test can wait for a coroutine wherever it runs."""

import asyncio

import pytest

from support.wait import outcome


async def _half_of(number: int) -> float:
    await asyncio.sleep(0)
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def test_a_coroutine_runs_to_its_end_beside_a_loop_that_runs() -> None:
    """As Playwright's does in the main thread of a worker that has had a test of the browser."""

    async def within() -> float:
        return outcome(_half_of(4))

    assert asyncio.run(within()) == outcome(_half_of(4)) == 2


def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="3 is odd"):
        outcome(_half_of(3))
