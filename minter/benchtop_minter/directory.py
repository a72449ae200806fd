"""People as this machine's name service knows them: on the facility, LDAP through nslcd.

Who is disabled at the login alone, the name service cannot know: leavers.py keeps a list of them.
"""

import grp
import os
import pwd
from contextlib import suppress

from . import leavers
from .people import Person

EVERYBODY = "people"  # there from the directory's first start, whoever has been added since


def lookup(name: str) -> Person | None:
    """The person of that login name with all their groups, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = {}
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        with suppress(KeyError):  # a gid that has no name grants nothing
            groups[grp.getgrgid(gid).gr_name] = gid
    gids = tuple(groups.values())
    return Person(entry.pw_name, entry.pw_uid, frozenset(groups), leavers.listed(name), entry.pw_gid, gids)


def answers() -> bool:
    """Whether the directory is there: it knows the group that all people are in."""
    try:
        grp.getgrnam(EVERYBODY)
    except KeyError:
        return False
    return True
