"""A session: JupyterHub's side of it, whoever runs it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from benchtop_hub import wording
from benchtop_hub.access.minter import Refused, Unavailable
from benchtop_hub.backends import commands, request
from benchtop_hub.backends.backend import AnyBackend
from benchtop_hub.backends.environments import FACILITY
from benchtop_hub.backends.queue import NUMBER, Job, Unknown
from benchtop_hub.sessions import certificates, endings
from benchtop_hub.sessions.described import Described
from benchtop_hub.sessions.failure import Failed, SessionFailed, explain
from benchtop_hub.sessions.start import Start, Wanted
from benchtop_hub.wording import quote

RUNNING_AGE = 5.0  # seconds: how old an answer of the queue may be while a session runs
WHY = 400  # characters of what a session says ended it
STOP_PATIENCE = 30.0  # seconds until stopping goes on in the background; a job has 10 to save its work


class Session(Described):
    """batchspawner's spawner, with what a facility needs.

    - Commands run as the person, by a token of minutes; upstream needs root and sudo on the hub.
    - One cached query answers every poll; upstream runs one a session (#329).
    - An unknown answer is "unknown", never "gone"; upstream drops the session and leaks its job (#315).
    - What was submitted is saved at once, and waited for after a restart; upstream loses or ends it.
    - A job that ends before its session answers is noticed; upstream waits for the time-out (#215).
    - Port reports are checked (api/reports.py); upstream takes any attribute from any job of the user.
    - The first answer of the session is awaited, not polled for with a growing, random delay.
    - Why a session ended is told to its owner, once (pages/farewell.py); upstream says "not running".
    """

    _address = ""
    _start: Start | None = None
    _submission: "asyncio.Task[None] | None" = None
    _cut_off: Mapping[str, Any] = {}  # of a start: what the process of the hub knew that began it

    @property
    def node_name(self) -> str:
        """The node that it runs on, as far as that is known."""
        node = self._start.node if self._start else ""
        return node or certificates.node_of(urlsplit(self._address).hostname or "")

    @property
    def place_name(self) -> str:
        """The same, as the end of a sentence: "gpu-1", "the login node hpc-login"."""
        return self.backend.describe_node(self.node_name) if self.node_name else ""

    # ---- start ------------------------------------------------------------------------------

    async def start(self) -> str:
        """Submit the job and return the session's address as soon as it answers."""
        try:
            backend, wanted = self.parse_request(self.user_options)
            granted = await self.check_request(backend, wanted)
            self.in_environment = await self.find_environment(wanted.environment)
        except request.Refused as refused:
            self.forget_options(self._asked)
            raise self._refusal(refused.problem) from None
        self.port = 0  # the session finds one and reports it
        self.ended = self.last_end = ""
        self.lacked_memory = 0
        self.tls_name = certificates.new_name()
        start = self._begin(backend, backend.describe_queue(granted), time.time(), asdict(granted))
        asked = {**self.others_asked(backend), **wanted.asked()}
        self.without_settings = wanted.without_settings
        if wanted.without_settings:  # this once: the next start asks for it anew, or has them back
            self.forget_options(asked)
        # A task of its own, which a cancelled start does not cancel: nobody would know of the job.
        self._submission = asyncio.create_task(self._submit(start, granted, asked))
        await asyncio.shield(self._submission)
        return await self._until_up(start)

    async def resume(self) -> str:
        """Wait on for a job that was submitted before the hub was restarted, and return as start() does."""
        before = self._cut_off
        place, since = before.get("place", "the queue"), before.get("since", 0.0)
        start = self._begin(self.backend, place, since, self.granted)
        start.resumed(self.job_id, before.get("port", 0))
        self.log.info("session resumed user=%s cell=%s job=%s", self.user.name, self.cell, self.job_id)
        return await self._until_up(start)

    def _begin(self, backend: AnyBackend, place: str, since: float, granted: Mapping[str, Any]) -> Start:
        wanted = Wanted(self.user.name, self.tls_name, self.start_timeout, place, since, granted)
        self._start = Start(backend, wanted, self)
        return self._start

    async def _until_up(self, start: Start) -> str:
        try:
            url = await start.until_up()
        except Failed as failed:
            raise self._failure(failed) from None
        self._address = url
        self.note_started(f"{start.node}:{start.port}", start.steps)
        return url

    async def _submit(self, start: Start, granted: Any, asked: Mapping[str, Any]) -> None:  # noqa: ANN401 each backend's own
        backend = start.backend
        try:
            number = await backend.submit(granted, self.launch(self.environment_of(backend, granted)))
        except commands.Failed as failed:
            if backend.is_silent(failed):
                message = self._explain_trouble("submit", failed, backend)
                raise self._failure(Failed(message, "silence")) from None
            self.log.warning(
                "spawn refused user=%s cell=%s by=%s: %s",
                self.user.name, self.cell, backend.name.lower(), failed,
            )  # fmt: skip
            self.forget_options(self._asked)
            backend.forget()  # by what it went, this was granted
            raise self._failure(Failed(backend.explain_refusal(str(failed)), "submit")) from None
        except (Refused, Unavailable) as trouble:
            message = self._explain_trouble("submit", trouble, backend)
            raise self._failure(Failed(message, "minter")) from None
        except ValueError as wrong:
            raise self._failure(Failed(self._explain_wrong_setting(wrong), "setting")) from None
        if not NUMBER.fullmatch(number):
            raise self._failure(Failed(f"{backend.name} returned no job number.", "submit"))
        self.job_id = number
        start.submitted(number)
        self._asked, self.granted, self.begun = asked, asdict(granted), True
        self.save_state()
        what = " ".join(f"{name}={value}" for name, value in self.granted.items())
        self.log.info(
            "session submitted user=%s cell=%s job=%s environment=%s %s",
            self.user.name, self.cell, self.job_id, quote(self.in_environment, WHY) or FACILITY, what,
        )  # fmt: skip

    def _failure(self, failed: Failed) -> SessionFailed:
        """What the person reads of it; the log has all."""
        last_words = self._start.last_words if self._start else ""
        quoted = f" last words: {last_words[-400:]!r}" if last_words else ""
        self.log.error(
            "session failed user=%s cell=%s job=%s reason=%s: %s%s",
            self.user.name, self.cell, self.job_id or "-", failed.reason, failed, quoted,
        )  # fmt: skip
        kept = self._start is None or self._start.log_kept
        return explain(
            failed, log=f"~/{self.log_file}" if kept else "", last_words=last_words, support=self.support,
            own_settings=kept and not self.without_settings,
        )  # fmt: skip

    # ---- what the job reports (api/reports.py) -----------------------------------------------

    def report_port(self, port: int) -> bool:
        """The job says where it listens. False: nothing is waiting for it, or it said another port before."""
        return self._start is not None and self.pending == "spawn" and self._start.take_port(port)

    def report_end(self, lines: str, *, why: str = "", kept: bool = True) -> bool:
        """The job gives up before it listened, and says what its log says."""
        if self._start is None or self.pending != "spawn":
            return False
        self._start.last_words, self._start.why, self._start.log_kept = lines, quote(why, WHY), kept
        return True

    # ---- while it runs ------------------------------------------------------------------------

    async def poll(self) -> int | None:
        """None while the job lives or nobody knows; 1 when it ended, 0 when there is none."""
        if self.submitting:
            return None
        if not self.job_id:
            return 0
        if not self.tls_name:  # of a hub that gave none: nothing proves who answers for this session
            await self.stop(now=True)
            if self._address:
                self.ended = wording.ended("the facility was upgraded")
                self.save_state()
            return 1
        age = self._start.age(RUNNING_AGE) if self._start else RUNNING_AGE
        try:
            job = await self.backend.queue.job(self.job_id, self.user.name, max_age=age)
        except Unknown as unknown:
            self.log.warning("queue unknown user=%s job=%s: %s", self.user.name, self.job_id, unknown)
            return None
        if job is not None and job.alive:
            self.job_status = f"{job.state} {job.node}".strip()
            return None
        if job is not None and job.lingers:
            await self.stop(now=True)
        how = f"{job.state} {job.reason}".strip() if job else "not in the queue"
        self.log.info("session ended user=%s cell=%s job=%s: %s", self.user.name, self.cell, self.job_id, how)
        # whoever shut it down knows, and a start that failed says why itself
        if self._address and not self.ended and (job is None or job.state != "COMPLETED"):
            self.note_end(job)
        return 1

    @property
    def submitting(self) -> bool:
        """Is a job on its way into the queue, whose number is not known yet?"""
        return bool(self._submission and not self._submission.done())

    def has_job(self, listed: Mapping[str, Job]) -> bool:
        """Is the job of this session among these, and alive?"""
        job = listed.get(self.job_id)
        return job is not None and job.alive and job.may_be_of(self.user.name)

    async def stop(self, now: bool = False) -> None:
        """End the job and wait until it is gone."""
        if self._submission and self.submitting:
            await asyncio.wait({self._submission})
        if not self.job_id:
            return
        ending = endings.end(self.backend, self.user.name, self.job_id, self.log)
        if not now:
            done, _ = await asyncio.wait({ending}, timeout=STOP_PATIENCE)
            if not done:
                self.log.error(
                    "session does not end user=%s job=%s; still trying", self.user.name, self.job_id
                )

    @property
    def lives(self) -> bool:
        """Is its job there, as far as this hub knows, and not about to be ended?"""
        return bool(self.job_id) and self.pending != "stop"

    # ---- what another process of the hub has to know -----------------------------------------

    def get_state(self) -> dict[str, Any]:
        """All of it."""
        known = {
            "tls_name": self.tls_name,
            "asked": dict(self._asked),
            "granted": dict(self.granted),
            "environment": self.in_environment,
            "ended": self.ended,
            "last_end": self.last_end,
            "lacked_memory": self.lacked_memory,
            "address": self._address,
            "begun": self.begun,
        }
        state = {**super().get_state(), **{name: value for name, value in known.items() if value}}
        if self.job_id and not self._address:
            state.update(self._start.state if self._start else self._cut_off)
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Know the job again, and go on with one that was being started."""
        super().load_state(state)
        self.tls_name = state.get("tls_name", "")
        self._asked = state.get("asked", {})
        self._address = state.get("address", "")
        self.granted = state.get("granted", {})
        self.in_environment = state.get("environment", "")
        self.ended = state.get("ended", "")
        self.last_end = state.get("last_end", self.ended)
        self.lacked_memory = state.get("lacked_memory", 0)
        self.begun = state.get("begun", False)
        if self.job_id:
            self._cut_off = {name: state[name] for name in ("since", "place", "port") if name in state}
            self.adopt(starting=not self._address)

    def clear_state(self) -> None:
        """Forget the job, the tasks of its start included; not why it ended, which is still to be told."""
        super().clear_state()
        self.tls_name = self._address = self.in_environment = ""
        self.granted = self._cut_off = {}
        self._submission = self._start = None

    # ---- how far a start is ---------------------------------------------------------------------

    @property
    def stage(self) -> tuple[int, str]:
        """In percent and as a sentence."""
        return self._start.stage if self._start else (5, "Requesting the session.")

    async def progress(self) -> AsyncGenerator[dict[str, Any], None]:
        """Each change once, for the page that a person waits on."""
        shown: tuple[int, str] | None = None
        while self.pending == "spawn":
            if self.stage != shown:
                shown = self.stage
                yield {"progress": shown[0], "message": shown[1]}
            await asyncio.sleep(0.2)
