"""The programs that hold the clusters of JupyterLab's panel, one a cluster."""

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchtop_lab.kernels.provisioner import PYTHONS, RUN

SETTING = "benchtop_dask"  # of the server's settings: the clusters of its panel
PROGRAM = ("-m", "benchtop_batch.dask.host")
KERNEL = ("-m", "ipykernel_launcher")
START = 60.0  # seconds for a cluster, from a file system that may be slow
ANSWER = 15.0  # … for an answer
END = 10.0  # … until a cluster that was closed is gone
SHOWN = 400  # characters of what a program printed last
LIMIT = 1 << 20  # bytes of an answer


class Failed(Exception):  # noqa: N818 what happened to a cluster
    """It did not start, or does not do what was asked; the message says why."""


def words(argv: Sequence[str], setup: Path | None) -> list[str] | None:
    """The command of a cluster in the Python of a kernel; None for a kernel of another language.

    argv: the kernel's own command; setup: its setup.sh
    """
    found = [at for at in range(len(argv) - 1) if tuple(argv[at : at + 2]) == KERNEL]
    if not found:
        return None
    before = list(argv[: found[0]])
    if before[0] in PYTHONS and not setup:
        before[0] = sys.executable
    command = [*before, *PROGRAM]
    return ["/bin/bash", str(RUN), "2", str(setup), *command] if setup else command


@dataclass
class Host:
    """One cluster and its program."""

    name: str
    process: asyncio.subprocess.Process
    shown: dict[str, Any] = field(default_factory=dict)
    ident: str = field(default_factory=lambda: str(uuid.uuid4()))
    _asked: int = 0
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        return cast(asyncio.StreamWriter, self.process.stdin)

    @property
    def _stdout(self) -> asyncio.StreamReader:
        return cast(asyncio.StreamReader, self.process.stdout)

    async def take(self, within: float) -> dict[str, Any]:
        """The next answer. Raises Failed."""
        try:
            raw = await asyncio.wait_for(self._stdout.readline(), within)
            said = json.loads(raw) if raw else None
        except (TimeoutError, ValueError):
            raise Failed("The program of the Dask cluster does not answer.") from None
        if said is None:
            raise Failed("The program of the Dask cluster has ended: the session's log says more.")
        if "error" in said:
            raise Failed(str(said["error"])[:2000])
        self.shown = dict(said["answer"])
        return self.shown

    async def ask(self, **request: object) -> dict[str, Any]:
        """What the panel shows of it, after what was asked for. Raises Failed."""
        async with self._line:
            self._asked += 1
            try:
                self._stdin.write(f"{json.dumps({'id': self._asked, **request})}\n".encode())
                await self._stdin.drain()
            except ConnectionError:
                raise Failed(
                    "The program of the Dask cluster has ended: the session's log says more."
                ) from None
            return await self.take(ANSWER)

    async def end(self) -> None:
        """Close it, with its workers."""
        self._stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), END)
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    @property
    def model(self) -> dict[str, Any]:
        """As the panel wants it. Trouble is a part of the name: nothing else of it is free text."""
        shown = {key: value for key, value in self.shown.items() if key not in {"trouble", "kind"}}
        trouble = self.shown.get("trouble")
        return {"id": self.ident, "name": f"{self.name}: {trouble}" if trouble else self.name, **shown}


async def begin(name: str, command: Sequence[str], env: Mapping[str, str]) -> Host:
    """Start the program of a cluster, and wait until that is there. Raises Failed."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            env=env,
            cwd=env.get("HOME"),
            start_new_session=True,
            limit=LIMIT,
        )
    except OSError as error:
        raise Failed(f"The Dask cluster cannot be started with {command[0]}: {error.strerror}.") from None
    host = Host(name, process)
    try:
        await host.take(START)
    except Failed:
        await host.end()
        raise
    return host


def environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """That of a cluster's program: as of a kernel, less the server's token."""
    return {
        name: value for name, value in env.items() if name not in {"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"}
    }
