"""What is no proper request harms whoever sent it: it takes a cell, or the login, from nobody else."""

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from testinfra.host import Host

from benchtop import topology
from benchtop.settings import Settings
from support.front_door import ask, dial

pytestmark = pytest.mark.shares("slurm")

SignedIn = Callable[[str], requests.Session]

INVENTED = {"Authorization": "token invented"}
HUB, REALM = "/jupyterhub/hpc/hub/api/users/carol", "/realms/benchtop"
SAML = f"{REALM}/protocol/saml/descriptor"
CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
# Lines of the header, the body, and what may be answered: nothing at all where the client has gone already
MALFORMED: dict[str, tuple[list[str], bytes, set[int]]] = {
    "identity, chunked": (["Transfer-Encoding: identity, chunked"], CHUNKED, {400}),
    "chunked twice": (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], CHUNKED, {400}),
    "chunked, chunked": (["Transfer-Encoding: chunked, chunked"], CHUNKED, {400}),
    "gzip, chunked": (["Transfer-Encoding: gzip, chunked"], CHUNKED, {400}),
    "nothing, chunked": (["Transfer-Encoding: ,chunked"], CHUNKED, {400}),
    "chunked with a parameter": (["Transfer-Encoding: chunked;x=1"], CHUNKED, {400}),
    "identity": (["Transfer-Encoding: identity"], b"hello", {400}),
    "a length twice": (["Content-Length: 5", "Content-Length: 6"], b"hello", {400}),
    "a negative length": (["Content-Length: -1"], b"hello", {400}),
    "a length of 20 digits": (["Content-Length: 99999999999999999999"], b"hello", {400, 413}),
    "a bad chunk": (["Transfer-Encoding: chunked"], b"zz\r\nhello\r\n0\r\n\r\n", {400}),
    "a huge chunk": (["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\nhello\r\n", {400, 413}),
    "a second bad chunk": (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n-1\r\n", {400}),
    "a bad trailer": (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n", {400}),
    "an upgrade with a body": (["Upgrade: websocket", "Content-Length: 5"], b"hello", {400}),
    "a body that ends early": (["Content-Length: 5000"], b"hello", set()),
    "a large body that ends early": (["Content-Length: 500000"], b"x" * 40000, set()),
    "chunks that end early": (["Transfer-Encoding: chunked"], b"ffff\r\n" + b"x" * 40000, set()),
    "an expectation that nobody knows": (["Expect: elephants", "Content-Length: 5"], b"hello", {417}),
    "a continuation that nobody sends": (["Expect: 100-continue", "Content-Length: 5"], b"", set()),
    "a header too long": ([f"X-Long: {'x' * 17000}"], b"", {400}),
}  # fmt: skip


def send(
    settings: Settings, name: str, path: str, lines: list[str], body: bytes, *, stay: bool = True
) -> int:
    """One request, byte for byte; the status, 0 for none. stay: wait for the answer, else hang up at once."""
    about = [f"{key}: {value}" for key, value in INVENTED.items()]
    head = [f"POST {path} HTTP/1.1", f"Host: {name}:{settings.port}", *about, *lines]
    with dial(settings, name) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + body)
        if not stay:
            return 0
        found = re.match(rb"HTTP/1\.1 (\d+)", line.recv(100))
        return int(found[1]) if found else 0


@pytest.mark.parametrize("what", ["a cell", "the login"])
def test_a_malformed_request_takes_nothing_from_others(what: str, settings: Settings):
    """Each is looked at by itself: the next request to the same cell, or to Keycloak, is answered by it."""
    if what == "a cell":
        name, path, after, answered = settings.name, "/jupyterhub/hpc/user/carol/", HUB, 403
    else:
        name, path, after, answered = settings.login_name, f"{REALM}/login-actions/authenticate", SAML, 200
    for kind, (lines, body, expected) in MALFORMED.items():
        status = send(settings, name, path, lines, body, stay=bool(expected))
        assert status in (expected or {0}), kind
        assert ask(settings, after, host=name, headers=INVENTED).status == answered, kind


@pytest.mark.parametrize("header", ["Transfer-Encoding: chunked", "Transfer-Encoding: Chunked"])
def test_what_is_plainly_chunked_is_taken(header: str, settings: Settings):
    assert send(settings, settings.name, HUB, [header], CHUNKED) == 403


def test_many_at_once_take_no_request_from_others(signed_in: SignedIn, settings: Settings):
    carol, path = signed_in("carol"), "/jupyterhub/hpc/user/carol/"
    lines, body, _ = MALFORMED["identity, chunked"]

    over = threading.Event()

    def attack() -> list[int]:
        answers = []
        while not over.is_set():
            answers.append(send(settings, settings.name, path, lines, body))
        return answers

    with ThreadPoolExecutor(4) as pool:
        attacks = [pool.submit(attack) for _ in range(4)]
        try:
            home = f"{settings.url}/jupyterhub/hpc/hub/home"
            served = [carol.get(home).status_code for _ in range(8)]
        finally:
            over.set()
    answers = [answer for each in attacks for answer in each.result()]
    assert set(answers) == {400}
    assert len(answers) > len(served)
    assert set(served) == {200}


FROM_A_NODE = """
import json, socket, ssl, sys
path, cases = json.loads(sys.argv[1])
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
def ask(method, lines, body):
    with tls.wrap_socket(socket.create_connection(("apache", 8444), 10), server_hostname="apache") as line:
        head = [method + " " + path + " HTTP/1.1", "Host: apache:8444", "Authorization: token x", *lines]
        line.sendall("\\r\\n".join([*head, "", ""]).encode() + body.encode())
        return line.recv(100).split()[1].decode()
print(json.dumps([[ask("POST", *case), ask("GET", [], "")] for case in cases]))
"""


def test_nor_does_one_of_a_job_take_the_gateway_from_other_jobs(
    service: Callable[..., Host], settings: Settings
):
    cell = topology.cell_of("carol", "hpc", settings.cells)
    cases = [(lines, body.decode()) for lines, body, expected in MALFORMED.values() if expected == {400}]
    words = json.dumps([f"/_cell/{cell}/jupyterhub/hpc/hub/api/users/carol", cases])
    said = service("cpu-1").run("python3 -c %s %s", FROM_A_NODE, words)
    assert said.rc == 0, said.stderr
    answers = json.loads(said.stdout)
    assert {answer for answer, _ in answers} == {"400"}
    assert {after for _, after in answers} == {"403"}  # the hub's own word: it was asked


def test_only_the_health_check_takes_a_member_out(settings: Settings):
    """What a client may cause tomorrow is booked to nobody either."""
    members = [
        line
        for site in (settings.root / "apache" / "sites").glob("*.conf")
        for line in site.read_text().splitlines()
        if line.strip().startswith("BalancerMember")
    ]
    assert len(members) == 3
    assert all("status=+I" in line for line in members)
