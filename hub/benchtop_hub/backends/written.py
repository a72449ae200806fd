"""Amounts as people write them into a form: "12 h", "1:30", "90 min", "2 GB"; ValueError for what is none.

A number alone means what it always has, minutes and MB, so that links and programs go on working. Only a
small one is GB of memory: nobody means a session of 2 MB.
"""

import re
import unicodedata
from decimal import Decimal
from math import ceil

LONGEST = 60  # characters
MINUTES = {"w": Decimal(10080), "d": Decimal(1440), "h": Decimal(60), "m": Decimal(1), "s": Decimal(1) / 60}
MEGABYTES = {"k": Decimal(1) / 1024, "m": Decimal(1), "g": Decimal(1024), "t": Decimal(1024 * 1024)}
FEWEST_MEGABYTES = 100  # a number alone that is smaller is GB

_NUMBER = r"(?:\d{1,12}(?:[.,]\d{1,6})?|[.,]\d{1,6})"
_UNIT = (
    r"w(?:eeks?|ks?)?|d(?:ays?)?|h(?:ours?|rs?)?|std|stunden?|tage?n?|"
    r"m(?:in(?:ute[sn]?|s)?)?|s(?:ec(?:ond)?s?)?|sekunden?"
)
_PART = re.compile(rf"\s*(?:,|and|und|\+)?\s*({_NUMBER})\s*({_UNIT})?\.?(?![a-z])\s*")
_CLOCK = re.compile(
    r"(?:(?P<days>\d{1,4})-)?(?P<hours>\d{1,5}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?"
)
_SIZE = re.compile(
    rf"({_NUMBER})\s*(?:([kmgt])i?(?:b|bytes?)?|([kmgt])(?:iga|ega|era|ibi|ebi|ilo)\w*bytes?)?"
)


def _plain(text: str) -> str:
    """In one spelling: full-width digits, other spaces and capitals are written differently only."""
    if not 0 < len(text) <= LONGEST:
        raise ValueError("too long, or nothing")
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _decimal(number: str) -> Decimal:
    return Decimal(number.replace(",", "."))


def minutes(text: str) -> int:
    """Of "12 h", "90 min", "1:30" (hours and minutes), "1.5 h", "1d", "2 hours 30", or minutes alone.

    A part of a minute counts as a whole one.
    """
    plain = _plain(text)
    if re.fullmatch(r"[0-9]{1,12}", plain):
        return int(plain)
    if clock := _CLOCK.fullmatch(plain.removesuffix(" h").removesuffix("h")):
        days, hours, rest, seconds = (int(part or 0) for part in clock.groups())
        return days * 1440 + hours * 60 + rest + (seconds > 0)
    total, smallest, at = Decimal(0), "", 0
    while at < len(plain) or not smallest:
        part = _PART.match(plain, at)
        if part is None:
            raise ValueError("no length of time")
        unit = (part[2] or "")[:1].replace("t", "d")
        if unit == "s" and part[2].startswith("st"):
            unit = "h"
        if not unit:  # "2 hours 30", "1 d 12": the next smaller one
            unit = {"w": "d", "d": "h", "h": "m", "m": "s"}.get(smallest, "")
        if not unit or (smallest and MINUTES[unit] >= MINUTES[smallest]):
            raise ValueError("no length of time")
        total += _decimal(part[1]) * MINUTES[unit]
        smallest, at = unit, part.end()
    return ceil(total)


def megabytes(text: str) -> int:
    """Of "2 GB", "1500 MB", "1.5" (GB), or MB alone, where nobody could mean GB."""
    plain = _plain(text)
    size = _SIZE.fullmatch(plain)
    if size is None:
        raise ValueError("no amount of memory")
    number, unit = _decimal(size[1]), size[2] or size[3]
    if not unit:
        whole = number == number.to_integral_value() and "." not in plain and "," not in plain
        unit = "m" if whole and number >= FEWEST_MEGABYTES else "g"
    return ceil(number * MEGABYTES[unit])


def duration(amount: int) -> str:
    """Minutes as this module reads them: "45 min", "12 h", "1 h 30 min"."""
    hours, rest = divmod(amount, 60)
    words = [f"{hours} h"] if hours else []
    return " ".join([*words, f"{rest} min"] if rest or not hours else words)


def size(amount: int) -> str:
    """MB as this module reads them: "1.5 GB", and MB where GB would be no round number."""
    if amount >= 512 and amount % 512 == 0:
        return f"{amount // 1024}{'.5' if amount % 1024 else ''} GB"
    return f"{amount} MB"
