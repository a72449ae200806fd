"""Kernel traffic, as a notebook makes it: cells by a websocket through the front door, each one counted.

Each cell adds one to a variable of the kernel and prints it. An answer with the next number proves that it
is the same kernel and that nothing was lost or done twice.
"""

import asyncio
import json
import threading
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import requests
from tornado.httpclient import HTTPRequest
from tornado.netutil import DefaultExecutorResolver, OverrideResolver
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from support.hub import Hub
from support.wait import outcome, wait_until

PATIENCE = 15  # seconds for the answer of one cell of somebody at work; what takes longer counts as failed
CELL = 60  # … and of one that a test runs for itself, on a busy machine
RECONNECT = 0.2  # seconds between attempts to get the websocket back, as it is cut
PAUSE = 0.05  # seconds between cells: as busy as a notebook gets, and the machine stays usable
LARGEST = 1 << 30  # bytes of a message that comes back: a browser has no limit
CUT = (OSError, WebSocketError, EOFError)


class Traffic:
    """Runs cells in a thread of its own, from entering the block until leaving it.

    answered: cells whose answer was right
    failed:   what became of each of the others
    cuts:     how often the websocket ended and had to be opened again
    """

    def __init__(self, hub: Hub, kernel: str = "") -> None:
        self.hub = hub
        self.kernel = kernel or hub.kernel()
        self.answered = self.cuts = 0
        self.failed: list[str] = []
        self._number = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        """Start, and wait until the first cells are answered."""
        self._thread.start()
        self.goes_on(cells=3, timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End after the cell that is under way."""
        self._over.set()
        self._thread.join(timeout=2 * PATIENCE)

    def goes_on(self, *, timeout: float, cells: int = 20) -> None:
        """Wait until so many more cells are answered."""
        target = self.answered + cells
        wait_until(lambda: Progress(self, target), timeout=timeout, what=f"{cells} more cells to be answered")

    def __repr__(self) -> str:
        return f"{self.answered} answered, {self.cuts} cuts, failed: {self.failed[-3:]}"

    async def _run(self) -> None:
        """One websocket after the other."""
        while not self._over.is_set():
            try:
                line = await self._open()
            except Exception:  # refused: by a proxy that is not there, or that has no route yet
                await asyncio.sleep(RECONNECT)
                continue
            try:
                await self._cells(line)
            except CUT:
                self.cuts += 1
            finally:
                line.close()

    async def _open(self) -> WebSocketClientConnection:
        line = await connect(self.hub, f"api/kernels/{self.kernel}/channels?session_id={uuid.uuid4()}")
        # what ran while the line was cut is known to the kernel alone
        self._number = int(await self._execute(line, "n = globals().get('n', 0); print(n)"))
        return line

    async def _cells(self, line: WebSocketClientConnection) -> None:
        while not self._over.is_set():
            said = await self._execute(line, "n += 1; print(n)")
            self._number += 1
            if said != str(self._number):
                self.failed.append(f"the kernel says {said!r} instead of {self._number}")
                self._number = int(said or 0)
            else:
                self.answered += 1
            await asyncio.sleep(PAUSE)

    async def _execute(self, line: WebSocketClientConnection, code: str, patience: float = PATIENCE) -> str:
        """What a cell prints. Raises one of CUT when the websocket ends, or stays silent for `patience` s."""
        sent = execute_request(code)
        number = sent["header"]["msg_id"]
        await line.write_message(json.dumps(sent))
        printed, replied, idle = "", False, False
        end = time.monotonic() + patience
        while not (replied and idle):
            try:
                raw = await asyncio.wait_for(line.read_message(), end - time.monotonic())
            except TimeoutError:
                self.failed.append(f"no answer in {patience} s: {code[:99]}")
                raise EOFError(self.failed[-1]) from None
            if raw is None:
                if not self._over.is_set():
                    self.failed.append(f"cut: {code[:99]}")
                raise EOFError(f"the websocket ended before the answer: {code[:99]}")
            got = json.loads(raw)
            if got["parent_header"].get("msg_id") != number:
                continue
            printed += got["content"].get("text", "") if got["msg_type"] == "stream" else ""
            replied = replied or got["msg_type"] == "execute_reply"
            idle = idle or got["content"].get("execution_state") == "idle"
        return printed.strip()


async def connect(hub: Hub, path: str) -> WebSocketClientConnection:
    """A websocket of the session, through the front door."""
    settings = hub.settings
    url = f"{hub.lab}{path}"
    cookies = hub.browser.prepare_request(requests.Request("GET", url)).headers["Cookie"]
    request = HTTPRequest(
        url.replace("https:", "wss:", 1),
        headers={"Cookie": cookies, "Origin": settings.url},
        ca_certs=str(settings.state / "ca" / "ca.pem"),
        connect_timeout=20,
    )
    resolver = OverrideResolver(DefaultExecutorResolver(), {settings.name: settings.bind})
    return await websocket_connect(request, resolver=resolver, max_message_size=LARGEST)


def run(hub: Hub, kernel: str, code: str, patience: float = CELL) -> str:
    """What one cell prints within so many seconds. Raises one of CUT when the session ends meanwhile."""

    async def once() -> str:
        traffic = Traffic(hub, kernel)
        line = await traffic._open()
        try:
            return await traffic._execute(line, code, patience)
        finally:
            line.close()

    return outcome(once())


def type_into_terminal(hub: Hub, *lines: str) -> str:
    """What a new terminal of JupyterLab shows until the last line, which ends it, has been run.

    Raises one of CUT when it ends before.
    """
    name = hub.jupyter("POST", "terminals").json()["name"]

    async def once() -> str:
        line = await connect(hub, f"terminals/websocket/{name}")
        try:
            return await _shown(line, [*lines, f"echo {END}''"])
        finally:
            line.close()

    try:
        return outcome(once())
    finally:
        hub.jupyter("DELETE", f"terminals/{name}")


END = "that is-all"  # as it is typed, there are two quotes behind it


async def _shown(line: WebSocketClientConnection, lines: list[str]) -> str:
    shown = ""
    for typed in lines:
        await line.write_message(json.dumps(["stdin", f"{typed}\r"]))
    end = time.monotonic() + 4 * PATIENCE
    while f"{END}\r" not in shown:
        raw = await asyncio.wait_for(line.read_message(), end - time.monotonic())
        if raw is None:
            raise EOFError
        kind, *said = json.loads(raw)
        shown += said[0] if kind == "stdout" else ""
    return shown


@dataclass(frozen=True)
class Progress:
    """True when so many cells are answered; shows all that is known when they are not."""

    traffic: Traffic
    target: int

    def __bool__(self) -> bool:
        return self.traffic.answered >= self.target


def execute_request(code: str) -> dict[str, Any]:
    """As jupyter-client.readthedocs.io/en/stable/messaging.html has it."""
    header = {"msg_id": str(uuid.uuid4()), "msg_type": "execute_request", "version": "5.3"}
    header |= {"username": "", "session": str(uuid.uuid4()), "date": ""}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}}
    content |= {"allow_stdin": False, "stop_on_error": True}
    return {
        "header": header, "parent_header": {}, "metadata": {}, "content": content,
        "channel": "shell", "buffers": [],
    }  # fmt: skip
