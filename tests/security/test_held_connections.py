"""What waits holds a thread of the front door: nobody can hold so many that others wait."""

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import requests
from testinfra.host import Host

from benchtop import topology
from benchtop.settings import Settings
from benchtop.stack import compose
from support.front_door import UPGRADE, ask, cookies_for, dial
from support.stand_in import stand_in
from support.wait import wait_until

pytestmark = pytest.mark.alone

SignedIn = Callable[[str], requests.Session]
Services = Callable[..., Host]

# As in apache/conf/limits.conf
HELD = 160  # requests by one person, or by the strangers of one address
CONNECTIONS = 700  # of one address
HPC = "/jupyterhub/hpc"
HALF = 200_000  # bytes of a body: at 4 kB/s Apache then waits for a minute for more


def begin(settings: Settings, method: str, path: str, *, host: str = "", **headers: str) -> ssl.SSLSocket:
    """The head of a request, on a connection of its own; `_` stands for the `-` in a header's name."""
    name = host or settings.name
    lines = [f"{method} {path} HTTP/1.1", f"Host: {name}:{settings.port}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    line = dial(settings, name)
    line.sendall("\r\n".join([*lines, "", ""]).encode())
    if method == "POST":
        with suppress(OSError):  # refused already
            line.sendall(bytes(min(HALF, int(headers.get("Content_Length", 0)) // 2)))
    line.settimeout(0.002)
    return line


def answered(line: ssl.SSLSocket) -> str:
    """The status that has come meanwhile; nothing while there is none."""
    try:
        return line.recv(1000).decode(errors="replace")[9:12]
    except TimeoutError:
        return ""
    except OSError:
        return "cut"


@contextmanager
def slow_bodies(settings: Settings, count: int, path: str, **headers: str) -> Iterator[list[str]]:
    """So many requests whose bodies stop half-way; the answers of those that are refused."""
    with ExitStack() as ends:
        lines = [
            ends.enter_context(begin(settings, "POST", path, Content_Length="1000000", **headers))
            for _ in range(count)
        ]
        refused: list[str] = []

        def enough() -> bool:
            said = {line: status for line in lines if (status := answered(line))}
            lines[:] = [line for line in lines if line not in said]
            refused.extend(said.values())
            return len(lines) <= HELD

        wait_until(enough, timeout=20, what=f"all but {HELD} to be refused")
        yield refused


def served(carol: requests.Session, settings: Settings) -> None:
    """Somebody who is at work from the same address notices nothing, forms and uploads included."""
    page = carol.get(f"{settings.url}{HPC}/hub/home", timeout=20)
    assert page.status_code == 200
    form = carol.post(f"{settings.url}{HPC}/hub/home", data={"do": "nothing"}, timeout=20)
    assert form.status_code in {400, 403}  # the hub's word: it lacks what proves a form
    assert ask(settings, "/assets/style.css").status == 200


@pytest.mark.parametrize(
    ("where", "headers"),
    [
        (f"{HPC}/user/erin/", {"Authorization": "token invented"}),
        (f"{HPC}/user/erin/", {"Cookie": f"mellon-hub=invented; mellon-person=erin.{'0' * 40}"}),
        ("/nowhere", {}),
        ("protocol/saml", {}),
    ],
    ids=["token", "session", "page", "login"],
)
def test_slow_bodies_of_strangers_hold_little(
    where: str, headers: dict[str, str], signed_in: SignedIn, settings: Settings
):
    carol = signed_in("carol")
    carol.get(f"{settings.url}{HPC}/hub/home")
    if where.startswith("protocol"):
        where, headers = f"/realms/benchtop/{where}", {"host": settings.login_name}
    with slow_bodies(settings, HELD + 20, where, **headers) as refused:
        assert "429" in refused  # the control: they arrive, and are counted
        assert set(refused) <= {"429", "303", "400"}
        served(carol, settings)
    wait_until(lambda: stranger(settings) != 429, timeout=20, what="what was held to be free again")


def stranger(settings: Settings) -> int:
    """What somebody who sends a little with an invented token is told."""
    headers = {"Authorization": "token invented", "Content-Length": "0"}
    return ask(settings, f"{HPC}/hub/api/users/erin", method="POST", headers=headers).status


def opens(line: ssl.SSLSocket) -> str:
    """The status that a websocket is opened or refused with."""
    line.settimeout(20)
    return line.recv(1000).decode(errors="replace")[9:12]


def test_of_websockets_one_person_holds_a_part_and_a_class_all_that_it_needs(
    signed_in: SignedIn, settings: Settings
):
    """All come from one address, as those of a class do."""
    with ExitStack() as ends:
        paths = {name: ends.enter_context(stand_in(settings, name, "hpc")).path for name in ("carol", "erin")}
        cookies = {}
        for name, path in paths.items():
            signed_in(name).get(f"{settings.url}{HPC}/hub/home")
            cookies[name] = cookies_for(settings, signed_in(name), path)

        def websocket(name: str) -> str:
            line = begin(settings, "GET", paths[name] + "/x", Cookie=cookies[name], **UPGRADE)
            return opens(ends.enter_context(line))

        held = 0
        while (status := websocket("carol")) == "101":
            held += 1
        assert status == "429"
        assert HELD - 3 <= held <= HELD  # what else of hers is under way counts as well
        assert [websocket("erin") for _ in range(HELD // 4)] == ["101"] * (HELD // 4)
        served(signed_in("erin"), settings)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "token invented"}, {"Cookie": "mellon-hub=invented"}]
)
def test_a_websocket_of_a_stranger_is_refused(headers: dict[str, str], settings: Settings):
    """The control is the test above."""
    for path in (f"{HPC}/user/carol/api/kernels/x/channels", f"{HPC}/user/carol/x", f"{HPC}/hub/x"):
        assert ask(settings, path, headers=UPGRADE | headers).status in {302, 303, 403, 404}


ELSEWHERE = """
import socket, ssl, sys
name, port = sys.argv[1], int(sys.argv[2])
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
with tls.wrap_socket(socket.create_connection((name, port), 10), server_hostname=name) as line:
    line.sendall(f"GET /assets/style.css HTTP/1.1\\r\\nHost: {name}:{port}\\r\\n\\r\\n".encode())
    print(line.recv(100).split()[1].decode())
"""


def test_idle_connections_of_one_address_leave_room_for_every_other(service: Services, settings: Settings):
    """They have begun to speak TLS, and hold a thread each until they are cut off, after ten seconds."""
    with ExitStack() as ends:
        lines = []
        for _ in range(CONNECTIONS + 40):
            line = ends.enter_context(socket.create_connection((settings.bind, settings.port), timeout=10))
            line.sendall(b"\x16\x03\x01")
            line.settimeout(0.001)
            lines.append(line)

        def refused() -> int:
            lines[:] = [line for line in lines if quiet(line)]
            return CONNECTIONS + 40 - len(lines)

        wait_until(lambda: refused() >= 40, timeout=9, what=f"all beyond {CONNECTIONS} to be refused")
        assert len(lines) > CONNECTIONS // 2  # the control: the others are there
        said = service("cpu-1").run("python3 -c %s %s %s", ELSEWHERE, settings.name, str(settings.port))
        assert said.stdout.strip() == "200", said.stderr
    wait_until(lambda: reached(settings), timeout=30, what="this address to be served again")


def quiet(line: socket.socket) -> bool:
    """Whether a connection is there, and nothing has come on it."""
    try:
        line.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def reached(settings: Settings) -> bool:
    try:
        return ask(settings, "/assets/style.css").status == 200
    except OSError:
        return False


FROM_A_NODE = """
import json, socket, ssl, sys
path, count = sys.argv[1], int(sys.argv[2])
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
def begin(length):
    line = tls.wrap_socket(socket.create_connection(("apache", 8444), 10), server_hostname="apache")
    head = f"POST {path} HTTP/1.1\\r\\nHost: apache:8444\\r\\nAuthorization: token invented\\r\\n"
    line.sendall(f"{head}Content-Length: {length}\\r\\n\\r\\n".encode())
    return line
lines = [begin(1000 if count > 1 else 0) for _ in range(count)]
said = []
for line in reversed(lines):
    line.settimeout(0.5 if count > 1 else 20)
    try:
        said.append(line.recv(100).split()[1].decode())
    except TimeoutError:
        said.append("")
    if said.count("429") > 5:
        break
print(json.dumps(said), flush=True)
sys.stdin.read()
"""


def test_slow_bodies_of_a_job_leave_the_gateway_to_other_nodes(service: Services, settings: Settings):
    cell = topology.cell_of("carol", "hpc", settings.cells)
    path = f"/_cell/{cell}{HPC}/hub/api/users/carol"
    words = compose.command(settings, "exec", "-T", "cpu-1", "python3", "-c", FROM_A_NODE)
    with subprocess.Popen(
        [*words, path, str(HELD + 20)],
        cwd=settings.root,
        env=compose.environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as attack:
        assert attack.stdin
        assert attack.stdout
        assert "429" in json.loads(attack.stdout.readline())
        said = service("gpu-1").run("python3 -c %s %s 1 </dev/null", FROM_A_NODE, path)
        attack.stdin.close()
    assert json.loads(said.stdout) == ["403"], said.stderr  # the hub's own word


# ---- how much a body may be -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (f"{HPC}/hub/api/users/carol", 1 << 20),
        (f"{HPC}/user/carol/api/contents/x", 4 << 20),
        ("/realms/benchtop/login-actions/authenticate", 1 << 20),
    ],
)
def test_a_body_that_is_too_large_is_refused_before_it_comes(path: str, most: int, settings: Settings):
    host = settings.login_name if "realms" in path else settings.name

    def send(length: int) -> ssl.SSLSocket:
        headers = {"Authorization": "token invented", "Content_Length": str(length)}
        return begin(settings, "POST", path, host=host, **headers)

    def is_waited_for() -> bool:
        with send(most) as line:
            return answered(line) == ""

    with send(most + 1) as line:
        assert opens(line) == "413"
    # the control; a login from here, of a test beside this one, counts for ten seconds (conf/throttle.conf)
    wait_until(is_waited_for, timeout=60, what="a body that is not too large to be waited for")


def test_a_hub_keeps_no_large_body(service: Services, signed_in: SignedIn, settings: Settings):
    """Where nothing of a person's runs, their address leads to the hub, and Apache does not know."""
    carol, cell = signed_in("carol"), topology.cell_of("carol", "hpc", settings.cells)
    assert carol.get(f"{settings.url}{HPC}/hub/home").status_code == 200

    def memory() -> int:
        """MiB of the hub's processes."""
        said = service(cell).check_output("cat /proc/[0-9]*/status | grep VmRSS")
        return sum(int(line.split()[1]) for line in said.splitlines()) >> 10

    before = memory()
    for _ in range(3):
        answer = carol.post(f"{settings.url}{HPC}/user/carol/x", data=bytes(50 << 20), timeout=60)
        assert answer.status_code == 413
    assert memory() < before + 30
    assert carol.get(f"{settings.url}{HPC}/hub/home").status_code == 200
