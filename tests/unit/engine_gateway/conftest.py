"""The gateway over real TLS, in front of an engine that only remembers what it was asked."""

import asyncio
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from benchtop.keys import pki
from benchtop_minter.people import Person
from engine_gateway import creation, images
from engine_gateway.engine import Engine
from engine_gateway.service import Gateway, serve
from engine_gateway.ways import Ways

DIGEST, OTHER_DIGEST = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
IMAGE = "benchtop/session:1"
CLUSTERS = frozenset({"people", "cluster-hpc", "cluster-htc"})
PEOPLE = {
    "alice": Person("alice", 2001, CLUSTERS, gid=2000, gids=(2000, 3001)),
    "bob": Person("bob", 2002, frozenset({"people", "cluster-htc"}), gid=2000, gids=(2000,)),
    "erin": Person("erin", 2005, CLUSTERS, gid=2000, gids=(2000,)),
    "erin-x": Person("erin-x", 2006, CLUSTERS, gid=2000, gids=(2000,)),
    "leaver": Person("leaver", 2009, CLUSTERS, disabled=True, gid=2000, gids=(2000,)),
    "root": Person("root", 0, CLUSTERS, gid=0, gids=(0,)),
    "daemon": Person("daemon", 1423, CLUSTERS, gid=1423, gids=(1423,)),
}


def mark(cell: str = "hpc-1", owner: str = "alice") -> str:
    """What a hub of that cell gives a session of that person."""
    return f"{cell}:{owner}:{'0' * 32}"


def good(cell: str = "hpc-1", owner: str = "alice") -> dict[str, Any]:
    """What Docker's own client sends for a session, as a hub asks for one."""
    uid = PEOPLE[owner].uid
    nothing = "Hostname Domainname Volumes Entrypoint MacAddress StopSignal Healthcheck StopTimeout Runtime"
    return {
        **dict.fromkeys([*nothing.split(), "NetworkingConfig"]),
        **dict.fromkeys(["Tty", "OpenStdin", "StdinOnce", "AttachStdin", "NetworkDisabled"], False),
        "AttachStdout": True, "AttachStderr": True, "ExposedPorts": {"8888/tcp": {}}, "User": f"{uid}:2000",
        "Env": [f"HOME=/home/{owner}", f"USER={owner}", "JUPYTERHUB_API_TOKEN=secret", "PATH=/bin"],
        "Cmd": ["/bin/bash", "-c", "exec sleep 60"], "Image": IMAGE, "WorkingDir": f"/home/{owner}",
        "Labels": {"benchtop.cell": cell, "benchtop.owner": owner, "benchtop.mark": mark(cell, owner)},
        "HostConfig": {
            "Memory": 512 << 20, "CpuPeriod": 100000, "CpuQuota": 100000, "NetworkMode": "default",
            "PortBindings": {"8888/tcp": [{"HostIp": "", "HostPort": ""}]},
            "Binds": [f"/home/{owner}:/home/{owner}:rw", "/software:/software:ro"],
        },
    }  # fmt: skip


@dataclass
class StandIn:
    """An engine that does everything, and remembers what."""

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    away: bool = False

    def add(self, cell: str, owner: str, name: str = "") -> str:
        """A container that runs; its id."""
        number = secrets.token_hex(32)
        labels = {
            "benchtop.cell": cell,
            "benchtop.owner": owner,
            "benchtop.mark": mark(cell, owner),
            "more": "x",
        }
        self.containers[number] = {
            "Id": number, "Name": f"/{name or f'bt-{cell}-{owner}'}", "Created": "2026-11-30T10:00:00Z",
            "Image": DIGEST,
            "State": {"Status": "running", "Running": True, "ExitCode": 0, "Pid": 4711},
            "Config": {"Labels": labels, "Env": ["JUPYTERHUB_API_TOKEN=secret"], "User": "2001:2000"},
            "HostConfig": {"Memory": 512 << 20, "Binds": ["/home/alice:/home/alice"]},
            "NetworkSettings": {"Ports": {"8888/tcp": [{"HostIp": "", "HostPort": "40001"}]}},
        }  # fmt: skip
        return number

    def changes(self) -> list[str]:
        """What was asked that changes something."""
        return [f"{method} {path}" for method, path, _ in self.asked if method != "GET"]

    def created(self) -> list[dict[str, Any]]:
        """The bodies of what was asked to be made."""
        return [body for method, path, body in self.asked if path.endswith("/containers/create")]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As Podman would."""
        text = await request.text()
        self.asked.append((request.method, request.raw_path, json.loads(text) if text else None))
        if self.away:
            return web.json_response({"message": "out of order"}, status=500)
        if request.path.endswith("/containers/create"):
            return self.create(json.loads(text))
        if request.path.endswith("/containers/json"):
            return web.json_response([self.listed(entry) for entry in self.containers.values()])
        wanted = request.path.split("/")[3]
        matching = (number for number in self.containers if number.startswith(wanted))
        named = (number for number, entry in self.containers.items() if entry["Name"] == f"/{wanted}")
        found = self.containers.get(next(matching, next(named, "")))
        return self.act(request, found) if found else web.json_response({"message": "none"}, status=404)

    def create(self, body: dict[str, Any]) -> web.Response:
        """Make one, unless there is one of that name."""
        if any(entry["Name"] == f"/{body['name']}" for entry in self.containers.values()):
            return web.json_response({"message": "that name is already in use"}, status=500)
        made = self.add(body["labels"]["benchtop.cell"], body["labels"]["benchtop.owner"], body["name"])
        self.containers[made]["Config"]["Labels"] = body["labels"]
        return web.json_response({"Id": made, "Warnings": []}, status=201)

    def act(self, request: web.BaseRequest, found: dict[str, Any]) -> web.Response:
        """Do what is asked to a container that is there."""
        if request.method == "DELETE":
            del self.containers[found["Id"]]
        if request.path.endswith("/wait"):
            return web.json_response({"StatusCode": 0})
        if request.path.endswith("/logs"):
            return web.Response(body=b"\x01\0\0\0\0\0\0\x05hello")
        return web.json_response(found) if request.method == "GET" else web.Response(status=204)

    def listed(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The same in a list."""
        return {
            "Id": entry["Id"], "Names": [entry["Name"]], "Created": 1, "State": entry["State"]["Status"],
            "Status": "Up", "Labels": entry["Config"]["Labels"], "ImageID": entry["Image"], "Mounts": ["x"],
        }  # fmt: skip


