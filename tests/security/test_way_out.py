"""What a job reaches by the egress proxy: public addresses on two ports, in its own person's name."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import pytest

from benchtop.settings import Settings
from benchtop.stack import compose
from support import laptop, package_index
from support.as_person import become
from support.facility import logged
from support.wait import wait_until

pytestmark = pytest.mark.shares("slurm", "condor")

NODES = {"gpu-1": "hpc", "hpc-login": "hpc", "condor-ep-1": "htc", "htc-login": "htc"}
SOON = 3.0  # seconds for a refusal: nobody waits for one
COST = 1.0  # seconds that anybody's excess may cost others
FLOOD = 2000  # connections
LASTS = 60  # seconds at most, on a busy machine

# Sends each request that is given to the proxy, and prints the answers' first lines and what they took.
ASK = """
import json, socket, sys, time
said = []
for request in json.load(sys.stdin):
    begun = time.monotonic()
    try:
        with socket.create_connection(("egress", 3128), timeout=20) as one:
            one.sendall(request.encode())
            line = one.recv(4096).split(b"\\r\\n")[0].decode()
    except OSError as error:
        line = repr(error)
    said.append([line, time.monotonic() - begun])
print(json.dumps(said))
"""
# Keeps so many connections open as long as a file is there, or asks on each as often as it is answered.
HOLD = """
import json, os, select, socket, sys, time
kind, most, seconds, file = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
proxy, end = (socket.gethostbyname("egress"), 3128), time.monotonic() + seconds
held, poll = {}, select.poll()
def drop(number):
    poll.unregister(number)
    held.pop(number).close()
while os.path.exists(file) and time.monotonic() < end:
    while len(held) < most and os.path.exists(file):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(proxy)
        held[one.fileno()] = one
        poll.register(one, select.POLLIN | (select.POLLOUT if kind == "asking" else 0))
        if len(held) % 200 == 0:
            print("holds", len(held), flush=True)
            time.sleep(0.005)
    for number, event in poll.poll(50):
        try:
            gone = event & (select.POLLHUP | select.POLLERR)
            if gone or (event & select.POLLIN and not held[number].recv(4096)):
                drop(number)
            elif event & select.POLLOUT:
                held[number].send(b"CONNECT 127.0.0.1:443 HTTP/1.1\\r\\n\\r\\n")
                poll.modify(number, select.POLLIN)
        except OSError:
            drop(number)
"""
# Says to be a node, with a proof that is none.
POSE = """
import socket, sys
with socket.create_connection(("egress", 3130), timeout=20) as one:
    one.recv(100)
    one.sendall(sys.argv[1].encode() + b" " + b"0" * 64 + b"\\n")
    print("cut off" if one.recv(100) == b"" else "served")
"""


def as_person(settings: Settings, node: str, person: str, *words: str, given: str = "") -> str:
    """What a command says that a person's job on a node runs."""
    done = compose.run(settings, "exec", "-T", node, *become(person), *words, input=given.encode())
    return done.stdout.decode()


def ask(settings: Settings, node: str, person: str, *requests: str) -> list[tuple[str, float]]:
    """(first line, seconds) of each answer."""
    said = as_person(settings, node, person, "python3", "-c", ASK, given=json.dumps(requests))
    return [(line, seconds) for line, seconds in json.loads(said)]


