"""What a session does with its connections."""

import asyncio
import socket

import pytest
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from benchtop_lab.session import start


class Asked(WebSocketHandler):
    """Says whether its own connection sends at once."""

    def on_message(self, message: str | bytes) -> None:
        """Any message is the question."""
        stream = self.ws_connection.stream  # type: ignore[union-attr]
        self.write_message(str(stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))


@pytest.mark.parametrize(("mended", "said"), [(True, "1"), (False, "0")])
def test_a_websocket_sends_at_once_which_upstream_unsets(
    monkeypatch: pytest.MonkeyPatch, mended: bool, said: str
):
    monkeypatch.setattr(IOStream, "set_nodelay", IOStream.set_nodelay)  # put back afterwards
    if mended:
        start.send_at_once()

    async def ask() -> str | bytes | None:
        listening = start.listen("127.0.0.1")
        server = HTTPServer(Application([("/", Asked)]))
        server.add_socket(listening)
        line = await websocket_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/")
        await line.write_message("?")
        answer = await line.read_message()
        line.close()
        server.stop()
        return answer

    assert asyncio.run(ask()) == said
