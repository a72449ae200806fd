"""The tokens of HTCondor's daemons, held against what HTCondor itself made of the same key."""

import jwt
import pytest

from benchtop.keys import idtokens

KEY = bytes(range(32))
# Signed by HTCondor 23.9.6 with the key POOL, whose file held stored(KEY).
MADE_BY_HTCONDOR = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ.eyJleHAiOjE3OTU0ODI1NDIsImlhdCI6MTc5NTQ4MjQ4MiwiaXNzIjoiaHRjLmJlbm"
    "NodG9wLmV4YW1wbGUiLCJqdGkiOiI4ZmFmOGY2N2I3Zjg4YWY1MDg2OWMzNWVhMmM2ZGY2NSIsInN1YiI6ImFsaWNlQGJlbmNodG9wLm"
    "V4YW1wbGUifQ"
)
SIGNATURE_BY_HTCONDOR = "FlG1guceT0qOfbruwhLzcPA5Ipl_6k4ZSr95nr-DTZQ"


def claims(token: str) -> dict[str, object]:
    """What a token says, whose signature is good."""
    key = idtokens.signing_key(KEY * 2)
    found: dict[str, object] = jwt.decode(token, key, ["HS256"], options={"verify_exp": False})
    return found


def test_the_key_is_derived_as_htcondor_does():
    assert claims(f"{MADE_BY_HTCONDOR}.{SIGNATURE_BY_HTCONDOR}")["sub"] == "alice@benchtop.example"


def test_a_signature_by_another_key_is_not_taken():
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(idtokens.daemon_token(KEY, ()), idtokens.signing_key(KEY), ["HS256"])


def test_a_key_is_stored_as_htcondor_reads_it():
    assert idtokens.stored(idtokens.stored(KEY)) == KEY
    assert idtokens.stored(b"\0" * 4) == b"\xde\xad\xbe\xef"


def test_a_daemons_token_says_what_it_is_good_for():
    token = claims(idtokens.daemon_token(KEY, ("READ", "ADVERTISE_STARTD")))
    assert token["scope"] == "condor:/READ condor:/ADVERTISE_STARTD"
    assert token["sub"] == "condor@benchtop.example"


def test_the_central_managers_is_good_for_everything():
    assert "scope" not in claims(idtokens.daemon_token(KEY, idtokens.AUTHORIZATIONS["cm"]))
