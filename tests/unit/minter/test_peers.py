"""What a minter grants for another cluster: two of them over real TLS, each other's peers."""

import asyncio
import json
import logging
import ssl
from pathlib import Path
from typing import Any

import jwt
import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.testing import bind_unused_port

from benchtop_minter import peers
from benchtop_minter.grants import Kind, slurm_token
from benchtop_minter.people import Person, Refused
from benchtop_minter.service import Minter, serve
from support.authority import CLIENT, SERVER, Authority, client_tls

OWN, OTHERS = bytes(32), bytes(range(32))  # the keys that each of the two signs with
BOTH = frozenset({"cluster-hpc", "cluster-htc"})
PEOPLE = {
    "alice": Person("alice", 2001, BOTH),
    "bob": Person("bob", 2002, frozenset({"cluster-htc"})),
    "carol": Person("carol", 2003, frozenset({"cluster-hpc"})),
    "leaver": Person("leaver", 2009, BOTH, disabled=True),
    "root": Person("root", 0, BOTH),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for both: two CAs, and certificates of various callers."""
    folder = tmp_path_factory.mktemp("peers")
    hubs, minters, forger = Authority("minter CA"), Authority("minters CA"), Authority("minters CA")
    (folder / "minter-ca.pem").write_bytes(hubs.pem)
    (folder / "peers-ca.pem").write_bytes(minters.pem)
    for authority, name in ((hubs, "server"), (minters, "peer")):
        pem = authority.issue(folder / f"{name}.pem", "localhost", SERVER)
        (folder / f"{name}.key").write_bytes(pem.read_bytes())
    hubs.issue(folder / "hpc-1.pem", "hpc-1", CLIENT)
    minters.issue(folder / "peer-client.pem", "hpc-minter", CLIENT)
    minters.issue(folder / "itself.pem", "htc-minter", CLIENT)
    minters.issue(folder / "a-cell.pem", "hpc-1", CLIENT)
    minters.issue(folder / "a-server.pem", "hpc-minter", SERVER)
    forger.issue(folder / "forged.pem", "hpc-minter", CLIENT)
    hubs.issue(folder / "of-the-hubs.pem", "hpc-minter", CLIENT)
    return folder


class Local(peers.Peer):
    """The other minter, on this machine."""

    name = "localhost"

    @property
    def _tls(self) -> ssl.SSLContext:  # type: ignore[override]
        context = ssl.create_default_context(cafile=str(self.keys / peers.AUTHORITY))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # our test CA carries no key identifiers
        context.load_cert_chain(self.keys / peers.CLIENT)
        return context


def free(count: int) -> list[int]:
    found = [bind_unused_port() for _ in range(count)]
    for one, _ in found:
        one.close()
    return [port for _, port in found]


def ask(
    keys: Path, body: object, *, certificate: str = "hpc-1.pem", peer: bool = False, away: bool = False
) -> tuple[int, Any]:
    """Ask the minter of hpc as a hub does; peer: ask that of htc as another minter does."""

    async def once() -> tuple[int, Any]:
        own, own_health, own_peer, other, other_health, other_peer = free(6)
        hpc = Minter(
            "hpc", {"/token": Kind(slurm_token(OWN))}, PEOPLE.get, lambda: True,
            {"htc": Local("htc", keys, other_peer)},
        )  # fmt: skip
        htc = Minter(
            "htc", {"/token": Kind(slurm_token(OTHERS))}, PEOPLE.get, lambda: True,
            {"hpc": Local("hpc", keys, own_peer)},
        )  # fmt: skip
        listening = serve(hpc, keys, port=own, health_port=own_health, peer_port=own_peer)
        if not away:
            listening += serve(htc, keys, port=other, health_port=other_health, peer_port=other_peer)
        tls = client_tls(keys, certificate, "peers-ca.pem" if peer else "minter-ca.pem")
        url = f"https://localhost:{other_peer if peer else own}/token"
        client = AsyncHTTPClient(force_instance=True)
        try:
            answer = await client.fetch(
                url,
                method="POST",
                body=json.dumps(body),
                ssl_options=tls,
                raise_error=False,
                request_timeout=5,
            )
            return answer.code, json.loads(answer.body or b"null")
        finally:
            for listener in listening:
                listener.stop()

    return asyncio.run(once())


def wanted(person: str = "alice", **more: object) -> dict[str, object]:
    return {"person": person, "lifetime": 45, **more}


def test_a_hub_gets_the_other_clusters_token_as_that_clusters_minter_signs_it(keys: Path):
    status, given = ask(keys, wanted(cluster="htc"))
    claims = jwt.decode(given["token"], OTHERS, algorithms=["HS256"])
    assert (status, claims["sun"], claims["exp"]) == (200, "alice", given["expires"])
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(given["token"], OWN, algorithms=["HS256"])


def test_of_its_own_cluster_it_may_ask_by_name(keys: Path):
    status, given = ask(keys, wanted("carol", cluster="hpc"))
    assert (status, jwt.decode(given["token"], OWN, algorithms=["HS256"])["sun"]) == (200, "carol")


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ("carol", "not in the group cluster-htc"),
        ("bob", "not in the group cluster-hpc"),
        ("leaver", "disabled"),
        ("root", "system account"),
        ("mallory", "has no user"),
    ],
)
def test_only_who_is_of_both_clusters_gets_one(keys: Path, person: str, reason: str):
    for answer in (
        ask(keys, wanted(person, cluster="htc")),
        ask(keys, wanted(person, caller="hpc-1"), peer=True, certificate="peer-client.pem"),
    ):
        assert answer[0] == 403
        assert reason in answer[1]["error"]


def test_the_other_minter_looks_for_itself_whatever_it_is_asked(keys: Path):
    """The control: as the hub's own minter would ask for alice."""
    status, _ = ask(keys, wanted(caller="hpc-1"), peer=True, certificate="peer-client.pem")
    assert status == 200


@pytest.mark.parametrize("lifetime", [0, 601, 10**9])
def test_no_life_is_longer_there(keys: Path, lifetime: int):
    assert ask(keys, {**wanted(cluster="htc"), "lifetime": lifetime})[0] == 403
    body = {**wanted(caller="hpc-1"), "lifetime": lifetime}
    assert ask(keys, body, peer=True, certificate="peer-client.pem")[0] == 403


@pytest.mark.parametrize("cluster", ["xyz", "https://evil.example", "../htc"])
def test_a_cluster_that_there_is_not_is_refused(keys: Path, cluster: str):
    status, said = ask(keys, wanted(cluster=cluster))
    assert (status, "There is no cluster" in said["error"]) == (403, True)


@pytest.mark.parametrize("certificate", ["itself.pem", "a-cell.pem"])
def test_a_certificate_of_the_minters_own_ca_that_is_no_other_minters_is_refused(
    keys: Path, certificate: str
):
    assert ask(keys, wanted(caller="hpc-1"), peer=True, certificate=certificate)[0] == 403


@pytest.mark.parametrize("certificate", ["forged.pem", "of-the-hubs.pem", "hpc-1.pem", "a-server.pem"])
def test_whom_the_minters_ca_does_not_vouch_for_is_not_heard(keys: Path, certificate: str):
    with pytest.raises((ssl.SSLError, OSError, HTTPClientError)):
        assert ask(keys, wanted(caller="hpc-1"), peer=True, certificate=certificate)[0] == 599


@pytest.mark.parametrize(
    "body",
    [
        wanted(),
        wanted(caller=7),
        wanted(caller="hpc-1", cluster="hpc"),
        wanted(caller="hpc-1", key="x"),
    ],
)
def test_a_minter_says_for_whom_it_asks_and_nothing_else(keys: Path, body: object):
    assert ask(keys, body, peer=True, certificate="peer-client.pem")[0] == 400


@pytest.mark.parametrize("more", [{"caller": "hpc-2"}, {"cluster": 7}, {"cluster": None}])
def test_a_hub_asks_for_nobody_else(keys: Path, more: dict[str, object]):
    assert ask(keys, wanted(**more))[0] == 400


def test_while_the_other_is_away_nobody_is_refused(keys: Path):
    status, said = ask(keys, wanted(cluster="htc"), away=True)
    assert (status, said["error"]) == (504, "The service that grants access to htc does not answer.")


def test_both_say_in_their_logs_who_asked_for_whom(keys: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "minter"):
        ask(keys, wanted(cluster="htc"))
        ask(keys, wanted("carol", cluster="htc"))
    lines = [record.getMessage() for record in caplog.records if record.name == "minter"]
    theirs, ours, refused_there, refused = lines
    assert theirs.startswith(
        "grant person=alice uid=2001 caller=hpc-minter for='hpc-1' kind=/token lifetime=45"
    )
    assert ours.startswith("grant person=alice uid=2001 caller=hpc-1 by=htc-minter kind=/token lifetime=45")
    assert refused_there.startswith("refuse person='carol' caller=hpc-minter for='hpc-1'")
    assert refused.startswith("refuse person='carol' caller=hpc-1")


@pytest.mark.parametrize("common", ["", "hpc", "hpc-minter-x", "xyz-minter", "hpc-1"])
def test_a_name_that_is_no_minters_is_refused(common: str):
    with pytest.raises(Refused):
        peers.calling_minter({"subject": ((("commonName", common),),)}, {"hpc"})
