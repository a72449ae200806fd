"""Whoever takes over the port of a session that has ended hears nothing of its owner, and shows them nothing.

Anybody with an account on the node may listen there as soon as the session does not. What its impostor can
do is tried while the hub and its proxy still hold the session for alive: its job's shell is stopped, so that
nobody says that it has ended.
"""

import base64
import inspect
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchtop.settings import Settings
from benchtop.stack import compose
from benchtop_hub.sessions import certificates
from benchtop_lab.session.proof import server_context
from support import sessions
from support.as_person import become
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/alice", "htc/alice"),
    pytest.mark.shares("slurm", "condor"),
    pytest.mark.long,
]

OWNER = "alice"
STRANGER = "frank"  # has no job, by whose end a node would put him out
PAGE = "The page of somebody else."
# Runs on the node as a stranger: listens on the port as soon as that is free, answers whatever it is asked,
# in plain and by TLS, and tells what it heard. Stdin says with which certificate, a line each time.
IMPOSTOR = (
    f"""
import base64, json, os, socket, ssl, sys, threading, time
{inspect.getsource(server_context)}
"""
    + """
port, page = int(sys.argv[1]), sys.argv[2].encode()
answer = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nConnection: close\\r\\nContent-Length: "
answer += str(len(page)).encode() + b"\\r\\n\\r\\n" + page
heard, context = [0, ""], None

def serve(line):
    with line:
        line.settimeout(5)
        try:
            if line.recv(1, socket.MSG_PEEK) == b"\\x16":  # the first byte of TLS
                heard[0] += 1
                if context is None:
                    line.sendall(answer)
                    return
                line = context.wrap_socket(line, server_side=True)
            heard[1] += line.recv(65536).decode(errors="replace")
            line.sendall(answer)
            line.unwrap() if context else None
        except OSError:
            pass

def accept():
    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

while True:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("0.0.0.0", port))
        listening.listen()
        break
    except OSError:
        time.sleep(0.005)
threading.Thread(target=accept, daemon=True).start()
for wanted in sys.stdin:
    told, heard = heard, [0, ""]
    context = None
    if wanted.strip():
        context = server_context(base64.b64decode(wanted))
    print(json.dumps(told), flush=True)
"""
)
# Runs there as the owner: what -9 leaves of a session, and nobody who would tell. Prints nothing.
KILL = """
import os, pathlib, signal, sys
pid = int(sys.argv[1])
keeper = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
os.kill(keeper, signal.SIGSTOP)
os.kill(pid, signal.SIGKILL)
print(keeper)
"""


