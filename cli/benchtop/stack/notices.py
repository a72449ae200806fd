"""What an admin tells people on the facility's pages: all of them, or those of a cell in maintenance.

Apache and the hubs read the files each time, so that nothing restarts. Apache's pages take text that is
HTML already; /announcement.json is for programs, JupyterLab's own among them.
"""

from __future__ import annotations

import html
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchtop.console import Problem, log, say
from benchtop.settings import Settings

LONGEST = 500  # characters: a page, not an essay


@dataclass(frozen=True)
class Announcement:
    """A sentence for everybody, and since when it stands; nothing was announced: no message, no time."""

    message: str = ""
    since: str | None = None


def checked_line(text: str, what: str) -> str:
    """The text on one line. Raises Problem, which begins with `what`, for a text that is no notice."""
    line = " ".join(text.split())
    if not line or len(line) > LONGEST or not line.isprintable():
        raise Problem(f"{what}, in 1 to {LONGEST} printable characters.")
    return line


def announce(settings: Settings, message: str, *, now: datetime | None = None) -> None:
    """Show a message on every page from now on, in place of the former one."""
    text = checked_line(
        message, 'Give the message, for example MESSAGE="Slurm is down on Friday from 8 to 10"'
    )
    since = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    _write(settings, Announcement(text, since))
    log.info("announced message=%r", text)
    say(f"Every page shows: {text}")
    say("To remove it: make announce-clear")


def clear(settings: Settings) -> None:
    """Show nothing any more."""
    _write(settings, Announcement())
    log.info("announcement cleared")
    say("The announcement was removed.")


def in_words(since: str | None, *, now: datetime | None = None) -> str:
    """When an announcement was made, as a person reads it: "at 16:14 UTC", or with the day if not today."""
    if since is None:
        return ""
    made = datetime.fromisoformat(since).astimezone(UTC)
    today = made.date() == (now or datetime.now(UTC)).date()
    return f"at {made:%H:%M} UTC" if today else f"on {made.day} {made:%B} at {made:%H:%M} UTC"


def announced(settings: Settings) -> Announcement:
    """What everybody reads now."""
    try:
        return Announcement(**json.loads(_file(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return Announcement()


def prepare(settings: Settings) -> None:
    """Make the folder, and the file that says that there is nothing to say."""
    if not _file(settings).is_file():
        _write(settings, Announcement())


def tell_cell(settings: Settings, cell: str, text: str) -> None:
    """Show a text to the people of a cell in place of its pages."""
    _put(notice_file(settings, cell), html.escape(text) + "\n")


def notice_file(settings: Settings, cell: str) -> Path:
    """Where the text for the people of a cell in maintenance is; Apache shows it."""
    return folder(settings) / cell


def folder(settings: Settings) -> Path:
    """What is mounted into Apache and the hubs: those texts, and what is announced."""
    return settings.state / "notices"


def in_maintenance(settings: Settings) -> dict[str, str]:
    """Cell → what its people are told, for each that an admin has stopped."""
    found = {cell: notice_file(settings, cell) for cell in settings.cell_names}
    return {cell: file.read_text().strip() for cell, file in found.items() if file.is_file()}


def _file(settings: Settings) -> Path:
    return folder(settings) / "announcement.json"


def _write(settings: Settings, announcement: Announcement) -> None:
    _put(_file(settings).with_suffix(".html"), html.escape(announcement.message))
    _put(_file(settings), json.dumps(asdict(announcement)) + "\n")


def _put(path: Path, text: str) -> None:
    """A reader sees the old content or the new one; services read it, whatever this shell's umask is."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)
