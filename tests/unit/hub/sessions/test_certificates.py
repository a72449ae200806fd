"""A session is believed when it shows the certificate of its own name, and nobody else is."""

import asyncio
import base64
import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from jupyterhub.httpclient import JupyterHubHTTPClient, fetch

from benchtop.keys import pki
from benchtop_hub.sessions import certificates
from benchtop_hub.upstream import http_client

HOUR = timedelta(hours=1)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(JupyterHubHTTPClient, "_new_connector", JupyterHubHTTPClient._new_connector)


def server_of(proof: str, folder: Path) -> ssl.SSLContext:
    """The TLS of a session that was given this."""
    file = folder / "proof"
    file.touch(mode=0o600)
    file.write_bytes(base64.b64decode(proof))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def asked(keys: Path, name: str, context: ssl.SSLContext | None) -> tuple[int | str, str]:
    """What the hub's client gets from whoever listens as the session of that name, and what it tells them."""
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(65536))
        writer.write(ANSWER)
        writer.close()

    async def ask() -> int | str:
        http_client.check_sessions(certificates.trust(keys), certificates.Resolver)
        served = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
        port = served.sockets[0].getsockname()[1]
        try:
            return (await fetch(f"https://{certificates.host('localhost', name)}:{port}/api")).status
        except aiohttp.ClientError as error:
            return type(error).__name__
        finally:
            await JupyterHubHTTPClient.loop_instance().close()
            served.close()

    return asyncio.run(asyncio.wait_for(ask(), 20)), heard.decode(errors="replace")


def test_a_session_of_this_hub_is_believed_under_its_own_name(keys: Path, tmp_path: Path):
    name = certificates.new_name()
    status, said = asked(keys, name, server_of(certificates.Authority(keys).issue(name, HOUR), tmp_path))
    assert status == 200
    assert said.startswith("GET /api")


def test_another_session_of_the_same_hub_is_not(keys: Path, tmp_path: Path):
    other = certificates.Authority(keys).issue(certificates.new_name(), HOUR)
    assert asked(keys, certificates.new_name(), server_of(other, tmp_path)) == (
        "ClientConnectorCertificateError",
        "",
    )


def test_nor_is_a_session_of_another_cell(keys: Path, tmp_path: Path):
    pki.authority(tmp_path, "sessions CA", now=pki.today(), names={"session"})
    for kind in ("key", "pem"):
        (tmp_path / f"ca.{kind}").rename(tmp_path / f"sessions-ca.{kind}")
    name = certificates.new_name()
    theirs = certificates.Authority(tmp_path).issue(name, HOUR)
    assert asked(keys, name, server_of(theirs, tmp_path)) == ("ClientConnectorCertificateError", "")


def test_whoever_speaks_no_tls_is_not_spoken_to(keys: Path):
    status, said = asked(keys, certificates.new_name(), None)
    assert status == "ClientConnectorSSLError"
    assert "GET" not in said


def test_the_ca_can_vouch_for_nothing_but_sessions(keys: Path, tmp_path: Path):
    proof = certificates.Authority(keys).issue("jupyter.localhost", HOUR)
    context = server_of(proof, tmp_path)
    wrong: list[str] = []

    async def shake() -> None:
        served = await asyncio.start_server(
            lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context
        )
        port = served.sockets[0].getsockname()[1]
        trust = certificates.trust(keys)
        try:
            await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="a.jupyter.localhost")
        except ssl.SSLCertVerificationError as error:
            wrong.append(error.verify_message)
        served.close()

    asyncio.run(shake())
    assert wrong == ["permitted subtree violation"]


@pytest.mark.parametrize("node", ["gpu-1", "node-1.cluster.example.org"])
def test_the_node_is_in_the_address_and_is_what_is_looked_up(node: str):
    host = certificates.host(node, certificates.new_name())
    assert host.count(".") == 2, "the wildcard of a certificate stands for one label"
    assert certificates.node_of(host) == node


def test_what_is_no_session_is_looked_up_as_it_is(monkeypatch: pytest.MonkeyPatch):
    assert certificates.node_of("hub") == "hub"
    assert certificates.node_of("session.example.org") == "session.example.org"

    async def resolved() -> set[str]:
        found = await certificates.Resolver().resolve("localhost", 80, socket.AF_INET)
        return {one["host"] for one in found}

    assert asyncio.run(resolved()) == {"127.0.0.1"}


def test_each_start_has_a_name_of_its_own():
    assert len({certificates.new_name() for _ in range(100)}) == 100


def test_a_session_takes_what_proves_it_out_of_its_environment(keys: Path, monkeypatch: pytest.MonkeyPatch):
    from benchtop_lab.session import proof  # noqa: PLC0415 of the nodes, not of the hub

    name = certificates.new_name()
    assert proof.PROOF == certificates.VARIABLE
    monkeypatch.setenv(proof.PROOF, certificates.Authority(keys).issue(name, HOUR))
    context = proof.take_proof()
    assert proof.PROOF not in os.environ
    assert asked(keys, name, context)[0] == 200
    with pytest.raises(KeyError):
        proof.take_proof()  # without one, none speaks
