"""A database that went away and came back."""

import asyncio

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import Session

from benchtop_hub.upstream import database


@pytest.fixture(scope="module", autouse=True)
def _told() -> None:
    database.tell_when_away()


@pytest.fixture
def engine() -> Engine:
    return create_engine("sqlite://")


def test_what_a_callback_left_behind_does_not_meet_the_next_page(engine: Engine):
    session = Session(engine)

    async def lose_it_in_a_callback() -> None:
        session.connection().invalidate()
        with pytest.raises(PendingRollbackError):
            session.execute(text("SELECT 1"))
        with pytest.raises(database.Away):
            Session(engine).execute(text("SELECT 1 FROM nowhere"))
        await asyncio.sleep(0)  # the loop's next turn, which a page would have

    asyncio.run(lose_it_in_a_callback())
    assert session.execute(text("SELECT 1")).scalar_one() == 1


def test_it_is_told_as_an_answer_that_people_can_read(engine: Engine):
    with pytest.raises(database.Away) as told:
        Session(engine).execute(text("SELECT 1 FROM nowhere"))
    assert told.value.status_code == 503
    assert told.value.jupyterhub_message == database.SENTENCE
