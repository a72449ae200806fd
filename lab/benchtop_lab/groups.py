"""The groups of whoever runs this. Nothing else, because a session's start waits for it."""

import grp
import os
from contextlib import suppress


def own_groups() -> list[str]:
    """Their names, the first one's first; of a number that has none, nothing."""
    found = []
    for number in dict.fromkeys([os.getgid(), *os.getgroups()]):
        with suppress(KeyError):
            found.append(grp.getgrgid(number).gr_name)
    return found
