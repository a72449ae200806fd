"""Whose connection to the egress proxy one is: the node says it, and nobody else can."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import image_programs
from support.wait import wait_until

vouch, who_asks, entrypoint = (
    image_programs.load(path) for path in ("node/vouch", "egress/who-asks", "egress/entrypoint")
)
KEY = b"k" * 32
HERE, PROXY = "10.213.5.6", "10.213.5.2"
ROW = (
    "  {n}: {here}:{port:04X} {there}:{to:04X} {state} 00000000:00000000 00:00000000 00000000  {uid}  0 123 1"
)


def row(
    uid: int,
    port: int,
    *,
    here: str = HERE,
    there: str = PROXY,
    to: int = 3128,
    state: str = "01",
    six: bool = False,
) -> str:
    """A line of /proc/net/tcp."""
    mine, its = (vouch.written(address)[six] for address in (here, there))
    return ROW.format(n=port, here=mine, there=its, port=port, to=to, state=state, uid=uid)


def test_the_owner_of_a_connection_to_the_proxy_is_found_in_the_kernels_table():
    lines = [row(2001, 40001), row(2002, 40002), row(2003, 40003, six=True)]
    assert vouch.owners(lines, HERE, PROXY) == {40001: 2001, 40002: 2002, 40003: 2003}


@pytest.mark.parametrize(
    "other",
    [{"here": "10.213.7.7"}, {"there": "10.213.5.3"}, {"to": 3130}, {"state": "06"}, {"state": "0A"}],
)
def test_no_other_connection_counts(other: dict[str, str]):
    assert vouch.owners([row(2001, 40001, **other)], HERE, PROXY) == {}  # type: ignore[arg-type]
    assert vouch.owners(["odd", ""], HERE, PROXY) == {}


def test_an_answer_names_a_person_and_nobody_else(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vouch, "names", {0: "-", 33: "-", 2001: "alice"})
    said = vouch.answers(["1 40001", "2 40002", "3 40003", "4 x"], {40001: 2001, 40002: 0, 40003: 33})
    assert said == "1 alice\n2 -\n3 -\n4 -\n"


def test_who_has_too_many_connections_is_marked_and_only_they(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vouch, "names", {2001: "alice", 2002: "bob"})
    found = dict.fromkeys(range(40000, 40000 + vouch.MOST + 1), 2001) | {50000: 2002}
    assert vouch.answers(["1 40000", "2 50000"], found) == "1 alice!\n2 bob\n"


def test_root_and_daemons_have_no_name_here():
    assert vouch.name_of(0) == "-"
    assert vouch.name_of(64030) == "-"


# ---- the desk --------------------------------------------------------------------------------------


async def answered(desk: object, *questions: tuple[str, str]) -> list[str]:
    """What squid would read."""
    reading, writing = os.pipe()
    kept = os.dup(1)
    os.dup2(writing, 1)
    try:
        await asyncio.gather(*(desk.answer(str(n), *one) for n, one in enumerate(questions)))  # type: ignore[attr-defined]
    finally:
        os.dup2(kept, 1)
        os.close(writing)
        os.close(kept)
    with os.fdopen(reading) as said:
        return said.read().splitlines()


class Node:
    """What a node does, for ports that are given."""

    def __init__(self, port: int, owners: dict[str, str], key: bytes = KEY) -> None:
        self._port, self._owners, self._key = port, owners, key

    async def __aenter__(self) -> "Node":
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        nonce = (await reader.readline()).decode().strip()
        self._writer.write(vouch.proof(self._key, nonce).lower().encode())
        self._work = asyncio.create_task(self._answer(reader))
        return self

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        while line := (await reader.readline()).decode():
            number, port = line.split()
            self._writer.write(f"{number} {self._owners.get(port, '-')}\n".encode())

    async def __aexit__(self, *_: object) -> None:
        self._work.cancel()
        self._writer.close()


def at_the_desk(owners: dict[str, str], *questions: tuple[str, str], key: bytes = KEY) -> list[str]:
    """What is said of these (address, port) when one node, at 127.0.0.1, knows these owners."""

    async def run() -> list[str]:
        desk = who_asks.Desk([b"o" * 32, KEY])
        server = await asyncio.start_server(desk.meet, "127.0.0.1", 0)
        async with server, Node(server.sockets[0].getsockname()[1], owners, key):
            for _ in range(100):
                if desk._nodes or key != KEY:
                    break
                await asyncio.sleep(0.01)
            return sorted(await answered(desk, *questions))

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def nodes_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine is called."""
    monkeypatch.setattr(vouch.os, "uname", lambda: type("Uname", (), {"nodename": "gpu-1"}))


