"""What the way through Apache and the proxy adds to each message of a kernel.

floor: the same cell of the same kernel by a websocket straight to the session's port
plain: the same, to a port where that session's server listens without TLS

One client on the session's node, all websockets in turn, TCP_NODELAY on all.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import requests

from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import compose
from figures import Figure, p95, until
from starts import PERSON
from support.hub import Hub

CELLS, WARM = 200, 20
SMALL: Mapping[str, Mapping[str, object]] = {
    "hpc": {"partition": "harvester", "runtime": 10},
    "htc": {"runtime": 10},
}
CONFIG = ".jupyter/jupyter_server_config.py"
PLAIN, PLAIN_PORT = "plain", 18889
# The server of the one session of that name is reached without TLS as well, from its own node
LISTENS_IN_PLAIN = f"""
import os
if os.environ.get("JUPYTERHUB_SERVER_NAME") == "{PLAIN}":
    from tornado.httpserver import HTTPServer
    add_socket = HTTPServer.add_socket
    def add_both(server, listening):
        add_socket(server, listening)
        HTTPServer(server.request_callback).listen({PLAIN_PORT}, "127.0.0.1")
    HTTPServer.add_socket = add_both
"""
# Runs on the node with the session's own Python. Stdin says what to do how often on which websockets, in
# turn, and what to trust. What can be done: a cell of a kernel, a key in a terminal, Enter there.
CLIENT = """
import asyncio, json, sys, time, uuid
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect
task = json.load(sys.stdin)

async def opened(what, url, headers):
    do = DO[what]
    checked = {"ca_certs": task["trust"], "validate_cert": "//127.0.0.1:" not in url}
    request = HTTPRequest(f"{url}?session_id={uuid.uuid4()}", headers=headers, **checked)
    line = await websocket_connect(request)
    line.protocol.set_nodelay(True)
    if do is not cell:  # a terminal begins with what it has shown before: what is new comes after a mark
        mark = uuid.uuid4().hex
        await typed(line, f"\\x15echo a''{mark}\\r", f"a{mark}")
        await typed(line, "#", "#")
    return do, line

async def cell(line):
    number = str(uuid.uuid4())
    header = {"msg_id": number, "msg_type": "execute_request", "version": "5.3"}
    header |= {"username": "", "session": number, "date": ""}
    content = {"code": "1", "silent": False, "store_history": False, "user_expressions": {}}
    content |= {"allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    sent = json.dumps(message | {"channel": "shell", "buffers": []})
    began = time.perf_counter()
    await line.write_message(sent)
    left = {"execute_reply", "idle"}
    while left:
        got = json.loads(await line.read_message())
        if got["parent_header"].get("msg_id") == number:
            left -= {got["msg_type"], got["content"].get("execution_state")}
    return 1000 * (time.perf_counter() - began)

async def typed(line, text, until):
    began = time.perf_counter()
    await line.write_message(json.dumps(["stdin", text]))
    shown = ""
    while until not in shown:
        kind, *content = json.loads(await line.read_message())
        shown += content[0] if kind == "stdout" else ""
    return 1000 * (time.perf_counter() - began)

async def key(line):
    return await typed(line, "x", "x")

async def enter(line):
    await typed(line, "\\x15#", "#")
    return await typed(line, "\\r", "$ ")

async def main():
    lines = [await opened(*one) for one in task["lines"]]
    taken = [[await do(line) for do, line in lines] for _ in range(task["times"] + task["warm"])]
    print(json.dumps(taken[task["warm"]:]))

DO = {"cell": cell, "key": key, "enter": enter}
asyncio.run(main())
"""


def measure(settings: Settings, own: Hub) -> list[Figure]:
    """The round trip of a trivial cell; `own` has a session that runs, on whose node another is started."""
    node, _ = stands_at(own)
    with configured(own, node, PLAIN, LISTENS_IN_PLAIN) as other:
        node, port = stands_at(other)
        token = own.api("POST", f"users/{PERSON}/tokens", {"expires_in": 600}).json()
        kernel = other.kernel()
        path = f"{other.lab.removeprefix(settings.url)}api/kernels/{kernel}/channels"
        cookies = own.browser.prepare_request(requests.Request("GET", settings.url + path)).headers["Cookie"]
        shown = {"Authorization": f"token {token['token']}"}
        lines: list[Line] = [
            ("cell", f"wss://{settings.name}:{settings.port}{path}", {"Cookie": cookies}),
            ("cell", f"wss://127.0.0.1:{port}{path}", shown),
            ("cell", f"ws://127.0.0.1:{PLAIN_PORT}{path}", shown),
        ]
        try:
            taken = in_turn(settings, node, lines, CELLS)
        finally:
            own.api("DELETE", f"users/{PERSON}/tokens/{token['id']}")
    front, floor, plain = zip(*taken, strict=True)
    above, of_tls = median(front) - median(floor), median(floor) - median(plain)
    return [
        Figure(
            f"cell → reply and idle through Apache and proxy, median of {CELLS}",
            milliseconds(front),
            milliseconds(floor),
        ),
        Figure("the same, above the floor", f"{above:.1f} ms", bar="≤ 2 ms", aim="0.5 ms"),
        Figure("TLS to the session: what it adds to the floor", f"{of_tls:.2f} ms", milliseconds(plain)),
    ]


@contextmanager
def configured(own: Hub, node: str, name: str, config: str) -> Iterator[Hub]:
    """Another session of the same person, which is `name` and reads this configuration of JupyterLab's."""
    other = replace(own, name=name)
    become = ("setpriv", f"--reuid={own.person}", "--regid=people", "--init-groups")
    as_person = ("exec", "-T", node, *become, "env", f"HOME=/home/{own.person}", "sh", "-c")
    # -C: what is there already is the person's own, and stays
    write = f"cd && mkdir -p .jupyter && set -C && cat >{CONFIG}"
    compose.run(own.settings, *as_person, write, input=config.encode())
    try:
        other.start(**SMALL[own.cluster]).raise_for_status()
        until(other.ready, f"the session {name}")
        other.open().raise_for_status()
        yield other
    finally:
        compose.run(own.settings, *as_person, f"rm ~/{CONFIG}")
        other.forget()
        until(lambda: other.server() is None, "the end of the other session")


Line = tuple[str, str, dict[str, str]]  # what is done, on which address, with which headers


def in_turn(
    settings: Settings, node: str, lines: Sequence[Line], times: int, *, warm: int = WARM
) -> list[list[float]]:
    """Milliseconds of each on the node; `warm` turns before are not counted."""
    task = {"times": times, "warm": warm, "trust": "/etc/benchtop/trust/bundle.pem", "lines": lines}
    words = ("exec", "-T", node, "/opt/lab/bin/python", "-c", CLIENT)
    taken: list[list[float]] = json.loads(
        compose.run(settings, *words, input=json.dumps(task).encode()).stdout
    )
    return taken


def stands_at(own: Hub) -> tuple[str, str]:
    """The node and the port of a session, by what the hub's log says first since its start began."""
    since = str((own.server() or {})["started"])
    lines = compose.log_text(own.settings, "--no-log-prefix", "--since", since, own.cell)
    found = re.findall(rf"session started user={own.person} .* at=([^:\s]+):(\d+)", "\n".join(lines))
    if not found:
        raise Problem(f"The log of {own.cell} does not say where the session of {own.person} runs.")
    node, port = found[0]
    return node, port


def milliseconds(values: Sequence[float]) -> str:
    """The median and the 95th percentile."""
    return f"{median(values):.1f} ms (p95 {p95(values):.1f})"
