"""The minter, asked from inside a hub by the hub's own certificate."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from benchtop.settings import Settings
from support.facility import logged

ASK = """
import http.client, ssl, sys
method, path, body, certificate = sys.argv[1:]
tls = ssl.create_default_context(cafile="/keys/minter-ca.pem")
if certificate:
    tls.load_cert_chain(certificate)
minter = http.client.HTTPSConnection("hpc-minter", 8600, context=tls, timeout=10)
minter.request(method, path, body=body.encode())
answer = minter.getresponse()
print(answer.status, answer.read().decode())
"""

LISTEN = """
import socket, ssl
tls = ssl.create_default_context(cafile="/keys/minter-ca.pem")
line = tls.wrap_socket(socket.create_connection(("hpc-minter", 8600), 10), server_hostname="hpc-minter")
print(line.recv(1))
"""


@dataclass(frozen=True)
class Answer:
    """What the minter said to a hub."""

    status: int
    said: dict[str, object]


Ask = Callable[..., Answer]


@pytest.fixture
def ask(service: Callable[[str], Host]) -> Ask:
    """Ask the minter as the hub hpc-1 does."""

    def once(person: object, lifetime: object = 600, *, method: str = "POST", path: str = "/token") -> Answer:
        body = json.dumps({"person": person, "lifetime": lifetime})
        hub = service("hpc-1")
        service("hpc-minter")  # for its log, should this fail
        out = hub.check_output("python3 -c %s %s %s %s %s", ASK, method, path, body, "/keys/minter.pem")
        status, _, said = out.partition(" ")
        return Answer(int(status), json.loads(said))

    return once


def test_a_hub_gets_a_token_for_a_person_of_the_cluster(ask: Ask):
    answer = ask("alice")
    assert answer.status == 200
    assert str(answer.said["token"]).count(".") == 2


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ("root", "system account"),
        ("slurm", "has no user"),  # an account of slurmctld's machine, not of the directory
        ("nobody", "not in the group"),
        ("hub", "has no user"),
        ("mallory", "has no user"),
        ("bob", "not in the group"),  # a person, but of the other cluster
        ("frank", "not in the group"),
        ("Alice", "has no user"),
        ("alice\n", "has no user"),
        ("*", "has no user"),
        ("", "has no user"),
    ],
)
def test_it_gets_none_for_anybody_else(ask: Ask, person: str, reason: str):
    answer = ask(person)
    assert answer.status == 403
    assert reason in str(answer.said["error"])


@pytest.mark.parametrize("lifetime", [0, -1, 601, 10**12])
def test_it_gets_none_that_lives_too_long_or_not_at_all(ask: Ask, lifetime: int):
    answer = ask("alice", lifetime)
    assert (answer.status, "ask for 1 to 600 s" in str(answer.said["error"])) == (403, True)


@pytest.mark.parametrize("lifetime", ["600", 600.0, True, None, float("nan"), [600]])
def test_a_lifetime_that_is_no_whole_number_is_not_understood(ask: Ask, lifetime: object):
    assert ask("alice", lifetime).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/token", 405), ("POST", "/", 404), ("POST", "/health", 404)]
)
def test_nothing_is_minted_in_another_way(ask: Ask, method: str, path: str, status: int):
    assert ask("alice", method=method, path=path).status == status


def test_without_a_certificate_nobody_is_heard(service: Callable[[str], Host]):
    """It hangs up before anything is sent. (Who sends all the same may find the line cut, and no reason.)"""
    out = service("hpc-1").run("python3 -c %s", LISTEN)
    assert out.rc != 0
    assert "certificate required" in out.stderr.lower()


def test_every_decision_is_a_line_of_the_log(ask: Ask, settings: Settings):
    ask("alice", 77)
    ask("root", 78)
    assert logged(settings, "hpc-minter", "grant person=alice .*caller=hpc-1 kind=/token lifetime=77")
    assert logged(settings, "hpc-minter", "refuse person='root' caller=hpc-1")


def test_the_minter_cannot_do_more_than_mint(service: Callable[[str], Host]):
    minter = service("hpc-minter")
    assert minter.check_output("id -u") == "1412"
    assert "CapEff:\t0000000000000000" in minter.file("/proc/self/status").content_string
    assert minter.run("touch /opt/minter/x").rc != 0


def test_the_signing_key_is_in_no_hub(service: Callable[[str], Host]):
    assert service("hpc-minter").file("/keys/jwt.key").exists  # where it is
    assert (
        service("hpc-1").run("find / -xdev -name 'jwt.key' -o -xdev -name 'slurm.key' 2>/dev/null").stdout
        == ""
    )
