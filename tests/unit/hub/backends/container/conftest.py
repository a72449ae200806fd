"""An engine of its own for each test, and sessions in its containers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchtop_hub.backends.slurm.backend import SlurmBackend
from engine import Boxes, Engine
from standins import OnSlurm, cell
from standins import session as made


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine without containers."""
    running = Engine()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def boxes(engine: Engine) -> Boxes:
    """The backend of the cell hpc-1."""
    return Boxes(engine)


@pytest.fixture
def session(boxes: Boxes, keys: Path, answers: list[str]) -> Any:
    """Alice's, in a container; Slurm, which may run it as well, must not be asked."""
    slurm = SlurmBackend(cell("hpc-1"))

    async def run(person: str, *command: str, **_: object) -> str:
        raise AssertionError(f"nobody asks Slurm for a session in a container: {command}")

    slurm.run = run  # type: ignore[method-assign]
    return made(OnSlurm, slurm, boxes, keys=keys, user_options={"where": "container", "runtime": 30})
