"""One start of a session, from the job's submission until JupyterLab answers.

It waits for what cannot be known beforehand: when the scheduler runs the job and where, on which port the
session listens, and when it answers. A hub that is restarted meanwhile goes on with a new Start for the same
job.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from logging import Logger
from typing import Any, Protocol

import aiohttp
from jupyterhub.httpclient import fetch

from benchtop_hub import wording
from benchtop_hub.access.minter import Unavailable
from benchtop_hub.backends.backend import TROUBLES, AnyBackend, Pending
from benchtop_hub.backends.queue import Job, Unknown
from benchtop_hub.sessions import certificates
from benchtop_hub.sessions.failure import Failed
from benchtop_hub.sessions.steps import Steps

LOOK_EVERY = 1.0  # seconds: how old an answer of the queue may be while a session starts or stops
ANSWER_PATIENCE = 120.0  # seconds from the job's report until JupyterLab must answer; it takes two
NODE_PATIENCE = 30.0  # seconds until its node must be known; a central manager that restarts takes eight
LEAD = 10  # seconds before upstream's time-out, whose message says nothing of the queue
RETURN = 60.0  # seconds that a start has left at least when it goes on after a restart of the hub
WORDS_PATIENCE = 2.0  # seconds after a job's end until its last words, which are on another way, are here


@dataclass(frozen=True)
class Wanted:
    """What is being started, for whom.

    tls_name: by which the session proves that it is this one: certificates.py
    timeout: seconds that a start may take; since: when it began, by the wall clock
    place: where its job waits, as a person reads it; granted: what it was asked for
    """

    person: str
    tls_name: str
    timeout: float
    place: str
    since: float = 0.0
    granted: Mapping[str, Any] = field(default_factory=dict)


class Owner(Protocol):
    """Whose start it is, as the start needs it."""

    log: Logger

    @property
    def path(self) -> str:
        """Of the server, as `/jupyterhub/hpc/user/alice/`."""

    def save_state(self) -> None:
        """Keep what another process of the hub has to know."""

    def reached_at(self, node: str) -> str:
        """Where a node of this name is reached."""

    async def stop(self, now: bool = False) -> None:
        """End the job."""


def silent(trouble: Exception | None, backend: AnyBackend) -> str:
    """Who did not answer, as the beginning of a sentence."""
    return trouble.who if isinstance(trouble, Unavailable) else backend.who


class Start:
    """The waiting machine: a backend, a clock and the session's report in; an address or Failed out."""

    def __init__(
        self,
        backend: AnyBackend,
        wanted: Wanted,
        owner: Owner,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin; the job has no number yet. clock: seconds, never backwards."""
        self.backend, self.wanted, self.owner, self.log, self._clock = (
            backend,
            wanted,
            owner,
            owner.log,
            clock,
        )
        self.number = self.node = self.last_words = self.why = ""
        self.port = 0  # where the session is reached, once that is known
        self.log_kept = True  # is what the last words are the end of still there?
        self.stage: tuple[int, str] = (5, "Requesting the session.")
        self._submitted_at = float("-inf")
        self._node_by = 0.0  # until when its node must be known, once it was not
        self._gives_up = clock() + wanted.timeout - LEAD
        self._steps = Steps(clock)
        self._report: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    # ---- what happens to it --------------------------------------------------------------------

    def submitted(self, number: str) -> None:
        """The job is in the queue."""
        self._submitted_at = self._clock()
        self._steps.ended("submit")
        self.number = number
        self.stage = (15, self.backend.explain_submitted(number, self.wanted.place))

    def resumed(self, number: str, port: int) -> None:
        """The job was submitted before the hub was restarted. port: which it has reported already, or 0."""
        self.number = number
        left = self.wanted.since + self.wanted.timeout - LEAD - time.time()
        self._gives_up = self._clock() + max(RETURN, left)
        if port:
            self._report.set_result(port)
        submitted = self.backend.explain_submitted(number, self.wanted.place)
        self.stage = (15, f"The hub was restarted. {submitted}")

    @property
    def state(self) -> dict[str, Any]:
        """What another process of the hub needs to go on with it: resumed()."""
        reported = self._report.result() if self._report.done() and not self._report.cancelled() else 0
        return {"since": self.wanted.since, "place": self.wanted.place, "port": reported}

    def take_port(self, port: int) -> bool:
        """The job says where it listens. False: it said another port before."""
        if not self._report.done():
            self._report.set_result(port)
            self.owner.save_state()  # the job says it once
        return not self._report.cancelled() and self._report.result() == port

    # ---- the wait -------------------------------------------------------------------------------

    async def until_up(self) -> str:
        """The address of the session, once it answers. Raises Failed."""
        if not self.wanted.tls_name:
            raise Failed(
                "The facility was upgraded while this session was starting: start it again.", "unnamed"
            )
        port = await self._until_reported()
        url = f"https://{certificates.host(self.owner.reached_at(self.node), self.wanted.tls_name)}:{port}"
        await self._until_answering(f"{url}{self.owner.path}api")
        self._steps.ended("answer")
        self.stage = (95, "JupyterLab is ready.")
        return url

    @property
    def steps(self) -> str:
        """How long each step took, for the log."""
        return str(self._steps)

    def age(self, most: float) -> float:
        """How old an answer of the queue may be, in seconds.

        One from before the job was submitted does not know of it: by that one it would be gone, and nobody
        would end it when a start is cancelled in its first seconds.
        """
        return max(0.0, min(most, self._clock() - self._submitted_at))

    async def _until_reported(self) -> int:
        """The port, once the job said it, with `node` known."""
        while self._clock() < self._gives_up:
            done, _ = await asyncio.wait({self._report}, timeout=LOOK_EVERY)
            # a report came from a running job: the next answer of the queue must be younger than it
            job = await self.look(0.0 if done else LOOK_EVERY)
            if job is None:
                continue
            if not job.waiting and job.node:
                self._steps.ended("queue")
                if not await self._is_at(job.node):
                    continue
                self.stage = (50, f"The session is running on {self.backend.describe_node(self.node)}.")
                if done:
                    self._steps.ended("report")
                    self.stage = (75, f"JupyterLab is starting on {self.backend.describe_node(self.node)}.")
                    self.port = job.port or self._report.result()
                    return self.port
            elif job.waiting:
                wanted = self.wanted
                pending = Pending(wanted.person, self.number, wanted.place, job, wanted.granted)
                if why := self.backend.explain_wait(pending):
                    self.stage = (20, why)
            if done:
                await asyncio.sleep(0.1)  # reported, and yet not running by the queue: it lags for an instant
        raise Failed(
            f"The session did not start within {wording.patience(self.wanted.timeout)} and was cancelled. "
            f"Its last known state: {self.stage[1]}",
            "queue",
        )

    async def _is_at(self, node: str) -> bool:
        """Take note of where it runs, if the cluster knows that node by now; a restarted one may not yet."""
        if node == self.node:
            return True
        try:
            if await self.backend.is_node(node, self.wanted.person):
                self.node = node
                self.owner.save_state()
                return True
            self._node_by = self._node_by or self._clock() + NODE_PATIENCE
            if self._clock() > self._node_by:
                job = self.backend.describe_job(self.number)
                raise Failed(f"{job} is running on {node}, which is not a node of the cluster.", "node")
        except TROUBLES as trouble:
            self.log.warning(
                "node unknown user=%s job=%s node=%s: %s", self.wanted.person, self.number, node, trouble
            )
        await asyncio.sleep(LOOK_EVERY)
        return False

    async def _until_answering(self, url: str) -> None:
        # The session listens before it has loaded anything, so that one request waits for it there; it
        # does so before its TLS begins, which counts as connecting.
        patience = aiohttp.ClientTimeout(total=None)
        end = self._clock() + ANSWER_PATIENCE
        while self._clock() < end:
            asked = asyncio.create_task(
                fetch(url, raise_for_status=False, allow_redirects=False, timeout=patience)
            )
            try:
                # An answer is taken at once; a look at the queue may take longer than it took.
                await asyncio.wait({asked}, timeout=LOOK_EVERY)
                while not asked.done() and self._clock() < end:
                    await self.look(LOOK_EVERY)
                    await asyncio.wait({asked}, timeout=LOOK_EVERY)
                if not asked.done():
                    break
                answer = asked.result()
                answer.release()
                if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                self.log.debug("session of %s does not answer yet: %s", self.wanted.person, error)
            finally:
                asked.cancel()
            await self.look(LOOK_EVERY)
            await asyncio.sleep(0.1)
        raise Failed(
            f"The session is running on {self.backend.describe_node(self.node)}, "
            "but JupyterLab does not answer there.",
            "no-answer",
        )

    async def look(self, max_age: float) -> Job | None:
        """The job while it lives, None when the scheduler does not say. Raises Failed if it ended."""
        person, number = self.wanted.person, self.number
        try:
            job = await self.backend.queue.job(number, person, max_age=self.age(max_age))
        except Unknown as unknown:
            self.log.warning("queue unknown user=%s job=%s: %s", person, number, unknown)
            who = silent(unknown.trouble, self.backend)
            self.stage = (self.stage[0], f"{who} is not answering; still trying.")
            return None
        if job is None:
            gone = f"is no longer known to {self.backend.name}: somebody ended it."
            raise Failed(f"{self.backend.describe_job(number)} {gone}", "gone")
        if job.alive:
            return job
        if job.lingers:
            await self.owner.stop(now=True)
        end = self._clock() + WORDS_PATIENCE
        while job.state == "FAILED" and not self.last_words and self._clock() < end:
            await asyncio.sleep(0.05)
        why = self.why or self.backend.explain_end(job, self.wanted.granted)
        over = f"{self.backend.describe_job(number)} ended before JupyterLab could start: {why}."
        raise Failed(over, "job-ended")
