"""The tokens of HTCondor's daemons, held against what HTCondor itself made of the same key."""

import hmac
import json
from base64 import urlsafe_b64decode

from benchtop.keys import idtokens

KEY = bytes(range(32))
# Signed by HTCondor 23.9.6 with the key POOL, whose file held stored(KEY).
MADE_BY_HTCONDOR = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ.eyJleHAiOjE3OTU0ODI1NDIsImlhdCI6MTc5NTQ4MjQ4MiwiaXNzIjoiaHRjLmJlbm"
    "NodG9wLmV4YW1wbGUiLCJqdGkiOiI4ZmFmOGY2N2I3Zjg4YWY1MDg2OWMzNWVhMmM2ZGY2NSIsInN1YiI6ImFsaWNlQGJlbmNodG9wLm"
    "V4YW1wbGUifQ"
)
SIGNATURE_BY_HTCONDOR = "FlG1guceT0qOfbruwhLzcPA5Ipl_6k4ZSr95nr-DTZQ"


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims(token: str) -> dict[str, object]:
    said: dict[str, object] = json.loads(decoded(token.split(".")[1]))
    return said


def signature(text: str) -> bytes:
    return hmac.digest(idtokens.signer(KEY * 2), text.encode(), "sha256")


def test_the_key_is_derived_as_htcondor_does():
    assert signature(MADE_BY_HTCONDOR) == decoded(SIGNATURE_BY_HTCONDOR)


def test_a_daemons_token_is_signed_with_that_key():
    text, _, signed = idtokens.daemon_token(KEY, ()).rpartition(".")
    assert decoded(signed) == signature(text)


def test_a_key_is_stored_as_htcondor_reads_it():
    assert idtokens.stored(idtokens.stored(KEY)) == KEY
    assert idtokens.stored(b"\0" * 4) == b"\xde\xad\xbe\xef"


def test_a_daemons_token_says_what_it_is_good_for():
    token = claims(idtokens.daemon_token(KEY, ("READ", "ADVERTISE_STARTD")))
    assert token["scope"] == "condor:/READ condor:/ADVERTISE_STARTD"
    assert token["sub"] == "condor@benchtop.example"


def test_the_central_managers_is_good_for_everything():
    assert "scope" not in claims(idtokens.daemon_token(KEY, idtokens.AUTHORIZATIONS["cm"]))
