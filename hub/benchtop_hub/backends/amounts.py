"""Amounts as admins write them into batchspawner's `req_` settings; ValueError has a sentence."""

import re

UNITS = {"": 1 / 1048576, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1048576, "P": 1073741824}  # in MB


def number(name: str, value: str) -> int:
    """Of anything that is counted. name: of the setting, without `req_`."""
    if not value.isdecimal():
        raise ValueError(f'req_{name}: "{value}" is no number.')
    return int(value)


def megabytes(value: str) -> int:
    """Of an amount of memory like 2G, 2048 or 1.5gb."""
    amount = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)i?B?", value, re.IGNORECASE)
    if not amount:
        raise ValueError(f'req_memory: "{value}" is no amount of memory like 2G.')
    return int(float(amount[1]) * UNITS[amount[2].upper() or "M"])


def minutes(value: str) -> int:
    """By sbatch's forms: MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, DAYS-HOURS[:MINUTES[:SECONDS]]."""
    shape = re.fullmatch(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})", value)
    if not shape:
        raise ValueError(f'req_runtime: "{value}" is no time like 8:00:00.')
    parts = [int(part) for part in shape["parts"].split(":")]
    if shape["days"]:
        hours, minutes, *_ = [*parts, 0, 0]
        return int(shape["days"]) * 1440 + hours * 60 + minutes
    if len(parts) == 3:
        return parts[0] * 60 + parts[1]
    return parts[0]
