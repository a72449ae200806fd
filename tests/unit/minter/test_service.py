"""The minter over real TLS, with a directory of three people and certificates of two CAs."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.testing import bind_unused_port

from benchtop_minter.grants import SSH_LIFE, Kind, Person, slurm_token, ssh_certificate
from benchtop_minter.service import Minter, serve
from support.authority import CLIENT, SERVER, Authority, client_tls

KEY = bytes(range(32))
CA = Ed25519PrivateKey.generate()
CA_PEM = CA.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
)
KINDS = {
    "/token": Kind(slurm_token(KEY)),
    "/ssh": Kind(ssh_certificate(CA_PEM), longest=SSH_LIFE, for_key=True),
}
PEOPLE = {
    "alice": Person("alice", 2001, frozenset({"cluster-hpc"})),
    "bob": Person("bob", 2002, frozenset({"cluster-htc"})),
    "leaver": Person("leaver", 2009, frozenset({"cluster-hpc"}), disabled=True),
    "root": Person("root", 0, frozenset({"cluster-hpc"})),
}
GOOD = b'{"person": "alice", "lifetime": 60}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minter's key folder, and beside it the certificates of various callers."""
    folder = tmp_path_factory.mktemp("keys")
    ours, other = Authority("minter CA"), Authority("another CA")
    (folder / "minter-ca.pem").write_bytes(ours.pem)
    server = ours.issue(folder / "server.pem", "localhost", SERVER)
    (folder / "server.key").write_bytes(server.read_bytes())
    ours.issue(folder / "hpc-1.pem", "hpc-1", CLIENT)
    ours.issue(folder / "htc-1.pem", "htc-1", CLIENT)
    ours.issue(folder / "not-a-client.pem", "hpc-1", SERVER)
    other.issue(folder / "other-ca.pem", "hpc-1", CLIENT)
    return folder


Call = Callable[..., Any]


@asynccontextmanager
async def running(keys: Path, *, directory: bool = True, away: int = 0) -> AsyncIterator[Call]:
    """A minter on free ports; yields a way to ask it. away: how many looks the directory misses at first."""
    sockets = [bind_unused_port() for _ in range(2)]
    port, health_port = (port for _, port in sockets)
    for one, _ in sockets:
        one.close()
    missed = iter([None] * away)

    def lookup(name: str) -> Person | None:
        return next(missed, PEOPLE.get(name)) if directory else None

    minter = Minter("hpc", KINDS, lookup, lambda: directory)
    listeners = serve(minter, keys, port=port, health_port=health_port)
    client = AsyncHTTPClient(force_instance=True)

    async def call(
        body: bytes | None = GOOD,
        *,
        certificate: str | None = "hpc-1.pem",
        method: str = "POST",
        path: str = "/token",
        health: bool = False,
    ) -> HTTPResponse:
        url = f"http://127.0.0.1:{health_port}/health" if health else f"https://localhost:{port}{path}"
        tls = None if health else client_tls(keys, certificate)
        request = HTTPRequest(
            url, method, body=body, ssl_options=tls, allow_nonstandard_methods=True, request_timeout=5
        )
        return await client.fetch(request, raise_error=False)

    try:
        yield call
    finally:
        for listener in listeners:
            listener.stop()


def ask(keys: Path, *arguments: Any, directory: bool = True, away: int = 0, **options: Any) -> HTTPResponse:
    async def once() -> HTTPResponse:
        async with running(keys, directory=directory, away=away) as call:
            return await call(*arguments, **options)

    return asyncio.run(once())


def test_a_hub_gets_a_token_for_a_person(keys: Path):
    answer = ask(keys)
    given = json.loads(answer.body)
    claims = jwt.decode(given["token"], KEY, algorithms=["HS256"])
    assert (answer.code, claims["sun"], claims["exp"]) == (200, "alice", given["expires"])
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_grant_is_one_line_of_the_log(keys: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "minter"):
        ask(keys)
    assert [
        record.getMessage().rsplit(" ", 1)[0] for record in caplog.records if record.name == "minter"
    ] == ["grant person=alice uid=2001 caller=hpc-1 kind=/token lifetime=60"]


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        (b'{"person": "root", "lifetime": 60}', 403, "system account"),
        (b'{"person": "bob", "lifetime": 60}', 403, "not in the group"),
        (b'{"person": "mallory", "lifetime": 60}', 403, "has no user"),
        (b'{"person": "alice", "lifetime": 601}', 403, "ask for 1 to 600 s"),
        (b'{"person": "alice", "lifetime": true}', 400, "JSON object"),
        (b"not json", 400, "JSON object"),
        (b"", 400, "JSON object"),
    ],
)
def test_a_refusal_is_a_sentence_and_a_line_of_the_log(
    keys: Path, caplog: pytest.LogCaptureFixture, body: bytes, code: int, sentence: str
):
    answer = ask(keys, body)
    assert (answer.code, list(json.loads(answer.body))) == (code, ["error"])
    assert sentence in json.loads(answer.body)["error"]
    lines = [record.getMessage() for record in caplog.records if record.name == "minter"]
    assert len(lines) == 1
    assert lines[0].startswith("refuse ")
    assert sentence in lines[0]