def connect(host: str, port: int = 443, *headers: str) -> str:
    """A request for a tunnel."""
    return "\r\n".join([f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}", *headers, "", ""])


def get(url: str) -> str:
    """A plain request."""
    return f"GET {url} HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest) -> str:
    """Each kind of node in turn."""
    return str(request.param)


# ---- where to -----------------------------------------------------------------------------------


def test_a_job_reaches_the_package_index(node: str, settings: Settings):
    """The control of all that follows."""
    host, port = package_index.address()
    ((line, _),) = ask(settings, node, "alice", connect(host, port))
    assert line == "HTTP/1.1 200 Connection established"


ADDRESSES = """
127.0.0.1 127.1 2130706433 0x7f000001 017700000001 0 0.0.0.0 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1]
[64:ff9b::7f00:1] [fd00::1] [fe80::1] [ff02::1] 10.0.0.1 172.16.0.1 172.31.255.254 192.168.0.1 100.64.0.1
100.127.255.254 169.254.169.254 169.254.1.1 168.63.129.16 [fd00:ec2::254] 192.0.0.192 224.0.0.1
239.255.255.250 255.255.255.255 198.18.0.1 240.0.0.1
"""
# Names that lead to such addresses: those of the facility's own services, as the proxy finds them
NAMES = """
localhost LOCALHOST localhost. egress gpu-1 GPU-1. cpu-1 hpc-login condor-ep-1 htc-login apache hub slurmctld
keycloak postgres host.docker.internal user@localhost no-such-name.invalid
"""


def test_no_address_that_is_not_public_is_reached_however_it_is_written(node: str, settings: Settings):
    own = {one.partition("%")[0] for one in laptop.own_addresses()}
    own = own.union(*laptop.gateways(settings).values())
    hosts = [*ADDRESSES.split(), *(f"[{one}]" if ":" in one else one for one in sorted(own))]
    tunnels = dict(zip(hosts, ask(settings, node, "alice", *map(connect, hosts)), strict=True))
    plain = dict(
        zip(hosts, ask(settings, node, "alice", *(get(f"http://{one}/") for one in hosts)), strict=True)
    )
    for answers in (tunnels, plain):
        assert {host: line for host, (line, _) in answers.items() if "403" not in line} == {}
        assert {host: seconds for host, (_, seconds) in answers.items() if seconds > SOON} == {}


def test_nor_by_a_name_that_leads_there(node: str, settings: Settings):
    names = NAMES.split()
    wanted = [*map(connect, names), *(get(f"http://{name}/") for name in names)]
    answers = dict(zip(wanted, ask(settings, node, "alice", *wanted), strict=True))
    assert {request: line for request, (line, _) in answers.items() if "403" not in line} == {}


def test_the_facilitys_own_services_are_not_reached_by_their_addresses(settings: Settings):
    addresses = set()
    for one in compose.containers(settings.project):
        seen = json.loads(compose.docker("inspect", one.id).stdout)[0]
        addresses |= {each["IPAddress"] for each in seen["NetworkSettings"]["Networks"].values()} - {""}
    assert len(addresses) > 20
    for answers in (
        ask(settings, "gpu-1", "alice", *map(connect, addresses)),
        ask(settings, "condor-ep-1", "alice", *(get(f"http://{one}/") for one in addresses)),
    ):
        assert {line for line, _ in answers} == {"HTTP/1.1 403 Forbidden"}


def test_two_ports_are_open_and_no_other_protocol(settings: Settings):
    host, _ = package_index.address()
    wanted = [connect(host, port) for port in (22, 25, 80, 3128, 3130, 6817, 8443, 8444, 9618)]
    wanted += [get(f"http://{host}:{port}/") for port in (22, 8080, 3128)]
    wanted += [
        get(f"ftp://{host}/"),
        get("cache_object://localhost/info"),
        get("http://egress:3128/squid-internal-mgr/menu"),
    ]
    answers = ask(settings, "cpu-1", "alice", *wanted)
    assert {
        request.splitlines()[0]: line
        for request, (line, _) in zip(wanted, answers, strict=True)
        if "403" not in line
    } == {}


# ---- in whose name ----------------------------------------------------------------------------------


def test_each_request_is_logged_with_its_person_and_node_also_side_by_side(node: str, settings: Settings):
    people = ("dave", "erin")
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(
            lambda person: ask(settings, node, person, connect(f"{person}.{node}.invalid")), people
        ):
            pass
    for person in people:
        line = logged(settings, "egress", rf"to={person}\.{node}\.invalid:443 ")
        assert f" person={person} node={node} " in line


def test_nobody_acts_in_somebody_elses_name(settings: Settings):
    """There is no credential that could be used: whatever a request says of its sender is ignored."""
    basic = "Proxy-Authorization: Basic ZXJpbjplcmlu"  # erin:erin
    headers = [basic, "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-SSO-User: erin"]
    ask(settings, "cpu-1", "dave", connect("not-erin.invalid", 443, *headers))
    assert " person=dave node=cpu-1 " in logged(settings, "egress", r"to=not-erin\.invalid:443 ")


def test_who_is_no_person_reaches_nothing(settings: Settings):
    host, port = package_index.address()
    for who in (["python3"], ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "python3"]):
        given = json.dumps([connect(host, port)]).encode()
        done = compose.run(settings, "exec", "-T", "cpu-1", *who, "-c", ASK, input=given)
        assert json.loads(done.stdout)[0][0] == "HTTP/1.1 403 Forbidden", who


