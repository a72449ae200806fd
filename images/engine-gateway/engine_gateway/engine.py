"""The engine, by its socket: the only one of whose words this program believes whose a container is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from .creation import CELL, OWNER
from .verdicts import Missing, Taken, Unavailable

DOCKER, PODMAN = "/v1.41", "/v5.0.0/libpod"
PATIENCE = 30.0  # seconds for an answer; beyond what a call itself takes
LONGEST_ANSWER = 8 << 20  # bytes


@dataclass(frozen=True)
class Container:
    """A container of the asking cell."""

    id: str
    owner: str
    found: Mapping[str, Any]  # as the engine describes it


class Engine:
    """Asks it; one connection a question, because a socket of this machine costs nothing."""

    def __init__(self, socket: Path) -> None:
        self._socket = str(socket)

    async def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        wait: float = 0,
    ) -> tuple[int, bytes]:
        """Status and body of the answer. wait: seconds that the call itself may take.

        Raises Unavailable where there is no answer, or no end of one.
        """
        address = f"http://engine{path}{'?' + urlencode(query) if query else ''}"
        limit = aiohttp.ClientTimeout(total=PATIENCE + wait)
        try:
            connector = aiohttp.UnixConnector(self._socket, force_close=True)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit) as client,
                client.request(method, address, json=body, allow_redirects=False) as answer,
            ):
                content = await answer.content.read(LONGEST_ANSWER)
                while not answer.content.at_eof():
                    more = await answer.content.read(LONGEST_ANSWER)
                    content += more
                    if len(content) > LONGEST_ANSWER:
                        raise Unavailable("The container engine's answer has no end.")
                return answer.status, content
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("The container engine does not answer. Try again in a minute.") from error

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 the engine's JSON
        """What it answers to a question. Raises Missing, or Unavailable for any answer but a good one."""
        status, content = await self.ask("GET", path, query)
        if status == 404:
            raise Missing("There is no such container.")
        if status != 200:
            raise Unavailable(f"The container engine failed: {sentence(content)}")
        return json.loads(content)

    async def own(self, cell: str, wanted: str) -> Container:
        """The container of that name or id, if it is the cell's. Raises Missing, also for somebody else's."""
        found = await self.get(f"{DOCKER}/containers/{wanted}/json")
        labels = found["Config"]["Labels"] or {}
        if labels.get(CELL) != cell or not (found["Id"].startswith(wanted) or found["Name"] == f"/{wanted}"):
            raise Missing("There is no such container.")
        return Container(found["Id"], labels.get(OWNER, ""), found)

    async def all(self) -> list[dict[str, Any]]:
        """Every container, whosever it is."""
        found: list[dict[str, Any]] = await self.get(f"{DOCKER}/containers/json", {"all": "true"})
        return found

    async def do(
        self, method: str, path: str, query: Mapping[str, str] | None = None, *, wait: float = 0
    ) -> bytes:
        """Do something to a container; the answer, which is empty for most.

        Done already is done. Raises Missing, Taken and Unavailable, each with the engine's reason.
        """
        status, content = await self.ask(method, path, query, wait=wait)
        if status in {200, 201, 204, 304}:
            return content
        if status == 404:
            raise Missing("There is no such container.")
        if status in {400, 409}:
            raise Taken(f"The container engine refused: {sentence(content)}")
        raise Unavailable(f"The container engine failed: {sentence(content)}")


def sentence(content: bytes) -> str:
    """What the engine says of a failure, as far as a person can read it."""
    try:
        told = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        told = content.decode(errors="replace")
    return "".join(sign if sign.isprintable() else " " for sign in told)[:300].strip() or "without a reason"
