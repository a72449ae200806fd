"""Who may get a credential, and the credentials themselves.

Each kind of credential is one function of a `Grant` and the time, registered in the service under
its own path; every kind passes the same `check`. Time is an argument, so that a test needs no
patching.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

MAX_LIFE = timedelta(minutes=10)  # a stolen token is worth this long; a hub asks again for each action
LOWEST_UID = 1500  # below: root, daemons, the facility's own service users
PERSON = re.compile(r"[a-z][a-z0-9_-]{0,30}")  # as accounts/people.yaml allows; nothing else reaches NSS


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """A request that must not be granted; the message is safe to show to the caller."""


@dataclass(frozen=True)
class Person:
    """Somebody as the directory knows them."""

    name: str
    uid: int
    groups: frozenset[str]
    disabled: bool = False  # at the login; the directory may not know


@dataclass(frozen=True)
class Grant:
    """What was asked and may be given: made by `check` alone."""

    person: Person
    life: timedelta


Lookup = Callable[[str], Person | None]
Mint = Callable[[Grant, datetime], str]


def check(name: str, lifetime: int, *, group: str, lookup: Lookup) -> Grant:
    """Decide whether `name` may be acted for.

    name:     a login name as the caller wrote it
    lifetime: seconds
    group:    the people of this cluster; lookup: name → person, or None
    Raises Refused with a sentence for the log and the caller.
    """
    longest = int(MAX_LIFE.total_seconds())
    if not 1 <= lifetime <= longest:
        raise Refused(f"A lifetime of {lifetime} s is not possible: ask for 1 to {longest} s.")
    person = lookup(name) if PERSON.fullmatch(name) else None
    # The directory may fold case; the token names exactly the person that was looked up.
    if person is None or person.name != name:
        raise Refused(f"The directory knows nobody by the name {name!a:.40}.")
    if person.uid < LOWEST_UID:
        raise Refused(f"{name} is an account of the system, not a person.")
    if person.disabled:
        raise Refused(f"The login of {name} is disabled.")
    if group not in person.groups:
        raise Refused(f"{name} is not in the group {group}.")
    return Grant(person, timedelta(seconds=lifetime))


def slurm_token(key: bytes) -> Mint:
    """Slurm's kind: a JWT by which its bearer is that person towards slurmctld and slurmdbd.

    key: the cluster's jwt.key. The claim set is documented in slurm.schedmd.com/jwt.html (`sun`, HS256).
    """

    def mint(grant: Grant, now: datetime) -> str:
        issued = int(now.timestamp())
        claims = {"sun": grant.person.name, "iat": issued, "exp": issued + int(grant.life.total_seconds())}
        return jwt.encode(claims, key, algorithm="HS256")

    return mint


def condor_token(key: bytes) -> Mint:
    """HTCondor's kind: an IDTOKEN by which its bearer is that person at the access point of the pool htc.

    key: the pool's signing key `people`, as it is before HTCondor scrambles it for its file. What signs is
    derived from it by HKDF-SHA256 (32 bytes: one round), as in HTCondor's condor_auth_passwd.cpp; the names
    are those of condor/config.d/10-pool.conf.
    """
    pseudorandom = hmac.new(b"htcondor", key, hashlib.sha256).digest()
    signer = hmac.new(pseudorandom, b"master jwt\x01", hashlib.sha256).digest()

    def mint(grant: Grant, now: datetime) -> str:
        issued = int(now.timestamp())
        claims = {
            "iss": "htc.benchtop.example",
            "sub": f"{grant.person.name}@benchtop.example",
            "iat": issued,
            "exp": issued + int(grant.life.total_seconds()),
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(claims, signer, algorithm="HS256", headers={"kid": "people"})

    return mint
