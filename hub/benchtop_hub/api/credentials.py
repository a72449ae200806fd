"""What a session may show to the batch systems: tokens of its owner, for as long as it runs.

Asked for by the session's server, with its own token and no other of the same person, again and again: each
token lives less than a minute, so that it is void soon after its owner may no longer be here, or the session
has ended. See lab/benchtop_lab/session/credentials.py.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol, TypeAlias
from weakref import WeakKeyDictionary

from benchtop_hub.access.minter import Refused, Unavailable
from benchtop_hub.api.reports import ReportHandler

AGAIN = 5.0  # seconds: who asks more often gets the same answer
Answer: TypeAlias = dict[str, dict[str, object]]


class Entitled(Protocol):
    """A spawner whose session may have them."""

    clusters: Mapping[str, str]  # name → kind, its own first

    def is_own(self, token: str) -> bool:
        """Is this the token of its session?"""

    @property
    def lives(self) -> bool:
        """Is its job there, and not about to be ended?"""

    @property
    def without_credentials(self) -> str:
        """Why its owner gets none, as a sentence; "" for everybody else."""

    async def credential(self, cluster: str) -> tuple[str, float]:
        """A token of its owner's for a cluster, and when it ends. Raises Refused or Unavailable."""


_answered: WeakKeyDictionary[Entitled, tuple[float, HTTPStatus, Answer]] = WeakKeyDictionary()


class CredentialsHandler(ReportHandler):
    """POST: {CLUSTER: {"kind", "token", "expires"}} for each cluster; of one that gives none {"kind", "why"}.

    "why" is a sentence. With "away" beside it, nobody could be asked, and what was granted before stays good.
    The hub's own cluster decides the status: 403 when it refuses, 503 when it does not answer.
    """

    what = "credentials"
    refusal = "Only a session that runs may have credentials."

    async def post(self) -> None:
        """Ask the minter for each cluster, at the same time."""
        spawner: Entitled = self.spawner()
        if not spawner.lives:
            self.refuse("not-running")
        status, answer = await self.answer(spawner)
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(answer)

    async def answer(
        self, spawner: Entitled, clock: Callable[[], float] = time.monotonic
    ) -> tuple[HTTPStatus, Answer]:
        """For one session, perhaps that of a moment ago."""
        if kept := _answered.get(spawner):
            at, status, answer = kept
            if clock() - at < AGAIN:
                return status, answer
        if why := spawner.without_credentials:
            status, answer = (
                HTTPStatus.OK,
                {cluster: {"kind": kind, "why": why} for cluster, kind in spawner.clusters.items()},
            )
        else:
            asked: list[Awaitable[dict[str, object]]] = [self._ask(spawner, one) for one in spawner.clusters]
            own, *_ = found = await asyncio.gather(*asked)
            status = HTTPStatus.OK
            if "why" in own:
                status = HTTPStatus.SERVICE_UNAVAILABLE if "away" in own else HTTPStatus.FORBIDDEN
            answer = {
                cluster: {"kind": kind, **said}
                for (cluster, kind), said in zip(spawner.clusters.items(), found, strict=True)
            }
        if status != HTTPStatus.SERVICE_UNAVAILABLE:
            _answered[spawner] = clock(), status, answer
        return status, answer

    async def _ask(self, spawner: Entitled, cluster: str) -> dict[str, object]:
        name = getattr(self.current_user, "name", "-")
        try:
            token, expires = await spawner.credential(cluster)
        except Refused as refused:
            self.log.warning("credential refused user=%s cluster=%s: %s", name, cluster, refused)
            return {"why": str(refused)}
        except Unavailable as trouble:
            self.log.warning("credential unavailable user=%s cluster=%s: %s", name, cluster, trouble)
            return {"why": f"{trouble.who} does not answer.", "away": True}
        self.log.info("credential granted user=%s cluster=%s expires=%d", name, cluster, expires)
        return {"token": token, "expires": expires}


default_handlers = [(r"/api/session/credentials", CredentialsHandler)]
