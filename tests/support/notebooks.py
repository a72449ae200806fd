"""Run cells and whole notebooks in a session, by the kernel that they name, as JupyterLab does."""

import asyncio
import base64
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support import traffic
from support.hub import Hub
from support.wait import outcome

PATIENCE = 300  # seconds for one cell: what it imports is read from the disk, on a busy machine


@dataclass(frozen=True)
class Shown:
    """What a cell shows: what it prints on its standard output, its pictures (PNG), and all else as text."""

    stdout: str
    pictures: tuple[bytes, ...]
    texts: tuple[str, ...] = ()  # one that is changed is here as it was at first, and after each change


def run_notebook(own: Hub, file: Path) -> list[Shown]:
    """What each cell of code shows. Fails with the first cell that raises."""
    document = json.loads(file.read_text())
    cells = ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]
    return run_cells(own, document["metadata"]["kernelspec"]["name"], cells)


def run_cells(own: Hub, name: str, cells: Iterable[str]) -> list[Shown]:
    """What each shows, in a new kernel of this name that ends afterwards."""
    kernel = own.kernel(name)
    try:
        return outcome(_run(own, kernel, cells))
    finally:
        own.jupyter("DELETE", f"kernels/{kernel}")


async def _run(own: Hub, kernel: str, cells: Iterable[str]) -> list[Shown]:
    line = await traffic.connect(own, f"api/kernels/{kernel}/channels?session_id={kernel}")
    shown = []
    try:
        for cell in cells:
            sent = traffic.execute_request(cell)
            await line.write_message(json.dumps(sent))
            stdout, pictures, texts, states = "", [], [], set[str]()
            end = time.monotonic() + PATIENCE
            while not {"reply", "idle"} <= states:
                raw = await asyncio.wait_for(line.read_message(), end - time.monotonic())
                assert raw is not None, f"the websocket was cut: {cell}"
                got = json.loads(raw)
                if got["parent_header"].get("msg_id") != sent["header"]["msg_id"]:
                    continue
                content = got["content"]
                assert got["msg_type"] != "error", f"{cell}\n{content['evalue']}"
                if got["msg_type"] == "stream" and content["name"] == "stdout":
                    stdout += content["text"]
                elif got["msg_type"] == "display_data" and "image/png" in content["data"]:
                    pictures.append(base64.b64decode(content["data"]["image/png"]))
                elif got["msg_type"] in {"display_data", "update_display_data"}:
                    texts.append(content["data"].get("text/plain", ""))
                elif got["msg_type"] == "execute_reply":
                    states.add("reply")
                elif content.get("execution_state") == "idle":
                    states.add("idle")
            shown.append(Shown(stdout.strip(), tuple(pictures), tuple(texts)))
    finally:
        line.close()
    return shown
