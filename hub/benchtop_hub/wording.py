"""What several pages and messages say in the same words: times, the address for questions, a reason."""

from datetime import datetime, timedelta
from html import escape

OUT_OF_MEMORY = "it used more memory than requested"
TIME_LIMIT = "its time limit was reached"


def lasting(time: timedelta) -> str:
    """As people say it: "3 min", "2 h 5 min", "4 d 1 h"."""
    minutes = max(0, int(time.total_seconds())) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def ago(time: timedelta) -> str:
    """As people say it: "just now", "3 min ago"."""
    return "just now" if time < timedelta(minutes=1) else f"{lasting(time)} ago"


def expected_start(when: datetime, now: datetime) -> str:
    """When a session is expected to start. Both with a time zone."""
    minutes = round((when - now).total_seconds() / 60)
    if minutes < 1:
        about = "immediately"
    elif minutes < 120:
        about = f"in about {minutes} minute{'s' if minutes > 1 else ''}"
    elif minutes < 2 * 1440:
        about = f"in about {round(minutes / 60)} hours"
    else:
        about = f"in about {round(minutes / 1440)} days"
    return f"Expected start: {about}"


def with_link(text: str, address: str) -> str:
    """The text as HTML, with a link wherever it names this mail address."""
    shown = escape(address)
    link = f'<a href="mailto:{shown}">{shown}</a>' if "@" in address else shown
    return escape(text).replace(shown, link)
