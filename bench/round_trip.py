"""What the way through Apache and the proxy adds to each message of a kernel.

floor: the same cell of the same kernel by a websocket straight to the session's port

One client on the session's node, both websockets in turn, TCP_NODELAY on both.
"""

import json
from statistics import median

import requests

from benchtop import compose
from benchtop.console import Problem
from benchtop.hubs import Hub
from benchtop.settings import Settings
from figures import Figure, p95
from starts import COURSES, PERSON

CELLS = 200
# Runs on the node with the session's own Python: stdin says which kernel, how to get in, and what to trust.
CLIENT = """
import asyncio, json, sys, time, uuid
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect
told = json.load(sys.stdin)

async def opened(url, headers):
    request = HTTPRequest(f"{url}?session_id={uuid.uuid4()}", headers=headers, ca_certs=told["trust"])
    line = await websocket_connect(request)
    line.protocol.set_nodelay(True)
    return line

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

async def main():
    lines = [await opened(*one) for one in (told["through"], told["straight"])]
    taken = [[await cell(line) for line in lines] for _ in range(told["cells"] + 20)]
    print(json.dumps(taken[20:]))  # the first ones warm up

asyncio.run(main())
"""
# On which port of the node does this person listen? A session's kernels use no port.
PORT = """
import pwd, sys
uid = str(pwd.getpwnam(sys.argv[1]).pw_uid)
rows = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
print(*{int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[7] == uid})
"""


def measure(settings: Settings, own: Hub) -> list[Figure]:
    """The round trip of a trivial cell; `own` has a session that runs, and was opened."""
    node = COURSES[own.cluster].node
    token = own.api("POST", f"users/{PERSON}/tokens", {"expires_in": 600}).json()
    kernel = own.kernel()
    ports = compose.run(settings, "exec", "-T", node, "python3", "-c", PORT, PERSON).stdout.decode().split()
    if len(ports) != 1:
        raise Problem(f"{PERSON} listens on {len(ports)} ports of {node}: one session should.")
    path = f"{own.lab.removeprefix(settings.url)}api/kernels/{kernel}/channels"
    cookies = own.browser.prepare_request(requests.Request("GET", settings.url + path)).headers["Cookie"]
    told = {
        "cells": CELLS,
        "trust": "/etc/benchtop/trust/bundle.pem",
        "through": [f"wss://{settings.name}:{settings.port}{path}", {"Cookie": cookies}],
        "straight": [f"ws://127.0.0.1:{ports[0]}{path}", {"Authorization": f"token {token['token']}"}],
    }
    try:
        done = compose.run(
            settings, "exec", "-T", node, "/opt/lab/bin/python", "-c", CLIENT, input=json.dumps(told).encode()
        )
    finally:
        own.jupyter("DELETE", f"kernels/{kernel}")
        own.api("DELETE", f"users/{PERSON}/tokens/{token['id']}")
    through, straight = zip(*json.loads(done.stdout), strict=True)
    above = median(through) - median(straight)
    return [
        Figure(
            f"cell → reply and idle through Apache and proxy, median of {CELLS}",
            milliseconds(through),
            milliseconds(straight),
        ),
        Figure("the same, above the floor", f"{above:.1f} ms", bar="≤ 5 ms", aim="2 ms"),
    ]


def milliseconds(values: tuple[float, ...]) -> str:
    """The median and the 95th percentile."""
    return f"{median(values):.1f} ms (p95 {p95(values):.1f})"
