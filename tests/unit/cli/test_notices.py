"""What an admin tells people is checked, plain text, and there for who reads it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import notices

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def told(settings: Settings) -> Path:
    """The folder of what is told."""
    settings.state.mkdir()
    return notices.folder(settings)


def test_what_is_announced_is_there_for_programs_and_for_pages(settings: Settings, told: Path):
    notices.announce(settings, "  Slurm is\n<down> & out ", now=NOW)
    said = json.loads((told / "announcement.json").read_text())
    assert said == {"message": "Slurm is <down> & out", "since": "2026-11-25T12:00:00+00:00"}
    assert (told / "announcement.html").read_text() == "Slurm is &lt;down&gt; &amp; out"
    assert notices.announced(settings).message == "Slurm is <down> & out"


def test_it_is_taken_back(settings: Settings, told: Path):
    notices.announce(settings, "Slurm is down", now=NOW)
    notices.clear(settings)
    assert json.loads((told / "announcement.json").read_text()) == {"message": "", "since": None}
    assert (told / "announcement.html").read_text() == ""


def test_before_the_first_there_is_nothing_to_say_and_a_later_start_keeps_what_there_is(
    settings: Settings, told: Path
):
    notices.prepare(settings)
    assert notices.announced(settings) == notices.Announcement()
    notices.announce(settings, "Slurm is down", now=NOW)
    notices.prepare(settings)
    assert notices.announced(settings).message == "Slurm is down"


@pytest.mark.parametrize("text", ["", "  \n", "x" * (notices.LONGEST + 1), "a\x1b[2Jb", "a\x00b"])
def test_what_is_no_sentence_is_refused_and_changes_nothing(settings: Settings, told: Path, text: str):
    notices.announce(settings, "Slurm is down", now=NOW)
    with pytest.raises(Problem, match=f"in 1 to {notices.LONGEST} printable characters"):
        notices.announce(settings, text)
    assert notices.announced(settings).message == "Slurm is down"


def test_services_can_read_it_whatever_this_shell_lets_others_read(settings: Settings, told: Path):
    told.mkdir(mode=0o700)
    notices.announce(settings, "Slurm is down")
    notices.tell_cell(settings, "hpc-1", "Back at <noon>")
    assert told.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in told.iterdir()} == {0o644}
    assert (told / "hpc-1").read_text() == "Back at &lt;noon&gt;\n"


def test_the_time_of_an_announcement_is_told_in_words():
    later = NOW + timedelta(hours=1)
    assert notices.in_words(NOW.isoformat(), now=later) == f"at {NOW:%H:%M} UTC"
    later += timedelta(days=2)
    assert notices.in_words(NOW.isoformat(), now=later) == f"on {NOW.day} {NOW:%B} at {NOW:%H:%M} UTC"
    assert notices.in_words(None) == ""
