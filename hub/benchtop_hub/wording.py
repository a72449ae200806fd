"""Times, sizes and quotes as people read them, once for all pages and sentences."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from html import escape

QUOTED = 80  # characters of what was sent that are shown and logged
UNITS = {"cpus": "", "memory": " MB", "disk": " MB", "runtime": " minutes"}


def quote(value: object, longest: int = QUOTED) -> str:
    """What somebody sent, fit for a sentence and for the log: not too long, and all of it can be seen."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(value)[:longest])


def listed(names: Iterable[str], most: int = 8) -> str:
    """A list for a sentence; somebody may have hundreds of accounts."""
    every = list(names)
    return ", ".join(every[:most]) + (" …" if len(every) > most else "")


def of_memory(free: int, total: int) -> str:
    """So much of all the memory, in a sentence: "3.5 of 12 GB memory". Both in MB."""
    return f"{round(free / 1024, 1):g} of {round(total / 1024, 1):g} GB memory"


def lasting(time: timedelta) -> str:
    """In short, for tables: "3 min", "2 h 5 min", "4 d 1 h"."""
    minutes = max(0, int(time.total_seconds())) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def ago(time: timedelta) -> str:
    """In short, for tables: "just now", "3 min ago"."""
    return "just now" if time < timedelta(minutes=1) else f"{lasting(time)} ago"


def about(time: timedelta) -> str:
    """In words, for sentences about what is to come: "a minute", "11 minutes", "3 hours", "2 days"."""
    minutes = max(1, round(time.total_seconds() / 60))
    if minutes == 1:
        return "a minute"
    if minutes < 120:
        return f"{minutes} minutes"
    hours = round(minutes / 60)
    return f"{hours} hours" if hours < 48 else f"{round(hours / 24)} days"


def patience(seconds: float) -> str:
    """A limit of time in a sentence: "90 seconds", "10 minutes"."""
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds // 60:.0f} minutes"


def expected_start(when: datetime, now: datetime) -> str:
    """When a session would start. Both with a time zone."""
    left = when - now
    return STARTS_AT_ONCE if left < timedelta(seconds=30) else f"Expected start: in about {about(left)}"


def with_link(text: str, address: str) -> str:
    """The text as HTML, with a link wherever it names this mail address."""
    shown = escape(address)
    link = f'<a href="mailto:{shown}">{shown}</a>' if "@" in address else shown
    return escape(text).replace(shown, link)


def ended(why: str) -> str:
    """What the owner of a session that ended by itself is told; why: the end of a sentence."""
    return f"Your session ended: {why}."


STARTS_AT_ONCE = "Expected start: immediately"
STOPPED = "Your session was stopped by an administrator."
OUT_OF_MEMORY = "it used more memory than requested"
KILLED = "it was killed, most likely because it used more memory than requested"
TIME_LIMIT = "its time limit was reached"
