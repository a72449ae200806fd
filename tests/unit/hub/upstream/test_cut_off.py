"""A connection that the other end puts down as it is used again costs nobody a start."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from jupyterhub.httpclient import JupyterHubHTTPClient
from traitlets.config import Config

from benchtop_hub.access.minter import KEEP, TIMEOUT, Minter, Refused, Unavailable
from benchtop_hub.upstream.proxy import Proxy
from benchtop_minter.service import PATIENCE

TOKEN = {"token": "alices", "expires": 2000}


@dataclass
class Server:
    """Answers so many times on each connection, and puts it down at the next request."""

    answers: int = 1
    status: str = "200 OK"
    says: dict[str, object] = field(default_factory=lambda: dict(TOKEN))
    connections: int = 0
    put_down: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            for left in range(self.answers, -1, -1):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0] or 0))
                if not left:
                    self.put_down += 1
                    break
                body = json.dumps(self.says)
                kind = "Content-Type: application/json"
                writer.write(
                    f"HTTP/1.1 {self.status}\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
                )
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


class Plain(Minter):
    """A minter's client, without TLS."""

    def _client(self, **how: object) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(**how), timeout=TIMEOUT)


def at(server: Server, use: Callable[[str], Awaitable[None]]) -> None:
    """Use a server that listens meanwhile."""

    async def meanwhile() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        async with listening:
            await use(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    asyncio.run(meanwhile())


def test_a_minter_that_puts_idle_connections_down_is_asked_again_at_once():
    server = Server()

    async def use(url: str) -> None:
        minter = Plain(url, Path("/nowhere"), clock=lambda: 1000.0)
        for _ in range(4):
            await asyncio.wait_for(minter.renew("alice"), 1)
        assert await minter.token("alice") == "alices"
        await minter._kept.close()

    at(server, use)
    assert server.put_down, "the control: connections were used again"


def test_one_that_puts_new_connections_down_too_does_not_answer():
    server = Server(answers=0)

    async def use(url: str) -> None:
        minter = Plain(url, Path("/nowhere"))
        with pytest.raises(Unavailable, match="ServerDisconnectedError") as caught:
            await minter.token("alice")
        assert caught.value.who.startswith("The service that grants access")
        await minter._kept.close()

    at(server, use)
    assert server.connections == 2, "asked twice, and no more"


@pytest.mark.parametrize(
    ("status", "raised", "who"),
    [
        ("403 Forbidden", Refused, None),
        ("503 Service Unavailable", Unavailable, "The facility's directory"),
        ("500 Internal Server Error", Unavailable, "The service that grants access to the cluster"),
    ],
)
def test_what_a_minter_says_is_asked_once_and_tells_who_is_silent(status, raised, who):
    server = Server(status=status, says={"error": "No."})

    async def use(url: str) -> None:
        minter = Plain(url, Path("/nowhere"))
        with pytest.raises(raised, match=r"^No") as caught:
            await minter.token("alice")
        assert getattr(caught.value, "who", None) == who
        await minter._kept.close()

    at(server, use)
    assert (server.connections, server.put_down) == (1, 0)


def test_a_hub_keeps_an_idle_connection_for_less_time_than_the_minter():
    assert KEEP < PATIENCE


def configured() -> Config:
    """What the hub's configuration says of its client: read, not run, as it wants the secrets of a cell."""
    text = (Path(__file__).parents[4] / "hub/jupyterhub_config.py").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("c.JupyterHubHTTPClient.")]
    c = Config()
    exec(line, {"c": c})  # noqa: S102 our own
    return c


@pytest.mark.parametrize("config", [configured(), Config()], ids=["ours", "upstream's"])
def test_a_route_is_added_at_once_whatever_the_proxy_has_closed(config: Config):
    server = Server(answers=1, says={})

    async def use(url: str) -> None:
        JupyterHubHTTPClient.clear_instance()
        client = JupyterHubHTTPClient.instance(config=config)
        proxy = Proxy(api_url=url, auth_token="x", should_start=False)
        for name in ("alice", "bob", "carol"):
            await proxy.add_route(f"/user/{name}/", "http://node:1", {})
        await client.close()

    at(server, use)
    assert bool(server.put_down) == (not config), "the control: upstream's client meets a closed one"
