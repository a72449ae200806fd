"""The program of a cluster that was started from JupyterLab's panel: `PYTHON -m benchtop_batch.dask.host`.

It runs in the Python of the person's notebooks, because a scheduler reads what they send, and workers run
it. (Upstream's panel has the scheduler in JupyterLab's own process, which cannot read what is of another
environment, and stands still while the scheduler works.)

It takes a request a line on standard input, answers a line on standard output, both JSON, and ends with its
cluster when standard input closes: whenever the session's server is gone.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

FAILED = 1
CLOSING = 8.0  # seconds for workers to be told


def describe(cluster: Any) -> dict[str, Any]:
    """What the panel shows of a cluster."""
    from dask.utils import format_bytes

    workers = list(cluster.scheduler_info["workers"].values())
    adaptive = getattr(cluster, "_adaptive", None)
    shown: dict[str, Any] = {
        "scheduler_address": cluster.scheduler_address,
        "dashboard_link": cluster.dashboard_link or "",
        "workers": len(workers),
        "memory": format_bytes(sum(worker["memory_limit"] for worker in workers)),
        "cores": sum(worker["nthreads"] for worker in workers),
        "trouble": getattr(cluster, "trouble", ""),
        "kind": type(cluster).__name__,
    }
    if adaptive is not None and adaptive.periodic_callback:
        shown["adapt"] = {"minimum": adaptive.minimum, "maximum": adaptive.maximum}
    return shown


async def scale(cluster: Any, count: int) -> None:
    """So many workers, and no more by themselves."""
    adaptive = getattr(cluster, "_adaptive", None)
    if adaptive is not None:
        adaptive.stop()
    await cluster.scale(count)


async def answer(cluster: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked; what the panel shows afterwards. Raises ValueError for what is none."""
    if request["do"] == "scale":
        await scale(cluster, int(request["workers"]))
    elif request["do"] == "adapt":
        cluster.adapt(minimum=int(request["minimum"]), maximum=int(request["maximum"]))
    elif request["do"] != "describe":
        raise ValueError(f"unknown request {request['do']!r}")
    return describe(cluster)


async def start() -> Any:
    """A cluster as the Dask configuration of this person says: labextension.factory, labextension.default."""
    import importlib

    import dask.config
    import dask_jobqueue  # noqa: F401 its hook

    factory = dask.config.get("labextension.factory", {})
    module = importlib.import_module(factory.get("module") or "benchtop_batch.dask")
    words = {name.replace("-", "_"): value for name, value in (factory.get("kwargs") or {}).items()}
    made = getattr(module, factory.get("class") or "BatchCluster")
    cluster = await made(*(factory.get("args") or ()), **words, asynchronous=True)
    wanted = dask.config.get("labextension.default", {}) or {}
    if wanted.get("adapt"):
        cluster.adapt(**wanted["adapt"])
    elif wanted.get("workers"):
        await cluster.scale(wanted["workers"])
    return cluster


async def serve(requests: asyncio.StreamReader, out: int) -> int:
    """Until nobody asks any more."""

    def say(**what: object) -> None:
        os.write(out, f"{json.dumps(what)}\n".encode())

    try:
        cluster = await start()
    except Exception as error:  # whatever a person has configured
        say(id=0, error=str(error) or repr(error))
        return FAILED
    try:
        say(id=0, answer=describe(cluster))
        while line := await requests.readline():
            request = json.loads(line)
            try:
                say(id=request["id"], answer=await answer(cluster, request))
            except Exception as error:
                say(id=request["id"], error=str(error) or repr(error))
    finally:
        await asyncio.wait_for(cluster.close(), CLOSING)
    return 0


async def main() -> int:
    """As a program: what libraries print goes to the session's log, beside the answers."""
    out = os.dup(1)
    os.dup2(2, 1)
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
    )
    return await serve(requests, out)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
