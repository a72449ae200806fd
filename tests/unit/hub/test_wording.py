"""Times as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from benchtop_hub.wording import expected_start, lasting


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 min"), (59, "0 min"), (180, "3 min"), (7500, "2 h 5 min"), (90000, "1 d 1 h")],
)
def test_times_are_told_as_people_do(seconds, said):
    assert lasting(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("wait", "sentence"),
    [
        (timedelta(seconds=-3), "Expected start: immediately"),
        (timedelta(seconds=20), "Expected start: immediately"),
        (timedelta(minutes=1), "Expected start: in about a minute"),
        (timedelta(minutes=90), "Expected start: in about 90 minutes"),
        (timedelta(hours=5), "Expected start: in about 5 hours"),
        (timedelta(days=3), "Expected start: in about 3 days"),
    ],
)
def test_the_expected_start_is_said_as_people_say_it(wait, sentence):
    now = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    assert expected_start(now + wait, now) == sentence