@dataclass
class Facility:
    """A gateway that runs, and how hubs talk to it."""

    port: int
    keys: Path
    engine: StandIn
    list: Path
    directory: dict[str, bool]

    def send(self, message: bytes, certificate: str | None = "hpc-1") -> tuple[int, Any]:
        """Status and body of the answer to exactly these bytes."""
        context = ssl.create_default_context(cafile=str(self.keys / "engine-ca.pem"))
        if certificate:
            context.load_cert_chain(self.keys / f"{certificate}.pem")
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="engine-gateway") as connection,
        ):
            connection.sendall(message)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        if not answer:
            raise ConnectionError("the gateway ended the connection")
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body

    def ask(
        self, method: str, target: str, body: Any = None, *, cell: str = "hpc-1", headers: str = ""
    ) -> tuple[int, Any]:
        """Ask as the hub of a cell. body: what becomes JSON, or bytes as they are"""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: engine-gateway\r\nConnection: close\r\n{headers}"
        return self.send(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content, cell)

    def create(self, body: Any = None, name: str = "bt-hpc-1-alice", cell: str = "hpc-1") -> tuple[int, Any]:
        """Ask for a container."""
        return self.ask(
            "POST", f"/v1.41/containers/create?name={name}", good() if body is None else body, cell=cell
        )


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's folder of keys, and beside it those of hubs and of strangers."""
    folder = tmp_path_factory.mktemp("engine-keys")
    now = pki.today()
    for ca in ("engine", "other"):
        pki.authority(folder / ca, ca, now=now)
    (folder / "engine-ca.pem").write_bytes((folder / "engine/ca.pem").read_bytes())
    server, key = pki.leaf(folder / "server", folder / "engine", "server", ["engine-gateway"], now=now)
    (folder / "server.pem").write_bytes(server)
    (folder / "server.key").write_bytes(key)
    for name, ca, kind, common in (
        ("hpc-1", "engine", "client", "hpc-1"),
        ("hpc-2", "engine", "client", "hpc-2"),
        ("htc-1", "engine", "client", "htc-1"),
        ("nobody", "engine", "client", "egress"),
        ("a-server", "engine", "server", "hpc-1"),
        ("a-stranger", "other", "client", "hpc-1"),
    ):
        issued = pki.leaf(folder / f"of-{name}", folder / ca, kind, [common], now=now)  # type: ignore[arg-type]
        (folder / f"{name}.pem").write_bytes(b"".join(issued))
    return folder


@contextmanager
def loop_beside() -> Iterator[Callable[[Any], Any]]:
    """An event loop in a thread; yields what runs a coroutine there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(20)

    async def end() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run_coroutine_threadsafe(end(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


@pytest.fixture(scope="session")
def running(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    """One gateway for all tests; `facility` cleans up between them."""
    folder = tmp_path_factory.mktemp("engine")
    stand_in, directory = StandIn(), {"answers": True}
    listed = folder / "images.json"
    (folder / "confined").write_text("* gina 2007\n")
    (folder / "network").write_text("eth1 10.213.72.2")
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, health_port = one.getsockname()[1], other.getsockname()[1]

    def lookup(name: str) -> Person | None:
        return PEOPLE.get(name) if directory["answers"] else None

    async def start() -> None:
        runner = web.ServerRunner(web.Server(stand_in.answer))
        await runner.setup()
        await web.UnixSite(runner, str(folder / "api.sock")).start()
        judge = creation.Judge(lookup, images.Images(listed), creation.Limits(2048 << 20, 2.0))
        gateway = Gateway(
            Engine(folder / "api.sock"), judge, creation.Room(3, 4096 << 20), ("hpc", "htc"),
            knows=lambda: directory["answers"], ways=Ways(folder / "confined", folder / "network"),
        )  # fmt: skip
        await serve(gateway, keys, port=port, health_port=health_port)

    with loop_beside() as run:
        run(start())
        yield Facility(port, keys, stand_in, listed, directory)


@pytest.fixture
def facility(running: Facility) -> Facility:
    """A gateway whose engine has nothing yet."""
    running.engine.containers.clear()
    running.engine.asked.clear()
    running.engine.away = False
    running.directory["answers"] = True
    entries = [{"name": IMAGE, "digest": DIGEST}, {"name": "benchtop/other:7", "digest": OTHER_DIGEST}]
    running.list.write_text(json.dumps({"images": entries}))
    return running