class Impostor:
    """Somebody else's program on the node, which waits for a port."""

    def __init__(self, settings: Settings, node: str, person: str, port: int) -> None:
        words = ["exec", "-T", node, *become(person), "/opt/lab/bin/python", "-c", IMPOSTOR, str(port), PAGE]
        self._program = subprocess.Popen(
            compose.command(settings, *words), cwd=settings.root, env=compose.environment(settings),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def shows(self, proof: str) -> tuple[int, str]:
        """From now on, show this certificate ("": none, speak in plain), once the port is this program's.

        Before that: how many began TLS, and what was said, in plain or once TLS was agreed upon.
        """
        assert self._program.stdin
        assert self._program.stdout
        print(proof, file=self._program.stdin, flush=True)
        begun, said = json.loads(self._program.stdout.readline())
        return int(begun), str(said)

    def end(self) -> None:
        """Give the port back."""
        self._program.communicate(timeout=30)


@contextmanager
def impostor(settings: Settings, node: str, person: str, port: int) -> Iterator[Impostor]:
    one = Impostor(settings, node, person, port)
    try:
        yield one
    finally:
        one.end()


def self_made(host: str) -> str:
    """A certificate for the session's host that somebody has made for themselves."""
    own, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "session")])
    made = (
        x509.CertificateBuilder(name, name, own.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(own, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return base64.b64encode(made.public_bytes(pem) + key).decode()


def anothers(settings: Settings, cell: str) -> str:
    """What another session of the same cell has: that of the impostor."""
    keys = settings.state / "secrets" / f"keys-{cell}"
    return certificates.Authority(keys).issue(certificates.new_name(), timedelta(hours=1))


def asks(own: Hub) -> list[requests.Response]:
    """What a browser sends to a session: cookies with each, a body, the beginning of a websocket."""
    token = own.browser.cookies.get("_xsrf", path=own.lab.removeprefix(own.settings.url)) or ""
    websocket = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    websocket |= {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), "Origin": own.settings.url}
    sent: list[tuple[str, str, dict[str, object]]] = [
        ("GET", "lab", {}),
        ("GET", "api/status", {}),
        ("POST", "api/kernels", {"json": {"name": "python3"}, "headers": {"X-XSRFToken": token}}),
        ("GET", "api/kernels/1/channels", {"headers": websocket}),
    ]
    return [
        own.browser.request(method, own.lab + path, timeout=30, allow_redirects=False, **more)  # type: ignore[arg-type]
        for method, path, more in sent
    ]


Begun = tuple[Hub, str, dict[str, object]]


@pytest.fixture(params=["hpc", "htc", "login node"])
def begun(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Begun]:
    """A session on each kind of node, which its owner has opened: whose it is, its node, its process."""
    cluster, wanted = ("hpc", {"where": "login"}) if " " in request.param else (request.param, {})
    with sessions.owners(settings, signed_in) as meet:
        own, batch = meet(OWNER, cluster), Batch(settings, cluster)
        if wanted:
            answer = own.start(**wanted)
            assert answer.status_code in {201, 202}, answer.text
            wait_until(own.ready, timeout=sessions.START, what="the session on the login node")
            node = f"{cluster}-login"
        else:
            sessions.ready(own)
            job = batch.job(OWNER)
            assert job
            node = job.node
        assert own.open().ok
        (process,) = batch.said(OWNER, "python3", "-c", sessions.SESSION, on=node).splitlines()
        yield own, node, json.loads(process)


def test_an_impostor_of_a_session_that_was_killed_is_told_nothing_and_shown_to_nobody(
    begun: Begun, settings: Settings
):
    own, node, process = begun
    port, environment = int(str(process["port"])), process["env"]
    assert isinstance(environment, dict)
    real = environment[certificates.VARIABLE]
    host = x509.load_pem_x509_certificate(base64.b64decode(real)).extensions
    names = host.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    batch = Batch(settings, own.cluster)
    with impostor(settings, node, STRANGER, port) as stranger:
        keeper = batch.said(OWNER, "python3", "-c", KILL, str(process["pid"]), on=node).strip()
        try:
            stranger.shows("")
            for name, proof in {
                "in plain": "",
                "self-made": self_made(names[0].replace("*", node)),
                "another session's": anothers(settings, own.cell),
            }.items():
                stranger.shows(proof)
                answers = asks(own)
                assert [answer.status_code for answer in answers] == [503] * len(answers), name
                assert not [answer for answer in answers if PAGE in answer.text], name
                begun_tls, said = stranger.shows("")
                assert begun_tls == len(answers), f"{name}: they were asked, which is the control"
                assert said == "", name
            stranger.shows(real)
            served = asks(own)
            _, said = stranger.shows("")
            assert [answer.text for answer in served[:2]] == [PAGE, PAGE], (
                "the control: with its key they would be it"
            )
            assert "jupyterhub-session-id" in said
        finally:
            batch.run(OWNER, "kill", "-CONT", keeper, on=node)
    wait_until(lambda: own.server() is None, timeout=sessions.END, what="the end of the session")
    lines = compose.log_text(settings, "--no-log-prefix", "--since", "5m", f"{own.cell}-proxy")
    told = [line for line in lines if "the session itself does not answer" in line]
    assert told
    assert not [line for line in lines if line.lstrip().startswith("at ")], "a stack trace"


def test_nor_does_one_of_a_session_that_was_cancelled_hear_a_word(
    settings: Settings, signed_in: Callable[[str], requests.Session]
):
    """As it comes, from the end of the session until the hub has noticed."""
    with sessions.owners(settings, signed_in) as meet:
        own, batch = meet(OWNER, "hpc"), Batch(settings, "hpc")
        sessions.begin(own)
        job = batch.job(OWNER)
        assert job
        (process,) = batch.said(OWNER, "python3", "-c", sessions.SESSION, on=job.node).splitlines()
        with impostor(settings, job.node, STRANGER, json.loads(process)["port"]) as stranger:
            batch.cancel(OWNER, job.number)
            stranger.shows(anothers(settings, own.cell))
            pages: list[str] = []
            wait_until(
                lambda: pages.extend(answer.text for answer in asks(own)) or own.server() is None,
                timeout=sessions.END,
                what="the hub to notice",
                every=0,
            )
            assert pages
            assert not [page for page in pages if PAGE in page]
            assert stranger.shows("")[1] == ""
