"""A token is asked for once, kept while it has time left, and its absence is told apart from a refusal."""

import asyncio
from pathlib import Path

import pytest

from benchtop_hub.access.minter import LAST, LIFETIME, SPARE, Minter, Refused, Unavailable


class Asked(Minter):
    """A minter's client that needs no minter."""

    def __init__(self):
        self.now = 1000.0
        self.asked: list[str] = []
        self.gone: set[str] = set()
        super().__init__("https://minter", Path("/nowhere"), clock=lambda: self.now)

    async def _ask(self, person):
        self.asked.append(person)
        if person in self.gone:
            raise Refused(f"{person} is gone.")
        token = f"{person}-{len(self.asked)}"
        await asyncio.sleep(0)
        return token, self.now + LIFETIME


def test_people_who_come_together_share_one_question_each():
    minter = Asked()

    async def crowd():
        return await asyncio.gather(*(minter.token(name) for name in ["alice", "alice", "carol", "alice"]))

    assert asyncio.run(crowd()) == ["alice-1", "alice-1", "carol-2", "alice-1"]


def test_a_token_is_never_handed_out_with_too_little_time_left():
    minter = Asked()

    async def twice():
        first = await minter.token("alice")
        minter.now += LIFETIME - SPARE
        kept = await minter.token("alice")
        minter.now += 1
        return first, kept, await minter.token("alice")

    assert asyncio.run(twice()) == ("alice-1", "alice-1", "alice-2")


def test_the_jobs_of_somebody_who_is_gone_are_ended_with_their_last_token_while_it_is_good():
    """Disabled within seconds of a start, with a token that was nearly over, theirs went on for minutes."""
    minter = Asked()

    async def gone():
        await minter.token("alice")
        minter.gone.add("alice")
        with pytest.raises(Refused):
            await minter.renew("alice")
        minter.now += LIFETIME - LAST
        last = await minter.token("alice")
        minter.now += 1
        with pytest.raises(Refused):
            await minter.token("alice")
        return last

    assert asyncio.run(gone()) == "alice-1"


def test_only_people_with_a_usable_token_are_known():
    minter = Asked()
    asyncio.run(minter.token("alice"))
    assert minter.known() == ["alice"]
    minter.now += LIFETIME
    assert minter.known() == []


def test_a_minter_that_cannot_be_asked_is_unavailable_and_refuses_nobody():
    with pytest.raises(Unavailable):
        asyncio.run(Minter("https://minter", Path("/nowhere")).token("alice"))
