"""What the minter signs for HTCondor, held against what HTCondor itself signed."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import jwt

from benchtop_minter.grants import Grant, Person, condor_token

KEY = bytes(range(32))
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ALICE = Grant(Person("alice", 2001, frozenset({"cluster-htc"})), timedelta(seconds=90))

# `condor_token_create -identity alice@benchtop.example -key people -lifetime 60`, HTCondor 23.9.6, where the
# file of the key `people` holds KEY as HTCondor scrambles it. It ended on the day on which it was made.
MADE_BY_HTCONDOR = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6InBlb3BsZSJ9.eyJleHAiOjE3OTU0ODI1NDEsImlhdCI6MTc5NTQ4MjQ4MSwiaXNzIjoiaHRjLmJl"
    "bmNodG9wLmV4YW1wbGUiLCJqdGkiOiJiMDA1NmVlMjczNmZmODFiYTBkOTI2ZTdkOWUzNjUyMCIsInN1YiI6ImFsaWNlQGJlbmNodG9w"
    "LmV4YW1wbGUifQ"
)
SIGNATURE_BY_HTCONDOR = "EPRHJimRjMUWj-zTptPF_o6n_fRCaIlovYsxOE8A2S0"


def claims(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


def signer(key: bytes) -> bytes:
    """HKDF-SHA256 of one round, as the standard (RFC 5869) has it."""
    pseudorandom = hmac.new(b"htcondor", key, hashlib.sha256).digest()
    return hmac.new(pseudorandom, b"master jwt" + bytes([1]), hashlib.sha256).digest()


def test_the_key_is_derived_as_htcondor_does():
    signed = hmac.new(signer(KEY), MADE_BY_HTCONDOR.encode(), hashlib.sha256).digest()
    assert urlsafe_b64encode(signed).rstrip(b"=").decode() == SIGNATURE_BY_HTCONDOR


def test_our_tokens_are_signed_with_that_key():
    token = condor_token(KEY)(ALICE, NOW)
    text, _, signature = token.rpartition(".")
    assert urlsafe_b64decode(signature + "=") == hmac.new(signer(KEY), text.encode(), hashlib.sha256).digest()


def test_our_tokens_say_what_htcondors_do():
    token = condor_token(KEY)(ALICE, NOW)
    theirs = claims(f"{MADE_BY_HTCONDOR}.{SIGNATURE_BY_HTCONDOR}")
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": "people"}
    assert claims(token).keys() == theirs.keys()
    assert (claims(token)["iss"], claims(token)["sub"]) == (theirs["iss"], theirs["sub"])


def test_a_token_ends_when_it_should():
    said = claims(condor_token(KEY)(ALICE, NOW))
    assert (said["iat"], said["exp"]) == (int(NOW.timestamp()), int(NOW.timestamp()) + 90)


def test_no_two_tokens_have_the_same_number():
    mint = condor_token(KEY)
    assert claims(mint(ALICE, NOW))["jti"] != claims(mint(ALICE, NOW))["jti"]
