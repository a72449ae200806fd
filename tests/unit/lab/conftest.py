"""A hub that listens to what sessions say."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class ListeningHub(ThreadingHTTPServer):
    """Takes every report: path, who says it, and what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, str, object]] = []

    @property
    def environment(self) -> dict[str, str]:
        """Of a session of this hub."""
        address = f"http://127.0.0.1:{self.server_port}/hub/api"
        return {"JUPYTERHUB_API_URL": address, "JUPYTERHUB_API_TOKEN": "its-own-token"}


class _Handler(BaseHTTPRequestHandler):
    server: ListeningHub

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, self.headers["Authorization"], said))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def listening_hub() -> Iterator[ListeningHub]:
    with ListeningHub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()
