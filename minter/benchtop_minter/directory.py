"""People as this machine's name service knows them: on the facility, LDAP through nslcd."""

import grp
import os
import pwd
from contextlib import suppress

from .grants import Person


def lookup(name: str) -> Person | None:
    """The person of that login name with all their groups, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = set()
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        with suppress(KeyError):  # a gid that has no name grants nothing
            groups.add(grp.getgrgid(gid).gr_name)
    return Person(entry.pw_name, entry.pw_uid, frozenset(groups))


def answers(group: str) -> bool:
    """Whether the directory is there: it knows the group of this cluster's people."""
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True
