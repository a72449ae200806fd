"""A server where a person's own would be: behind Apache and the proxy, below their address."""

import inspect
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchtop import topology
from benchtop.settings import Settings
from benchtop.stack import compose
from benchtop_lab.session.proof import server_context

# Runs in the hub, which alone can make what a session proves itself by. It answers a page with 204, keeps a
# websocket open until that is closed, and tells the headers of each request.
SERVER = (
    f"""
import base64, hashlib, http.client, http.server, json, os, pathlib, ssl, sys, threading
{inspect.getsource(server_context)}
"""
    + """
from datetime import timedelta
from benchtop_hub.sessions import certificates

KEYS = pathlib.Path("/keys")

class Tells(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        key = self.headers.get("Sec-WebSocket-Key")
        self.send_response(101 if key else 204)
        if key:
            sign = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(sign).decode())
        self.end_headers()
        self.close_connection = True
        print(json.dumps([[k.lower(), v] for k, v in self.headers.items()]), flush=True)
        if key:
            self.rfile.read(1)
    def log_message(self, *_): pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128
    def handle_error(self, *_): pass

def route(method, body=None):
    proxy = http.client.HTTPConnection("proxy", 8001, timeout=10)
    proves = {"Authorization": "token " + (KEYS / "proxy.token").read_text()}
    proxy.request(method, "/api/routes" + sys.argv[1], body, proves)
    assert proxy.getresponse().status in (201, 204)

name = certificates.new_name()
context = server_context(base64.b64decode(certificates.Authority(KEYS).issue(name, timedelta(hours=1))))
server = Server(("", 0), Tells)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
route("POST", json.dumps({"target": f"https://{certificates.host('hub', name)}:{server.server_port}"}))
try:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
finally:
    route("DELETE")
"""
)


@dataclass(frozen=True)
class StandIn:
    """Where it is, and what waits for a request and gives its headers (lower case)."""

    path: str
    told: Callable[[], dict[str, str]]


@contextmanager
def stand_in(settings: Settings, name: str, cluster: str) -> Iterator[StandIn]:
    """It answers at /user/NAME/stand-in meanwhile."""
    cell = topology.cell_of(name, cluster, settings.cells)
    path = f"/jupyterhub/{cluster}/user/{name}/stand-in"
    words = compose.command(settings, "exec", "-T", cell, "/opt/hub/bin/python3", "-c", SERVER, path)
    with subprocess.Popen(
        words, cwd=settings.root, env=compose.environment(settings),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        said = process.stdout
        yield StandIn(path, lambda: dict(json.loads(said.readline())))
        process.stdin.close()
