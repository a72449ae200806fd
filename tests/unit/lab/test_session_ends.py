"""A page is told when its session ends, and how early to say so."""

from datetime import UTC, datetime

from benchtop_lab.session.notices import notices

USED = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
NOW = USED.timestamp() + 600


def told(**environment):
    return notices(environment, now=NOW, used=USED)


def test_the_end_of_the_runtime_is_announced_five_minutes_and_one_minute_before():
    said = told(BENCHTOP_ENDS="1764072000")
    assert (said["ends"], said["warnings"]) == (1764072000, (300, 60))


def test_a_session_that_nobody_uses_ends_so_long_after_its_last_use():
    said = told(BENCHTOP_IDLE_AFTER="7200")
    assert (said["idle_until"], said["idle_warning"]) == (USED.timestamp() + 7200, 300)


def test_there_is_time_to_answer_also_where_the_time_without_use_is_short():
    assert told(BENCHTOP_IDLE_AFTER="40")["idle_warning"] == 20


def test_where_nothing_ends_the_session_nothing_is_announced():
    for said in (told(), told(BENCHTOP_ENDS="", BENCHTOP_IDLE_AFTER="0")):
        assert (said["ends"], said["idle_until"]) == (None, None)


def test_the_page_learns_the_clock_that_the_times_are_of():
    assert told()["now"] == NOW
