"""Start the gateway.

CLUSTERS     whose cells may ask, separated by commas (required)
KEYS         the folder of its keys; /keys when not given
PLACES       how many sessions there may be at once, of all cells together
ROOM         MB of memory that they may have together
MEMORY       MB that one may ask for at most
CPUS         CPUs that one may ask for at most
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from benchtop_minter import directory

from .creation import MEBIBYTE, Judge, Limits, Room
from .engine import Engine
from .images import Images
from .service import Gateway, serve
from .ways import Ways

PORT = 8700
HEALTH_PORT = 8701  # on loopback only
SOCKET = Path("/run/engine-api/api.sock")
LIST = Path("/etc/benchtop/engine/images.json")


async def run(clusters: tuple[str, ...], keys: Path) -> None:
    """Serve until the process is ended."""
    limits = Limits(memory=_number("MEMORY", 2048) * MEBIBYTE, cpus=_number("CPUS", 2))
    room = Room(places=_number("PLACES", 24), memory=_number("ROOM", 7168) * MEBIBYTE)
    judge = Judge(directory.lookup, Images(LIST), limits)
    gateway = Gateway(Engine(SOCKET), judge, room, clusters, knows=directory.answers, ways=Ways())
    kept = await serve(gateway, keys, port=PORT, health_port=HEALTH_PORT)
    logging.getLogger("engine-gateway").info("serving clusters=%s places=%d", ",".join(clusters), room.places)
    await asyncio.Event().wait()
    for runner in kept:
        await runner.cleanup()


def _number(name: str, usual: int) -> int:
    text = os.environ.get(name) or str(usual)
    if not text.isdecimal() or int(text) < 1:
        sys.exit(f"engine-gateway: {name}={text} is not a number: give it a whole one, from 1 on.")
    return int(text)


def main() -> None:
    """Read the environment and run."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    clusters = tuple(filter(None, os.environ.get("CLUSTERS", "").split(",")))
    if not clusters:
        sys.exit("engine-gateway: CLUSTERS must name the clusters whose cells may ask.")
    asyncio.run(run(clusters, Path(os.environ.get("KEYS", "/keys"))))


if __name__ == "__main__":
    main()
