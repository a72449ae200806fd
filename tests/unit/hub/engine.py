# ruff: noqa: D102  # a stand-in: its names say it
"""An engine's API as far as a hub asks it, over HTTP, with containers that do what a test says."""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker

from benchtop_hub.backends.container.backend import Container
from benchtop_hub.upstream.engine import VERSION
from standins import Noted, cell

IMAGE, PUBLISHED = "benchtop/session", 40001


class Engine(ThreadingHTTPServer):
    """Answers from one machine to itself."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.containers: dict[str, dict[str, Any]] = {}
        self.images = {IMAGE}
        self.asked: list[str] = []  # "POST create", "GET json" …
        self.created: list[dict[str, Any]] = []  # what was asked of it
        self.refuses: tuple[str, int, str] | None = None  # the last word of a path, a status and a message
        self.room: dict[str, int] | None = {"places": 20, "free": 17}
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def client(self) -> Any:
        return docker.APIClient(base_url=self.address, version=VERSION, timeout=2)

    def only(self) -> dict[str, Any]:
        (found,) = self.containers.values()
        return found

    def end(self, status: int, **how: object) -> None:
        """As if what runs in the only container had ended."""
        self.only()["State"] = "exited"
        self.only()["how"] = {"ExitCode": status, "OOMKilled": False, "FinishedAt": ""} | how

    def make(self, name: str, body: dict[str, Any]) -> str:
        number = secrets.token_hex(32)
        self.containers[number] = {
            "Id": number, "Names": [f"/{name}"], "State": "created", "Labels": body["Labels"],
            "Created": int(time.time()), "how": {"ExitCode": 0}, "ports": None,
        }  # fmt: skip
        return number


class Answers(BaseHTTPRequestHandler):
    """To one request."""

    server: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, what: object = None) -> None:
        text = b"" if what is None else json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do(self) -> None:
        parts = urlsplit(self.path)
        words, asked = parts.path.split("/")[2:], parse_qs(parts.query)
        assert parts.path.startswith(f"/v{VERSION}/")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self.server.asked.append(f"{self.command} {words[-1] if self.command != 'DELETE' else 'remove'}")
        if self.server.refuses and self.server.refuses[0] == words[-1]:
            self.answer(self.server.refuses[1], {"message": self.server.refuses[2]})
        elif words == ["info"]:
            self.answer(200, {"Benchtop": self.server.room} if self.server.room else {})
        elif words[:2] == ["containers", "create"]:
            self.create(asked["name"][0], body)
        elif words == ["containers", "json"]:
            self.answer(200, list(self.server.containers.values()))
        else:
            self.one(words[1], words[2:], body)

    def create(self, name: str, body: dict[str, Any]) -> None:
        engine = self.server
        if body["Image"] not in engine.images:
            self.answer(404, {"message": f"{body['Image']}: image not known"})
        elif any(f"/{name}" in one["Names"] for one in engine.containers.values()):
            self.answer(409, {"message": f"the name {name} is already in use"})
        else:
            engine.created.append(body)
            self.answer(201, {"Id": engine.make(name, body), "Warnings": []})

    def one(self, number: str, words: list[str], body: dict[str, Any]) -> None:
        every = self.server.containers.values()
        named = (one for one in every if one["Id"].startswith(number) or f"/{number}" in one["Names"])
        found = next(named, None)
        if found is None:
            self.answer(404, {"message": "no such container"})
        elif words == ["json"]:
            state = {**found["how"], "Running": found["State"] == "running"}
            ports = {"Ports": {"8888/tcp": found["ports"]}}
            self.answer(200, {"Id": found["Id"], "State": state, "NetworkSettings": ports})
        elif words == ["start"]:
            found.update(State="running", ports=[{"HostIp": "engine", "HostPort": str(PUBLISHED)}])
            self.answer(204)
        elif words == ["stop"]:
            found["State"] = "exited"
            self.answer(204)
        else:
            del self.server.containers[found["Id"]]
            self.answer(204)

    do_GET = do_POST = do_DELETE = do  # noqa: N815 as the server asks for them


class Boxes(Container):
    """Containers of one such engine, whose queue is always asked."""

    def __init__(self, engine: Engine, name: str = "hpc-1", **traits: object) -> None:
        given = {"container_engine": engine.address, "container_images": {IMAGE: "All that nodes have."}}
        super().__init__(cell(name), **{**given, **traits})
        self.queue = Noted(self._in_anybodys_name, self.parse_queue)
        self.engine = engine
        self._client = engine.client()
