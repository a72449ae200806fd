"""Amounts are read as people write them, a number alone as it always was, and nonsense is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchtop_hub.backends import written


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90), (" 90 ", 90), ("90 min", 90), ("90min", 90), ("90 minutes", 90), ("90m", 90),
        ("90 mins.", 90), ("12 h", 720), ("12h", 720), ("12 H", 720), ("12 hrs", 720), ("1 hour", 60),
        ("1.5 h", 90), ("1,5 h", 90), (".5h", 30), ("0.25 hours", 15), ("1:30", 90), ("01:30", 90),
        ("0:45", 45), ("12:00", 720), ("1:30 h", 90), ("1:30:00", 90), ("1:30:01", 91),
        ("1-12:00:00", 2160), ("1d", 1440), ("1 day", 1440), ("1 d 12", 2160), ("2 hours 30", 150),
        ("2h30", 150), ("2h 30m", 150), ("2 h, 30 min", 150), ("2 hours and 30 minutes", 150),
        ("1 day 2 hours 3 minutes", 1563), ("30 s", 1), ("90 sec", 2), ("1 week", 10080),
        ("\uff11\uff12 h", 720), ("12\u00a0h", 720), ("12\u202fh", 720), ("2 Stunden", 120),
        ("3 Tage", 4320), ("0", 0),
    ],
)  # fmt: skip
def test_a_runtime_is_understood(text: str, minutes: int):
    assert written.minutes(text) == minutes


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "1.5", "1,5", "1e3", "-5", "- 5 min", "12 x", "h", "1:75", "1:2", ":30", "1:",
        "30 min 2 h", "2 h 3 h", "1 h 30 min 10 x", "12 hmm", "1_000", "∞", "1 year", "12 h" * 20,
        "9" * 1_000_000, "1:30 min", "1..5 h", "\u0661\u0662 y",
    ],
)  # fmt: skip
def test_what_is_no_runtime_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  its words are for nobody
        written.minutes(text)


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [
        ("2 GB", 2048), ("2GB", 2048), ("2g", 2048), ("2 GiB", 2048), ("2 gigabytes", 2048),
        ("1.5", 1536), ("1,5", 1536), ("1.5 GB", 1536), ("2", 2048), ("1500 MB", 1500), ("1500M", 1500),
        ("1500", 1500), ("1024", 1024), ("100", 100), ("99", 99 * 1024), ("512 mb", 512),
        ("1 TB", 1048576), ("2048K", 2), ("\uff12 GB", 2048), ("2\u00a0GB", 2048), ("0.1 GB", 103),
        ("120.5", 123392), ("0", 0),
    ],
)  # fmt: skip
def test_an_amount_of_memory_is_understood(text: str, megabytes: int):
    assert written.megabytes(text) == megabytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "much",
        "GB",
        "-2",
        "-2 GB",
        "2 G B x",
        "1e3",
        "2 GBit",
        "$ENV(HOME)",
        "NaN",
        "9" * 1_000_000,
        "2 h",
    ],
)
def test_what_is_no_amount_of_memory_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  its words are for nobody
        written.megabytes(text)


@given(st.integers(1, 525_600))
def test_what_the_form_shows_of_a_runtime_is_that_runtime(minutes: int):
    assert written.minutes(written.duration(minutes)) == minutes


@given(st.integers(1, 1 << 30))
def test_what_the_form_shows_of_memory_is_that_much(megabytes: int):
    assert written.megabytes(written.size(megabytes)) == megabytes


@given(st.text(max_size=70))
def test_any_text_is_read_or_refused(text: str):
    for read in (written.minutes, written.megabytes):
        with suppress(ValueError):
            assert read(text) >= 0


def test_amounts_are_shown_as_people_write_them():
    assert [written.duration(minutes) for minutes in (20, 60, 90, 720)] == [
        "20 min",
        "1 h",
        "1 h 30 min",
        "12 h",
    ]
    assert [written.size(megabytes) for megabytes in (320, 512, 1024, 1536, 1500)] == [
        "320 MB", "0.5 GB", "1 GB", "1.5 GB", "1500 MB"
    ]  # fmt: skip
