"""dockerspawner's spawner as a library: an object a container, without the rest of a spawner around it.

What is overridden here, and why: docs/reference/upstream.md.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from logging import Logger
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.api.client
import docker.errors
import docker.tls
import requests
from dockerspawner import DockerSpawner

VERSION = "1.41"  # of the engine's API that is spoken: of Docker 20.10, and of Podman since 4.0
PATIENCE = 30  # seconds for an answer: twenty that start at once wait for each other
PORT = 8888  # on which a session listens in its container
THREADS = ThreadPoolExecutor(16, thread_name_prefix="engine")  # each stop takes one until its container ended

# What a call may raise beside an answer that says no (APIError)
AWAY = (requests.RequestException, docker.errors.DockerException, OSError)
Error = docker.errors.APIError


def connect(address: str, certificate: Path, authority: Path) -> Any:  # noqa: ANN401 docker's client has no types
    """A client of the engine behind `address`, by mutual TLS; it asks nothing yet.

    certificate: with its key, in one file. Raises as AWAY for files that are missing.
    """
    tls = docker.tls.TLSConfig(
        client_cert=(str(certificate), str(certificate)), ca_cert=str(authority), verify=True
    )
    client = docker.api.client.APIClient(base_url=address, version=VERSION, tls=tls, timeout=PATIENCE)
    client.trust_env = False  # no variable says which CAs are believed, or which proxy is asked
    return client


async def call(work: Callable[[], Any]) -> Any:  # noqa: ANN401 whatever the engine answers
    """Have a question answered by a thread."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, work)


@dataclass(frozen=True)
class Program:
    """What runs in a container, and whose server it is; server: "" for the default one"""

    person: str = ""
    server: str = ""
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


_NONE = Program()


class Box(DockerSpawner):
    """The container of one session.

    - Calls are made by several threads; upstream has one for all, in which a container that takes its time
      to end keeps everybody else's from starting.
    - What runs in it, and its environment, are the hub's; upstream makes an environment of its own, and asks
      for an image in order to run what stands in there.
    - A folder that is bound is not declared as a volume as well, which the gateway would have to judge.
    - One that still runs is removed all the same; upstream takes the engine's refusal for success.
    - None is taken for gone because the engine says 500 (`get_object`); nothing here asks by that.
    """

    def __init__(self, client: Any, log: Logger, program: Program = _NONE, **traits: object) -> None:  # noqa: ANN401 docker's
        """Start nothing. traits: dockerspawner's settings"""
        user = SimpleNamespace(name=program.person)
        known = SimpleNamespace(name=program.server, server=None)
        super().__init__(user=user, orm_spawner=known, log=log, port=PORT, remove=False, escape=str, **traits)
        self._asks, self._program = client, program

    @property
    def client(self) -> Any:  # noqa: ANN401
        """Docker's own, for the API."""
        return self._asks

    @property
    def executor(self) -> ThreadPoolExecutor:
        """By whom it is asked."""
        return THREADS

    @property
    def volume_mount_points(self) -> list[str]:
        """None beside the binds, which say it themselves."""
        return []

    def get_env(self) -> dict[str, str]:
        """The session's."""
        return dict(self._program.env)

    async def get_command(self) -> list[str]:
        """The session's."""
        return list(self._program.command)

    async def begin(self) -> str:
        """Create it, and start it; its number. Nothing is left of one that cannot be started.

        Of the same name, one that has ended gives way. Raises Error and AWAY.
        """
        try:
            created = await self.create_object()
        except Error as error:
            if error.status_code != 409:
                raise
            self.object_id = await self._ended()
            await self.remove_object()
            created = await self.create_object()
        self.object_id = created["Id"]
        try:
            await self.start_object()
        except (Error, *AWAY):
            await self.remove_object()
            raise
        return str(self.object_id)

    async def _ended(self) -> str:
        """The number of the one that has this name already, if it does not run. Raises Error."""
        found = await self.docker("inspect_container", self.container_name)
        if found["State"]["Running"]:
            raise docker.errors.APIError(
                f"{self.container_name} still runs", explanation="It is still running: stop it first."
            )
        return str(found["Id"])

    async def remove_object(self) -> None:
        """Leave nothing of it, also while it runs."""
        try:
            await self.docker("remove_container", self.object_id, v=True, force=True)
        except Error as error:
            if error.status_code != 404:
                raise