def test_a_name_cannot_forge_a_line_of_the_log(keys: Path, caplog: pytest.LogCaptureFixture):
    ask(keys, json.dumps({"person": "x\ngrant person=erin", "lifetime": 60}).encode())
    assert all("\n" not in record.getMessage() for record in caplog.records)


# ---- certificates for the login node ------------------------------------------------------------

HOLDER = Ed25519PrivateKey.generate().public_key()
OPENSSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
LINE = HOLDER.public_bytes(*OPENSSH).decode()
RSA_LINE = rsa.generate_private_key(65537, 1024).public_key().public_bytes(*OPENSSH).decode()  # noqa: S505 too weak on purpose


def certificate_for(keys: Path, person: str = "alice", lifetime: object = 60, **more: object) -> HTTPResponse:
    body = {"person": person, "lifetime": lifetime, "key": LINE} | more
    return ask(keys, json.dumps(body).encode(), path="/ssh")


def test_a_certificate_is_for_one_person_one_key_one_program_and_one_minute(keys: Path):
    now = datetime.now(UTC).timestamp()
    answer = certificate_for(keys)
    assert answer.code == 200
    found = serialization.load_ssh_public_identity(json.loads(answer.body)["token"].encode())
    assert isinstance(found, serialization.SSHCertificate)
    found.verify_cert_signature()
    assert found.signature_key().public_bytes(*OPENSSH) == CA.public_key().public_bytes(*OPENSSH)
    assert found.public_key().public_bytes(*OPENSSH) == HOLDER.public_bytes(*OPENSSH)
    assert found.type == serialization.SSHCertificateType.USER
    assert found.valid_principals == [b"alice"]
    assert now - 10 < found.valid_after < now + 10
    assert now < found.valid_before <= now + 70
    assert found.critical_options == {b"force-command": b"/opt/lab/bin/python -I -m benchtop_lab.login_node"}
    assert found.extensions == {}, "no shell on a terminal, no tunnel, no agent"


@pytest.mark.parametrize("person", ["root", "bob", "mallory", "leaver"])
def test_a_certificate_is_refused_to_whom_a_token_is(keys: Path, person: str):
    token = ask(keys, json.dumps({"person": person, "lifetime": 60}).encode())
    answer = certificate_for(keys, person)
    assert (answer.code, answer.body) == (403, token.body)


@pytest.mark.parametrize("lifetime", [0, -1, 61, 600])
def test_a_certificate_never_lives_longer_than_a_minute(keys: Path, lifetime: int):
    answer = certificate_for(keys, lifetime=lifetime)
    assert (answer.code, "ask for 1 to 60 s" in json.loads(answer.body)["error"]) == (403, True)


@pytest.mark.parametrize(
    "key",
    # keys have names here: the processes of pytest-xdist make one each, and must call their tests the same
    [
        *(None, "", 7, "ssh-ed25519 AAAA", "-----BEGIN"),
        pytest.param(LINE[:-9], id="cut off"),
        pytest.param(RSA_LINE, id="rsa"),
    ],
)
def test_a_certificate_is_for_a_key_of_the_one_good_kind(keys: Path, key: object):
    assert certificate_for(keys, key=key).code == 400


def test_a_token_is_for_no_key(keys: Path):
    assert ask(keys, json.dumps({"person": "alice", "lifetime": 60, "key": LINE}).encode()).code == 400


def test_a_certificate_is_one_line_of_the_log(keys: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "minter"):
        certificate_for(keys)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "minter"]
    assert line.startswith("grant person=alice uid=2001 caller=hpc-1 kind=/ssh lifetime=60")


def test_a_cell_of_another_cluster_is_refused(keys: Path):
    assert ask(keys, certificate="htc-1.pem").code == 403


@pytest.mark.parametrize("certificate", [None, "other-ca.pem", "not-a-client.pem"])
def test_who_is_no_hub_does_not_get_past_the_handshake(keys: Path, certificate: str | None):
    with pytest.raises((ssl.SSLError, OSError, HTTPClientError)):
        assert ask(keys, certificate=certificate).code == 599


def test_a_huge_body_is_not_read(keys: Path):
    try:
        code = ask(keys, b'{"person": "' + b"a" * 2**20 + b'", "lifetime": 60}').code
    except (OSError, HTTPClientError):
        return  # the minter hung up on it
    assert code == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_another_method_is_refused(keys: Path, method: str):
    assert ask(keys, None, method=method).code == 405


@pytest.mark.parametrize("path", ["/", "/token/", "/health", "//token"])
def test_another_path_mints_nothing(keys: Path, path: str):
    answer = ask(keys, path=path)
    assert (answer.code, list(json.loads(answer.body))) == (404, ["error"])


def test_without_the_directory_it_says_so(keys: Path):
    answer = ask(keys, directory=False)
    assert (answer.code, "directory does not answer" in json.loads(answer.body)["error"]) == (503, True)


def test_nobody_is_refused_because_the_directory_came_back_in_between(keys: Path):
    """Somebody who is refused loses their servers."""
    assert ask(keys, away=1).code == 200


def test_health_is_good_when_the_directory_answers(keys: Path):
    assert ask(keys, None, method="GET", health=True).code == 200


def test_health_is_bad_when_it_does_not(keys: Path):
    assert ask(keys, None, method="GET", health=True, directory=False).code == 503
