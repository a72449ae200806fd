"""Tokens for one person at a time, from the cluster's minter.

A hub holds no key of the cluster. It shows its own certificate to the minter, which knows who may be
named, and gets a token that lives for minutes.
"""

import asyncio
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

LIFETIME = 600  # seconds: the most that the minter grants
SSH_LIFETIME = 60  # … for a certificate
# … for a session's own, which somebody who is disabled keeps until it ends: out within a minute, with the
# EVERY of the minters' list of leavers (10 s). Renewed at half of it, so a hub may be away for as long.
SESSION_LIFETIME = 45
SPARE = 120  # seconds: a token with less than this left is not handed out, as it could expire under way,
LAST = 10  # … unless there will be no other, and it is good for a command
TIMEOUT = aiohttp.ClientTimeout(total=5)
KEEP = (
    5.0  # seconds that an idle connection is kept: less than the minter does, else one is used that just goes
)


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """The minter grants no token for this person; the message is its sentence."""


class Unavailable(Exception):  # noqa: N818  # what it is, not that it is an error
    """The minter gave no answer that can be understood; `who`, as a person reads it, did not answer."""

    def __init__(self, why: str, who: str = "The service that grants access to the cluster") -> None:
        super().__init__(why)
        self.who = who


class Minter:
    """Asks the minter, and remembers each token until it is nearly over."""

    def __init__(self, url: str, keys: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._keys = keys
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def token(self, person: str) -> str:
        """A token with at least SPARE seconds left; of somebody who is gone, their last one while it is good.

        With that their jobs are ended. Raises Refused or Unavailable.
        """
        async with self._asking[person]:
            token, expires = self._known.get(person, ("", 0.0))
            if expires - self._clock() < SPARE:
                try:
                    token, expires = self._known[person] = await self._ask(person)
                except Refused:
                    if expires - self._clock() < LAST:
                        raise
        return token

    async def renew(self, person: str) -> None:
        """Ask for a new token, whatever is at hand: the minter looks the person up each time.

        Raises Refused for somebody who is gone, and keeps their last token, which has minutes left: with it
        their jobs are ended. Raises Unavailable when nobody can tell.
        """
        async with self._asking[person]:
            self._known[person] = await self._ask(person)

    async def certificate(self, person: str, key: str) -> str:
        """A certificate for an SSH key, to go to the login node with as that person, now.

        key: the public one, as OpenSSH writes it. Raises Refused or Unavailable.
        """
        wanted = {"person": person, "lifetime": SSH_LIFETIME, "key": key}
        return (await self._post("/ssh", wanted))[0]

    async def session_token(self, person: str, cluster: str) -> tuple[str, float]:
        """A token that a session gets to keep, and when it ends; of another cluster by its own minter.

        Raises Refused or Unavailable.
        """
        wanted = {"person": person, "lifetime": SESSION_LIFETIME, "cluster": cluster}
        return await self._post("/token", wanted)

    def known(self) -> list[str]:
        """The people for whom a token is at hand."""
        soonest = self._clock() + SPARE
        return [person for person, (_, expires) in self._known.items() if expires >= soonest]

    async def _ask(self, person: str) -> tuple[str, float]:
        return await self._post("/token", {"person": person, "lifetime": LIFETIME})

    async def _post(self, path: str, wanted: Mapping[str, object]) -> tuple[str, float]:
        """Ask; at once a second time, on a new connection, when the minter puts the first one down.

        It may do so with one that was idle in the very moment in which that is used again. aiohttp repeats
        a GET then and never a POST, but whatever is asked here may be asked any number of times.
        """
        try:
            try:
                return await self._once(self._kept, path, wanted)
            except aiohttp.ClientConnectorError:
                raise  # this one was new
            except aiohttp.ClientConnectionError:
                async with self._client(force_close=True) as new:
                    return await self._once(new, path, wanted)
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    async def _once(
        self, client: aiohttp.ClientSession, path: str, wanted: Mapping[str, object]
    ) -> tuple[str, float]:
        async with client.post(f"{self._url}{path}", json=wanted) as answer:
            said = await answer.json()
            if answer.status == HTTPStatus.OK:
                return str(said["token"]), float(said["expires"])
            sentence = str(said["error"])
        if answer.status == HTTPStatus.FORBIDDEN:
            raise Refused(sentence)
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unavailable(sentence, "The facility's directory")
        raise Unavailable(sentence)

    def _client(self, **how: Any) -> aiohttp.ClientSession:  # noqa: ANN401 as a connector takes it
        context = ssl.create_default_context(cafile=self._keys / "minter-ca.pem")
        context.load_cert_chain(self._keys / "minter.pem")
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, **how), timeout=TIMEOUT)

    @cached_property
    def _kept(self) -> aiohttp.ClientSession:
        return self._client(keepalive_timeout=KEEP)
