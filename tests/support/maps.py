"""HTMap in bob's session: cells that make maps, whose end leaves none, and no job."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.batch import Batch
from support.hub import Hub
from support.notebooks import Shown, run_cells
from support.wait import wait_until

FREED = 50  # seconds until the place of a job that does not listen is free: 30 by the pool's configuration
# What the cells of a test may use
BEGIN = """
import contextlib, os, subprocess, threading
from pathlib import Path
import htmap
def message(do):
    try:
        do()
    except Exception as error:
        print(type(error).__name__, error)
def left():
    return [len(os.listdir(Path.home() / ".htmap" / name)) for name in ("maps", "tags")]
"""
END = """
import htmap
for tag in htmap.get_tags("test-*"):
    htmap.remove(tag)
"""


def run(own: Hub, *cells: str) -> list[Shown]:
    """What these show, in a kernel of their own that knows no earlier map."""
    return run_cells(own, "python3", [BEGIN + END, *cells, END])[1:-1]


# ---- a fixture: a file of tests names it ----------------------------------------------------------


@pytest.fixture(scope="module")
def own(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """Bob's session, and the end of whatever it has in the queue."""
    mine = Hub(settings, signed_in("bob"), "bob", "htc")
    batch = Batch(settings, "htc")
    sessions.over(mine, batch)
    sessions.begin(mine)
    yield mine
    run(mine)
    wait_until(lambda: len(batch.jobs("bob")) == 1, timeout=FREED, what="no job beside the session's")
    sessions.over(mine, batch)
