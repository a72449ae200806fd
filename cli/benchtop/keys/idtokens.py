"""HTCondor's IDTOKENS: the tokens that its daemons show each other.

A token is a JWT (HS256) by a key derived from one of the pool's signing keys; what is derived, and how
a key lies on the disk, is in HTCondor's condor_auth_passwd.cpp and store_cred.cpp. tests/stack/test_condor.py
holds the result against condor_token_create. People's tokens are the minter's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# As in condor/config.d/10-pool.conf.
ISSUER = "htc.benchtop.example"
DAEMON = "condor@benchtop.example"
POOL = "POOL"  # the name of the key that signs daemons' tokens

# What each kind of machine may do at the central manager, which itself may do everything.
AUTHORIZATIONS: dict[str, tuple[str, ...]] = {
    "cm": (),
    "ap": ("READ", "ADVERTISE_SCHEDD", "ADVERTISE_MASTER"),
    "ep": ("READ", "ADVERTISE_STARTD", "ADVERTISE_MASTER"),
}


def stored(key: bytes) -> bytes:
    """A signing key as its file holds it: not protected, only not to be read by chance."""
    return bytes(byte ^ b"\xde\xad\xbe\xef"[place % 4] for place, byte in enumerate(key))


def daemon_token(pool_key: bytes, authorizations: Iterable[str]) -> str:
    """A token for a daemon. It does not expire: it is worth as much as the key that it was made with.

    authorizations: what it is good for at whoever takes it; none means everything
    """
    claims: dict[str, object] = {
        "iss": ISSUER,
        "sub": DAEMON,
        "iat": int(time.time()),
        "jti": secrets.token_hex(16),
    }
    if scope := " ".join(f"condor:/{name}" for name in authorizations):
        claims["scope"] = scope
    # Of the key with this one name, HTCondor has always used two copies, one after the other.
    return jwt.encode(claims, signer(pool_key * 2), algorithm="HS256", headers={"kid": POOL})


def signer(key: bytes) -> bytes:
    """What signs tokens, derived from one of the pool's keys."""
    return HKDF(hashes.SHA256(), length=32, salt=b"htcondor", info=b"master jwt").derive(key)