def test_a_node_says_whose_connection_one_is():
    assert at_the_desk({"40001": "alice"}, ("127.0.0.1", "40001")) == ["0 OK user=alice log=gpu-1"]


def test_what_it_does_not_know_is_nobodys():
    questions = [("127.0.0.1", "40002"), ("127.0.0.1", ""), ("127.0.0.1", "x")]
    assert at_the_desk({"40001": "alice"}, *questions) == [f"{n} ERR log=gpu-1" for n in range(3)]


def test_a_node_answers_for_its_own_address_alone():
    assert at_the_desk({"40001": "alice"}, ("127.0.0.2", "40001")) == ["0 ERR log=-"]


def test_who_has_another_key_is_no_node():
    assert at_the_desk({"40001": "alice"}, ("127.0.0.1", "40001"), key=b"x" * 32) == ["0 ERR log=-"]


@pytest.mark.parametrize("name", ["alice user=bob", "Alice", "a" * 40, "", "-"])
def test_an_odd_name_is_nobodys(name: str):
    assert at_the_desk({"40001": name or "-"}, ("127.0.0.1", "40001")) == ["0 ERR log=gpu-1"]


def test_who_has_too_many_is_held_back_and_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(who_asks, "HELD_BACK", 0)
    assert at_the_desk({"40001": "alice!"}, ("127.0.0.1", "40001")) == [
        "0 ERR user=alice log=gpu-1 flood=yes"
    ]


# ---- what is the machine's -----------------------------------------------------------------------


def test_an_exception_is_for_one_host_and_one_port():
    rules = entrypoint.own([("index.corp.example", 8443), ("10.1.2.3", 81)]).splitlines()
    assert rules == [
        "acl own_0 dstdomain -n index.corp.example",
        "acl own_port_0 port 8443",
        "http_access allow own_0 own_port_0",
        "acl own_1 dst 10.1.2.3",
        "acl own_port_1 port 81",
        "http_access allow own_1 own_port_1",
    ]


@pytest.mark.parametrize("host", ["a b", "a\nhttp_access allow all", '"file"', "", "-n"])
def test_what_is_no_host_is_no_rule(host: str):
    with pytest.raises(SystemExit):
        entrypoint.own([(host, 443)])


def test_the_machines_own_proxy_is_used_for_all_but_what_needs_none():
    found = {
        "host": "proxy.corp.example",
        "port": 8080,
        "login": "me:s%40crt",
        "tls": False,
        "direct": [".corp.example", "a b"],
    }
    rules = entrypoint.upstream(found).splitlines()
    assert (
        rules[0] == "cache_peer proxy.corp.example parent 8080 0 no-query no-digest default login=me:s%40crt"
    )
    assert rules[1] == "acl direct dstdomain -n .corp.example"
    assert "never_direct allow all" in rules
    assert entrypoint.upstream(None) == ""


# ---- switched off ----------------------------------------------------------------------------------


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What answers in the proxy's place, at this port."""
    file = tmp_path / "refusal"
    file.write_text("The internet is switched off here: ask support@benchtop.example.\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    monkeypatch.setattr(vouch, "REFUSAL", str(file))
    monkeypatch.setattr(vouch, "HERE", ("127.0.0.1", port))
    monkeypatch.setattr(vouch, "EVERY", 0.05)
    working = threading.Thread(target=vouch.refuse)
    working.start()
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, timeout=10, what="it to listen")
    yield port
    file.unlink()
    working.join(timeout=10)
    assert not working.is_alive(), "it ends when the proxy is there again"


def test_where_it_is_switched_off_pip_says_so_at_once(refusal: int):
    words = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--isolated",
        "--no-deps",
        "--retries=1",
        "no-such-package",
    ]
    words += ["--index-url=https://index.invalid/simple", f"--proxy=http://127.0.0.1:{refusal}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "403 The internet is switched off here: ask support@benchtop.example." in done.stderr


def test_somebody_silent_keeps_nobody_from_that_answer(refusal: int):
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", refusal), 10)) for _ in range(50)
        ]
        with socket.create_connection(("127.0.0.1", refusal), timeout=10) as asking:
            asking.sendall(b"GET http://index.invalid/ HTTP/1.1\r\n\r\n")
            assert asking.recv(4096).startswith(b"HTTP/1.1 403 The internet is switched off here")
        assert len(silent) == 50
