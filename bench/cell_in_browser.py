"""What a person feels: a trivial cell, and a key in a terminal, in Chromium through the front door.

floor: the same by a websocket straight to the session's port, on its node
stock: the same in Chromium, by a session whose server sends as tornado does by itself: with every message
       but the first of an answer held back until the one before is acknowledged (Nagle), for up to 40 ms

Chromium has all of them on one page and takes them in turn; between blocks of these, the floor is measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

from playwright.sync_api import Page, expect, sync_playwright

from benchtop import testing
from benchtop.settings import Settings
from figures import Figure, Table
from round_trip import Line, configured, in_turn, milliseconds, stands_at
from support import pages
from support.hub import Hub

BLOCKS, TIMES, WARM = 3, 40, 20  # TIMES and WARM in each block
WHAT = {
    "cell": "a cell: execute → reply and idle",
    "key": "a key in a terminal → its echo",
    "enter": "Enter in a terminal → the next prompt",
}
STOCK = "stock"
DELAYED = 40  # ms: as long the other side may hold an acknowledgement back; it does not always
# Takes back what lab/benchtop_lab/session/start.py changed, in the one session that is to be without it
AS_TORNADO_DOES = f"""
import os
if os.environ.get("JUPYTERHUB_SERVER_NAME") == "{STOCK}":
    import socket
    from tornado.iostream import IOStream
    def set_nodelay(stream, value):
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(value))
    IOStream.set_nodelay = set_nodelay
"""
# In the page: does what round_trip.CLIENT does on the node.
CLIENT = """
async ({lines, times, warm}) => {
  const heard = new Map();
  const turn = (socket, sent, over) => new Promise((done) => {
    const began = performance.now();
    heard.set(socket, (got) => { if (over(got)) done(performance.now() - began); });
    socket.send(JSON.stringify(sent));
  });
  const cell = (socket) => {
    const number = crypto.randomUUID();
    const header = {msg_id: number, msg_type: "execute_request", version: "5.3", username: "",
                    session: number, date: ""};
    const content = {code: "1", silent: false, store_history: false, user_expressions: {},
                     allow_stdin: false, stop_on_error: true};
    const sent = {header, parent_header: {}, metadata: {}, content, channel: "shell", buffers: []};
    const left = new Set(["execute_reply", "idle"]);
    return turn(socket, sent, (got) => {
      if (got.parent_header.msg_id === number) {
        left.delete(got.msg_type);
        left.delete(got.content.execution_state);
      }
      return left.size === 0;
    });
  };
  const typed = (socket, text, until) => {
    let shown = "";
    return turn(socket, ["stdin", text], ([kind, said]) => {
      shown += kind === "stdout" ? said : "";
      return shown.includes(until);
    });
  };
  const does = {
    cell,
    key: (socket) => typed(socket, "x", "x"),
    enter: async (socket) => {
      await typed(socket, "\\x15#", "#");
      return await typed(socket, "\\r", "$ ");
    },
  };
  const opened = async ([what, url]) => {
    const socket = new WebSocket(`${url}?session_id=${crypto.randomUUID()}`);
    await new Promise((good, bad) => {
      socket.onopen = good;
      socket.onerror = () => bad(new Error("the websocket is refused"));
    });
    socket.onmessage = (event) => heard.get(socket)?.(JSON.parse(event.data));
    if (what !== "cell") {  // a terminal begins with what it has shown before: what is new comes after a mark
      const mark = crypto.randomUUID();
      await typed(socket, `\\x15echo a''${mark}\\r`, `a${mark}`);
      await typed(socket, "#", "#");
    }
    return [does[what], socket];
  };
  const sockets = await Promise.all(lines.map(opened));
  const taken = [];
  for (let number = 0; number < times + warm; number++) {
    const row = [];
    for (const [does, socket] of sockets) row.push(await does(socket));
    taken.push(row);
  }
  for (const [, socket] of sockets) socket.close();
  return taken.slice(warm);
}
"""


def measure(settings: Settings, own: Hub) -> list[Figure | Table]:
    """Cells and keys; `own` has a session that runs, and was opened."""
    node, port = stands_at(own)
    token = own.api("POST", f"users/{own.person}/tokens", {"expires_in": 1200}).json()
    paths = begin(own)
    header = {"Authorization": f"token {token['token']}"}
    straight: list[Line] = [(what, f"wss://127.0.0.1:{port}{path}", header) for what, path in paths.items()]
    rows: list[list[float]] = []
    floors: list[list[float]] = []
    try:
        with configured(own, node, STOCK, AS_TORNADO_DOES) as other, page(settings, own, other) as tab:
            front = address(settings, paths) + address(settings, begin(other))
            for _ in range(BLOCKS):
                rows += tab.evaluate(CLIENT, {"lines": front, "times": TIMES, "warm": WARM})
                floors += in_turn(settings, node, straight, TIMES, warm=WARM)
    finally:
        own.api("DELETE", f"users/{own.person}/tokens/{token['id']}")
    return figures(rows, floors)


def figures(rows: list[list[float]], floors: list[list[float]]) -> list[Figure | Table]:
    """The figure that has a bar, and all of them."""
    columns = list(zip(*rows, strict=True))
    ours, others = columns[: len(WHAT)], columns[len(WHAT) :]
    straight = list(zip(*floors, strict=True))
    lines = tuple(
        (what, *(f"{milliseconds(column[n])}, {late(column[n])}" for column in (ours, others, straight)))
        for n, what in enumerate(WHAT.values())
    )
    title = f"In Chromium, through the front door: a session, and a stock one; late: {DELAYED} ms and more"
    return [
        Figure(
            f"execute → idle of a trivial cell in Chromium, median of {len(rows)}",
            f"{median(ours[0]):.1f} ms",
            f"{median(straight[0]):.1f} ms",
            bar="≤ 12 ms",
            aim="7 ms",
        ),
        Table(title, ("what", "a session", "stock", "floor: straight to the session"), lines),
    ]


def late(values: Sequence[float]) -> str:
    """How many waited for an acknowledgement."""
    return f"{sum(value >= DELAYED for value in values)} late"


def begin(own: Hub) -> dict[str, str]:
    """Start a kernel and two terminals; the paths of their websockets, by what is done there."""
    kernel = f"api/kernels/{own.kernel()}/channels"
    terminals = [own.jupyter("POST", "terminals").json()["name"] for _ in range(2)]
    root = own.lab.removeprefix(own.settings.url)
    paths = (kernel, *(f"terminals/websocket/{name}" for name in terminals))
    return {what: root + path for what, path in zip(WHAT, paths, strict=True)}


def address(settings: Settings, paths: Mapping[str, str]) -> list[tuple[str, str]]:
    """The same by the front door."""
    return [(what, f"wss://{settings.name}:{settings.port}{path}") for what, path in paths.items()]


@contextmanager
def page(settings: Settings, *sessions: Hub) -> Iterator[Page]:
    """JupyterLab in Chromium, that of the first session, with the cookies of all of them."""
    expect.set_options(timeout=20_000)  # as the tests have it
    with sync_playwright() as playwright:
        chromium = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{testing.choose_port(settings)}")
        context = chromium.new_context()
        try:
            tab = context.new_page()
            pages.log_in(tab, settings, sessions[0].person)
            for one in reversed(sessions):
                tab.goto(f"{one.lab}lab")  # that is where a session's cookies come from
                pages.wait_for_lab(tab)
            yield tab
        finally:
            context.close()