@pytest.mark.parametrize("name", ["gpu-1", "cpu-1", "elsewhere"])
def test_who_says_to_be_a_node_and_cannot_prove_it_is_cut_off(name: str, settings: Settings):
    assert as_person(settings, "cpu-1", "dave", "python3", "-c", POSE, name) == "cut off\n"
    ((line, _),) = ask(settings, "cpu-1", "erin", connect("still-known.invalid"))
    assert line == "HTTP/1.1 403 Forbidden"
    assert " person=erin node=cpu-1 " in logged(settings, "egress", r"to=still-known\.invalid:443 ")


def test_the_log_keeps_nothing_of_a_query(settings: Settings):
    ask(settings, "cpu-1", "dave", get("http://asked.invalid/page?token=this-is-secret"))
    assert "this-is-secret" not in logged(settings, "egress", r"to=http://asked\.invalid/page")


# ---- what one person's excess costs others -------------------------------------------------------------


@contextmanager
def flood(settings: Settings, node: str, person: str, kind: str) -> Iterator[Callable[[], str]]:
    """Somebody holds thousands of connections meanwhile; what is given says what they have."""
    out = f"/dev/shm/flood.{person}.{kind}"  # noqa: S108 on the node, a name that no other test uses
    shell = f'exec python3 -c "$1" {kind} {FLOOD} {LASTS} {out} > {out}'
    with ThreadPoolExecutor() as pool:
        running = pool.submit(as_person, settings, node, person, "sh", "-c", shell, "sh", HOLD)
        try:
            yield lambda: as_person(settings, node, person, "sh", "-c", f"cat {out} 2>/dev/null || true")
            assert not running.done(), "it lasts as long as others are looked at"
        finally:
            as_person(settings, node, person, "rm", "-f", out)
            running.result()


@pytest.mark.parametrize("kind", ["silent", "asking"])
def test_thousands_of_connections_of_one_person_cost_nobody_else_a_second(kind: str, settings: Settings):
    host, port = package_index.address()

    def usual(node: str) -> float:
        answers = ask(settings, node, "erin", *[connect(host, port)] * 7)
        assert {line for line, _ in answers} == {"HTTP/1.1 200 Connection established"}, node
        return median(seconds for _, seconds in answers)

    def looks() -> dict[str, float]:
        return {node: usual(node) for node in ("cpu-1", "condor-ep-1")}

    before = looks()
    with flood(settings, "cpu-1", "dave", kind) as has:
        wait_until(lambda: f"holds {FLOOD}\n" in has(), timeout=LASTS, what="the flood to be there")
        meanwhile = looks()
    after = looks()  # the control on both sides: a busy machine takes its time without a flood, too
    for node, seconds in meanwhile.items():
        assert seconds - max(before[node], after[node]) < COST, node


def test_who_has_too_many_at_a_time_is_refused_and_nobody_else(settings: Settings):
    with flood(settings, "cpu-1", "dave", "asking") as has:
        wait_until(lambda: f"holds {FLOOD}\n" in has(), timeout=LASTS, what="the flood to be there")
        host, port = package_index.address()
        ((line, _),) = ask(settings, "cpu-1", "dave", connect(host, port))
        assert line == "HTTP/1.1 403 Forbidden"
        ((line, _),) = ask(settings, "cpu-1", "erin", connect(host, port))
        assert line == "HTTP/1.1 200 Connection established"
