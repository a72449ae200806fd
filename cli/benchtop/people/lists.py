"""The list of people as each service reads it: the directory, Slurm's accounting, the makers of homes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from benchtop import topology
from benchtop.keys import pki
from benchtop.people.roster import PEOPLE_GID, People
from benchtop.settings import Settings

# A well-formed hash that is no password's
NO_PASSWORD = f"{{ARGON2}}$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"


class Hashed(Protocol):
    """Whatever knows the hash of a person's password."""

    @property
    def password_hash(self) -> str:
        """`{ARGON2}…`, as the directory keeps it."""
        ...


def directory(people: People, logins: Mapping[str, Hashed]) -> bytes:
    """The people and groups of the LDAP directory, as its `apply-people` reads them."""
    # Who is disabled stays an entry, so that their files keep an owner with a name: in no group, and with a
    # password that nobody has.
    able = {name: person for name, person in people.people.items() if not person.disabled}
    members = {
        "people": list(able),
        "facility-admins": [n for n, p in able.items() if p.admin],
    }
    members |= {f"cluster-{c}": [n for n, p in able.items() if c in p.clusters] for c in topology.CLUSTERS}
    gids = {"people": PEOPLE_GID, "facility-admins": PEOPLE_GID + 1}
    gids |= {f"cluster-{cluster}": PEOPLE_GID + 10 + i for i, cluster in enumerate(topology.CLUSTERS)}
    for group, entry in people.groups.items():
        members[group] = [name for name, person in able.items() if group in person.groups]
        gids[group] = entry.gid
    persons = [
        {
            "name": name,
            "uid": person.uid,
            "gid": PEOPLE_GID,
            "given": person.name.rpartition(" ")[0],
            "family": person.name.rpartition(" ")[2],
            "mail": person.mail,
            "password_hash": NO_PASSWORD if person.disabled else logins[name].password_hash,
            "shell": "/bin/bash",
            "home": f"/home/{name}",
        }
        for name, person in people.people.items()
    ]
    groups = [{"name": name, "gid": gid, "members": members[name]} for name, gid in gids.items()]
    return _json({"people": persons, "groups": groups, "confined": people.confined})


def accounting(people: People) -> bytes:
    """Who may use what of Slurm, as slurmctld's `apply-people` reads it.

    A field that nothing was said about is left out. A person's first account is the default one;
    `qos` of a person is what they have beyond their accounts.
    """
    slurm = people.slurm
    persons = [
        {
            "name": name,
            "uid": person.uid,
            "accounts": person.accounts,
            "qos": person.qos,
            "limits": person.limits.model_dump(exclude_none=True),
            "admin": person.admin,
        }
        for name, person in people.people.items()
        if topology.SLURM in person.clusters and not person.disabled
    ]
    return _json(
        {
            "accounts": [
                {"name": name, **entry.model_dump(exclude_none=True)}
                for name, entry in slurm.accounts.items()
            ],
            "qos": [
                {"name": name, **entry.model_dump(exclude_none=True)} for name, entry in slurm.qos.items()
            ],
            "people": persons,
        }
    )


def homes(settings: Settings, people: People) -> bool:
    """Write the list of homes that `fill-volumes` makes; say whether it changed."""
    rows = [f"{name}\t{person.uid}\t{PEOPLE_GID}\n" for name, person in people.people.items()]
    return pki.write(settings.state / "secrets" / "volumes" / "people.tsv", "".join(rows).encode())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
