"""Who may get a credential, and the credentials themselves.

Each kind of credential is one function of a `Grant` and the time, registered in the service under
its own path; every kind passes the same `check`. Time is an argument, so that a test needs no
patching.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .people import Lookup, Person, Refused, check_person

MAX_LIFE = timedelta(minutes=10)  # a stolen token is worth this long; a hub asks again for each action
SSH_LIFE = timedelta(minutes=1)  # a certificate is shown once, right away
SSH_BEFORE = timedelta(seconds=5)  # as much may the login node's clock be behind
SSH_COMMAND = "/opt/lab/bin/python -I -m benchtop_lab.login_node"  # all that a certificate is good for


@dataclass(frozen=True)
class Grant:
    """What was asked and may be given: made by `check` alone."""

    person: Person
    life: timedelta
    key: Ed25519PublicKey | None = None  # whose certificate it is to be, where it is one


Mint = Callable[[Grant, datetime], str]


@dataclass(frozen=True)
class Kind:
    """A kind of credential: how it is made, how long one may live, and whether it is for a key."""

    mint: Mint
    longest: timedelta = MAX_LIFE
    for_key: bool = False


def check(name: str, lifetime: int, *, group: str, lookup: Lookup, longest: timedelta = MAX_LIFE) -> Grant:
    """Decide whether `name` may be acted for.

    name:     a login name as the caller wrote it
    lifetime: seconds, at most `longest`
    group:    the people of this cluster; lookup: name → person, or None
    Raises Refused with a sentence for the log and the caller.
    """
    seconds = int(longest.total_seconds())
    if not 1 <= lifetime <= seconds:
        raise Refused(f"A lifetime of {lifetime} s is not possible: ask for 1 to {seconds} s.")
    return Grant(check_person(name, group=group, lookup=lookup), timedelta(seconds=lifetime))


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
    derived from it as in HTCondor's condor_auth_passwd.cpp; the names are condor/config.d/10-pool.conf's.
    """
    signer = HKDF(hashes.SHA256(), length=32, salt=b"htcondor", info=b"master jwt").derive(key)

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


def ssh_certificate(key: bytes) -> Mint:
    """The login node's kind: a certificate by which the holder of `grant.key` is that person there.

    key: the cluster's SSH CA, as OpenSSH writes it. The certificate opens nothing but `SSH_COMMAND`: no
    shell, no terminal, no forwarding (each would be an extension, and there is none). Not where from: the
    address by which the minter knows a hub is not the one that the login node sees.
    """
    signer = serialization.load_ssh_private_key(key, password=None)
    if not isinstance(signer, Ed25519PrivateKey):
        raise TypeError("the SSH CA must be an Ed25519 key")

    def mint(grant: Grant, now: datetime) -> str:
        if grant.key is None:
            raise ValueError("a certificate is for a key")
        builder = (
            serialization.SSHCertificateBuilder()
            .public_key(grant.key)
            .serial(secrets.randbits(63))
            .type(serialization.SSHCertificateType.USER)
            .key_id(f"minter:{grant.person.name}".encode())
            .valid_principals([grant.person.name.encode()])
            .valid_after(int((now - SSH_BEFORE).timestamp()))
            .valid_before(int((now + grant.life).timestamp()))
            .add_critical_option(b"force-command", SSH_COMMAND.encode())
        )
        return builder.sign(signer).public_bytes().decode()

    return mint
