"""A session is a batch job: what sessions on all schedulers have in common, beyond batchspawner."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import cache
from hmac import compare_digest
from html import escape
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
import batchspawner.api
from batchspawner import BatchSpawnerBase
from jupyterhub import apihandlers
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import compare_token, url_path_join
from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError
from tornado.web import RequestHandler
from traitlets import Any as AnyTrait
from traitlets import Unicode, default, validate

from benchtop_hub.access.identity import ForPerson, request_id
from benchtop_hub.access.minter import Minter, Refused, Unavailable
from benchtop_hub.api import expected_start as estimate
from benchtop_hub.api import reports
from benchtop_hub.backends import commands, marks
from benchtop_hub.backends import login_node as local
from benchtop_hub.backends import queue as jobs
from benchtop_hub.backends.backend import TROUBLES, Cluster
from benchtop_hub.backends.slurm import form
from benchtop_hub.pages import farewell
from benchtop_hub.sessions import certificates, endings
from benchtop_hub.sessions.steps import Steps
from benchtop_hub.upstream import adoption

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Importing batchspawner mounts a handler that sets whatever attribute of a spawner a job names. It is
# taken away again before JupyterHub reads the list; ours (reports.py) takes the two things a job may say.
apihandlers.default_handlers[:] = [
    entry for entry in apihandlers.default_handlers if entry[1] is not batchspawner.api.BatchSpawnerAPIHandler
]
apihandlers.default_handlers.extend(
    entry
    for entry in (*reports.default_handlers, *estimate.default_handlers)
    if entry not in apihandlers.default_handlers
)

STARTING_AGE = 1.0  # seconds: how old an answer of the queue may be while a session starts or stops
RUNNING_AGE = 5.0  # … and while it runs
ANSWER_PATIENCE = 120.0  # seconds from the job's report until JupyterLab must answer; it takes two
NODE_PATIENCE = 30.0  # … until its node must be known; a central manager that restarts takes eight
LEAD = 10  # seconds before upstream's time-out, whose message says nothing of the queue
RETURN = 60.0  # seconds that a start has left at least when it goes on after a restart of the hub
WORDS_PATIENCE = 2.0  # seconds after a job's end until its last words, which are on another way, are here
STOP_PATIENCE = 30.0  # seconds until stopping goes on in the background; a job has 10 to save its work
SCHEDULER, LOGIN_NODE = "The scheduler", "The login node"  # who did not answer, in sentences
RELOADED = 1.0  # seconds: how old an answer about rights may be for somebody who reloads the form

RequestT = TypeVar("RequestT", bound=BaseModel)  # what somebody asks for
GrantedT = TypeVar(
    "GrantedT", bound="DataclassInstance"
)  # a request that was checked, with nothing left open
ClusterT = TypeVar("ClusterT", bound=Cluster)


def silent(trouble: Exception | None, by: str) -> str:
    """Who did not answer, as the beginning of a sentence; by: who was asked, if they could be."""
    return trouble.who if isinstance(trouble, Unavailable) else by


def reloaded(handler: RequestHandler | None) -> bool:
    """Did somebody press "reload" in their browser?"""
    said = handler.request.headers.get("Cache-Control", "") if handler else ""
    return said in {"no-cache", "max-age=0"}


@cache
def login_node(minter: Minter, host: str, keys: str) -> local.LoginNode:
    """One view of the login node for all sessions of the hub."""
    return local.LoginNode(minter, host, Path(keys))


@cache
def shared(kind: type[ClusterT], minter: str, keys: str) -> ClusterT:
    """One view of the cluster for all sessions of the hub."""
    return kind.reached_by(minter, keys)


class SessionFailed(SpawnException):
    """A session that could not start. Of a SpawnException, upstream's page shows nothing but "failed"."""

    def __init__(self, sentence: str, html: str, reason: str) -> None:
        super().__init__(sentence, reason=reason, message_html=html, status_code=500)
        self.jupyterhub_message = sentence
        self.jupyterhub_html_message = html


class BatchSession(local.OnLoginNode, BatchSpawnerBase, Generic[RequestT, GrantedT, ClusterT]):
    """batchspawner's spawner, with what a facility needs. A scheduler's own is made of it and upstream's.

    - Commands run as the person, by a token of minutes; upstream needs root and sudo on the hub.
    - One cached query answers every poll; upstream runs one a session (#329).
    - An unknown answer is "unknown", never "gone"; upstream drops the session and leaks its job (#315).
    - What was submitted is saved at once, and waited for after a restart; upstream loses or ends it.
    - A job that ends before its session answers is noticed; upstream waits for the time-out (#215).
    - Port reports are checked (reports.py); upstream takes any attribute from any job of the user.
    - The first answer of the session is awaited, not polled for with a growing, random delay.
    - Why a session ended is told to its owner, once (farewell.py); upstream says "not running".
    - Whoever does not want to wait has theirs on the login node (local.py).
    """

    # ---- what a scheduler's own session says -------------------------------------------------
    scheduler: ClassVar[str]  # its name, in sentences
    cluster_kind: ClassVar[type[Cluster]]
    fields: ClassVar[Mapping[str, str]]  # of its form: name → label
    reasons: ClassVar[Mapping[str, str]]  # why a job waits or ended: the scheduler's words → ours
    silence: ClassVar[tuple[str, ...]]  # by which words its commands say that it did not answer

    def read(self, sent: Mapping[str, object]) -> RequestT:
        """The request of a form's fields, or of the API's JSON. Raises form.Refused."""
        raise NotImplementedError

    async def check(self, request: RequestT) -> GrantedT:
        """The request, if this person may have it. Raises form.Refused, or one of TROUBLES."""
        raise NotImplementedError

    async def draw(self, before: form.Before) -> str:
        """The form's fields as HTML. Raises one of TROUBLES."""
        raise NotImplementedError

    async def expected(self, granted: GrantedT) -> str:
        """When such a session would start, as a sentence; starts nothing. Raises one of TROUBLES."""
        raise NotImplementedError

    def place(self, granted: GrantedT) -> str:
        """Where the job waits, as a person reads it: "partition debug"."""
        raise NotImplementedError

    async def send(self, granted: GrantedT, env: Mapping[str, str]) -> str:
        """Submit the job, with this environment, and return its number. Raises one of TROUBLES."""
        raise NotImplementedError

    def plain(self, complaint: str) -> str:
        """The scheduler's complaint as a sentence."""
        raise NotImplementedError

    def why(self, reason: str) -> str:
        """Why a job waits or ended, in plain words; "" for no reason."""
        return self.reasons.get(reason) or (f"{self.scheduler} says “{reason}”" if reason else "")

    def waits(self, job: jobs.Job) -> str:
        """Why a job waits, likewise."""
        return self.why(job.reason)

    def line(self, job: jobs.Job) -> str:
        """Its position and expected start, as sentences, where the scheduler knows them."""
        return ""

    # ---- settings -----------------------------------------------------------------------------
    minter = Unicode(help="Address of the cluster's minter, like https://hpc-minter:8600").tag(config=True)
    keys = Unicode("/keys", help="Folder of the certificates that the minter knows.").tag(config=True)
    cell = Unicode(help="This hub's name: in job names and in the log.").tag(config=True)
    home = Unicode("/home/{username}", help="A person's home on the nodes.").tag(config=True)
    lab_python = Unicode("/opt/lab/bin/python", help="The Python of sessions, on the nodes.").tag(config=True)
    log_name = Unicode(".benchtop-session.log", help="In the home: what the latest session said.").tag(
        config=True
    )
    templates = Unicode("/etc/jupyterhub/templates", help="Folder of form.html.").tag(config=True)
    support = Unicode("the support", help="Whom a person may ask for more.").tag(config=True)
    cluster: ClusterT
    cluster = AnyTrait(help="The view of the cluster; shared by all sessions of the hub.")  # type: ignore[assignment]

    node = ""
    last_words = ""
    granted: Mapping[str, object] = {}  # what the running job was asked for
    ended = ""  # why the last session did, until its owner has read it
    tls_name = ""  # by which its job proves that it is this one: certificates.py
    _address = ""
    _submitted_at = float("-inf")
    _since = 0.0  # when the start began
    _gives_up = float("inf")  # … and until when its job may report, by the monotonic clock
    _node_by = 0.0  # … and until when its node must be known, once it was not
    _place = ""
    _port = 0  # what the job reported
    _refused: tuple[dict[str, str], form.Problem] | None = None
    _asked: Mapping[str, Any] = MappingProxyType({})  # what the last start asked for that was accepted
    _submission: "asyncio.Task[None] | None" = None
    _reported: "asyncio.Future[int] | None" = None
    _estimating = False
    _steps = Steps()
    _stage: tuple[int, str] = (5, "Asking the scheduler for a job.")

    @default("cluster")
    def _cluster(self) -> Cluster:
        cluster: Cluster = shared(self.cluster_kind, self.minter, self.keys)
        return cluster

    @property
    def _login(self) -> local.LoginNode:
        return login_node(self.cluster.minter, self.login_node, self.keys)

    @property
    def backend(self) -> Cluster:
        """Who runs the session. Its number says so: a hub that was restarted knows nothing else."""
        return self._login if self._on_login_node else self.cluster

    @property
    def backends(self) -> tuple[Cluster, ...]:
        """All who may run a session of this hub."""
        return (self.cluster, self._login) if self.login_node else (self.cluster,)

    @property
    def _on_login_node(self) -> bool:
        return self.job_id.startswith(local.PREFIX)

    @property
    def _by(self) -> str:
        return "the login node" if self._on_login_node else self.scheduler

    @default("env_keep")
    def _nothing_of_the_hub(self) -> list[str]:
        return []  # upstream hands the hub's own PATH and the like to the session

    @default("apply_user_options")
    def _start_applies(self) -> Callable[[object, object], None]:
        return lambda spawner, options: None  # start() checks: nothing that is configured can go round it

    # ---- what may be asked for ------------------------------------------------------------

    @default("options_form")
    def _has_form(self) -> Callable[["BatchSession[RequestT, GrantedT, ClusterT]"], Awaitable[str]]:
        return BatchSession._form

    async def _form(self) -> str:
        sent, problem = self._refused or ({}, None)
        self._refused = None
        try:
            return await self.draw(form.Before(self._asked, sent, problem))
        except TROUBLES as trouble:
            told = self._trouble("form", trouble)
            # which the minter lets nobody on to either
            login = bool(self.login_node) and not isinstance(trouble, Refused | Unavailable)
            return form.unavailable(Path(self.templates), told, form.Before({}, sent, problem), login=login)

    async def options_from_form(self, form_data: Mapping[str, list[str]]) -> dict[str, Any]:
        """What a form said, as it is kept and shown again; refused here, so that the form comes back."""
        sent = {name: value for name, value in form_data.items() if name != "_xsrf"}
        try:
            request = self.read(sent)
            await self._checked(request)
        except form.Refused as refused:
            shown = {
                name: form.shown(value[0]) for name, value in sent.items() if value and name in self.fields
            }
            self._refused = shown, refused.problem
            raise self._refusal(refused.problem) from None
        return request.model_dump()

    async def options_from_query(self, query_data: Mapping[str, list[str]]) -> dict[str, Any]:
        """A link fills the form in; it starts nothing: upstream starts a session for whoever follows it."""
        sent = {name: form.shown(value[0]) for name, value in query_data.items() if name in self.fields}
        self._refused = sent, form.Problem("", "", "", "")
        raise ForPerson(
            400, "a link does not start a session", "Look at what the link filled in, then press Start."
        )

    async def _checked(self, request: RequestT) -> GrantedT | local.Granted:
        try:
            if local.asked_for(request):
                return self.login_grants(getattr(request, "runtime", None), self.support)
            return await self.check(request)
        except TROUBLES as trouble:
            raise ForPerson(503, "rights unknown", self._trouble("rights", trouble)) from None

    async def estimate(self, sent: Mapping[str, object]) -> str:
        """When a session of this form would start (estimate.py). Raises form.Refused or ForPerson."""
        if self._estimating:
            raise ForPerson(429, "estimate asked for twice", "One question at a time, please.")
        self._estimating = True
        try:
            granted = await self._checked(self.read(sent))
            if isinstance(granted, local.Granted):
                return "It would start at once."
            return await self.expected(granted)
        except TROUBLES as trouble:
            if isinstance(trouble, commands.Failed) and not self._silent(trouble):
                return f"{self.scheduler} would not accept it: {self.plain(str(trouble))}"
            raise ForPerson(503, "start unknown", self._trouble("estimate", trouble)) from None
        finally:
            self._estimating = False

    def _refusal(self, problem: form.Problem) -> ForPerson:
        self.log.warning(
            "spawn refused user=%s cell=%s field=%s value=%r rule=%s request=%s",
            self.user.name, self.cell, problem.field, problem.value, problem.rule,
            request_id(self.handler) if self.handler else "-",
        )  # fmt: skip
        return ForPerson(400, f"{problem.field} refused by {problem.rule}", problem.sentence)

    def _trouble(self, what: str, trouble: Exception, by: str = SCHEDULER) -> str:
        """What a person reads of it; by: whose command it was, as the beginning of a sentence."""
        self.log.error(
            "cluster trouble user=%s cell=%s during=%s: %s: %s",
            self.user.name, self.cell, what, type(trouble).__name__, trouble,
        )  # fmt: skip
        if isinstance(trouble, Refused):
            return f"The cluster does not let you in: {trouble} Ask {self.support}."
        who = silent(trouble, by)
        return f"{who} does not answer. Try again in a minute, and tell {self.support} if it stays so."

    # ---- start ------------------------------------------------------------------------------

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Who and where; upstream looks into the hub's passwd, which knows nobody."""
        name = self.user.name
        env.update(USER=name, LOGNAME=name, HOME=self.home.format(username=name), SHELL="/bin/bash")
        return env

    @validate("oauth_client_id")
    def _client_of_a_named_server(self, proposal: Mapping[str, Any]) -> str:
        # upstream's "NAME-SERVER" is also another person's NAME, whose client this one would replace
        return f"jupyterhub-user-{self.user.name}.{self.name}" if self.name else str(proposal["value"])

    @property
    def log_file(self) -> str:
        """In the home: the log of this server, beside those of the person's other servers."""
        path = Path(self.log_name)
        return f"{path.stem}-{self.name}{path.suffix}" if self.name else self.log_name

    @property
    def node_name(self) -> str:
        """The node that it runs on, as far as that is known; unlike `node`, also to a restarted hub."""
        return self.node or certificates.node_of(urlsplit(self._address).hostname or "")

    def job_name(self) -> str:
        """Tells in the queue whose session of which cell a job is."""
        return "-".join(filter(None, ("jh", self.cell, self.user.name, self.name)))

    def mark(self) -> str:
        """Tells this cell, and nobody else can make it believe, that a job is a session of its own."""
        return marks.mark(self.user.settings["cookie_secret"], self.cell, self.user.name)

    async def start(self) -> str:
        """Submit the job and return the session's address as soon as it answers."""
        self._steps = Steps()
        try:
            request = self.read(self.user_options)
            granted = await self._checked(request)
        except form.Refused as refused:
            self._forget()
            raise self._refusal(refused.problem) from None
        self._since = time.time()
        self._place = self.login_node if isinstance(granted, local.Granted) else self.place(granted)
        self.port = self._port = 0  # the session finds one and reports it
        self.node = self.last_words = self.ended = ""
        self._reported = asyncio.get_running_loop().create_future()
        self._stage = (5, "Asking the scheduler for a job.")
        self._gives_up = time.monotonic() + self.start_timeout - LEAD
        self._node_by = 0.0
        # A task of its own, which a cancelled start does not cancel: nobody would know of the job.
        self._submission = asyncio.create_task(
            self._submit(granted, request.model_dump(exclude_defaults=True))
        )
        await asyncio.shield(self._submission)
        return await self._until_up()

    async def resume(self) -> str:
        """Wait on for a job that was submitted before the hub was restarted, and return as start() does."""
        self._steps = Steps()
        self._reported = asyncio.get_running_loop().create_future()
        left = self._since + self.start_timeout - LEAD - time.time()
        self._gives_up = time.monotonic() + max(RETURN, left)
        if self._port:
            self._reported.set_result(self._port)
        self._stage = (15, f"The hub was restarted. Job {self.job_id} has kept its place in {self._place}.")
        self.log.info("session resumed user=%s cell=%s job=%s", self.user.name, self.cell, self.job_id)
        return await self._until_up()

    async def _until_up(self) -> str:
        if not self.tls_name:
            sentence = "The facility was upgraded while this session was starting: start it again."
            raise self._sorry(sentence, "unnamed")
        port = await self._until_reported()
        url = f"https://{certificates.host(self.node, self.tls_name)}:{port}"
        await self._until_answering(url_path_join(url, self.server.base_url, "api"))
        self._steps.ended("answer")
        self._stage = (95, "JupyterLab answers.")
        self._address = url
        self.log.info(
            "session started user=%s cell=%s job=%s at=%s:%s %s",
            self.user.name, self.cell, self.job_id, self.node, port, self._steps,
        )  # fmt: skip
        return url

    async def _send(self, granted: GrantedT | local.Granted, env: Mapping[str, str]) -> str:
        if not isinstance(granted, local.Granted):
            return await self.send(granted, env)
        group = self.authenticator.required_group
        asked = self.login_request(granted, env, self.log_file, group, self.mark())
        return (await self._login.run(self.user.name, "start", stdin=asked)).strip()

    async def _submit(self, granted: GrantedT | local.Granted, asked: Mapping[str, Any]) -> None:
        env = {**self.get_env(), "LANG": "C.UTF-8", "PATH": f"{Path(self.lab_python).parent}:{commands.PATH}"}
        self.tls_name, runtime = certificates.new_name(), timedelta(minutes=asdict(granted)["runtime"])
        env[certificates.VARIABLE] = certificates.authority(self.keys).issue(self.tls_name, runtime)
        try:
            number = await self._send(granted, env)
        except commands.Failed as failed:
            here = isinstance(granted, local.Granted)
            if self._silent(failed):
                by = LOGIN_NODE if here else SCHEDULER
                raise self._sorry(self._trouble("submit", failed, by), "silence") from None
            self.log.warning(
                "spawn refused user=%s cell=%s by=%s: %s",
                self.user.name, self.cell, self.scheduler.lower(), failed,
            )  # fmt: skip
            self._forget()
            self.cluster.forget()  # by what it went, this was granted
            sentence = f"{self.scheduler} does not accept the session: {self.plain(str(failed))}"
            if here:
                sentence = f"The login node does not start the session: {failed}"
            raise self._sorry(sentence, "submit") from None
        except (Refused, Unavailable) as trouble:
            raise self._sorry(self._trouble("submit", trouble), "minter") from None
        self._submitted_at = time.monotonic()
        self._steps.ended("submit")
        if not jobs.NUMBER.fullmatch(number):
            raise self._sorry(f"{self.scheduler} gave the session no number.", "submit")
        self.job_id = number
        self._asked, self.granted = asked, asdict(granted)
        self._save()
        self._stage = (15, f"Job {self.job_id} is in the queue of {self._place}.")
        if self._on_login_node:
            self._stage = (15, f"The session starts on {self._place}.")
        what = " ".join(f"{name}={value}" for name, value in asdict(granted).items())
        self.log.info(
            "session submitted user=%s cell=%s job=%s %s", self.user.name, self.cell, self.job_id, what
        )

    def _silent(self, failed: commands.Failed) -> bool:
        return any(words in str(failed) for words in (commands.NO_ANSWER, *self.silence, *local.SILENCE))

    def _forget(self) -> None:
        # JupyterHub keeps what the API sent before anybody has looked at it, for a start that says nothing.
        self.user_options = dict(self._asked)
        self.orm_spawner.user_options = dict(self._asked)

    def _save(self) -> None:
        # A hub that is restarted now finds the job in its database and waits on. Upstream saves only
        # when the session runs, and the job of a session that was waiting belongs to nobody.
        database = inspect(self.orm_spawner).session
        try:
            self.orm_spawner.state = self.get_state()
            database.commit()
        except SQLAlchemyError:
            database.rollback()
            self.log.exception("state not saved user=%s job=%s", self.user.name, self.job_id)

    async def _until_reported(self) -> int:
        """The port, once the job said it, with `node` known."""
        reported = self._reported = self._reported or asyncio.get_running_loop().create_future()
        while time.monotonic() < self._gives_up:
            done, _ = await asyncio.wait({reported}, timeout=STARTING_AGE)
            # a report came from a running job: the next answer of the queue must be younger than it
            job = await self._look(0.0 if done else STARTING_AGE)
            if job is None:
                continue
            if not job.waiting and job.node:
                self._steps.ended("queue")
                if not await self._at(job.node):
                    continue
                self._stage = (50, f"The job runs on {self.node}. JupyterLab is starting.")
                if done:
                    self._steps.ended("report")
                    self._stage = (75, f"JupyterLab is coming up on {self.node}.")
                    return reported.result()
            elif job.waiting and not self._on_login_node:
                why = self.waits(job)
                waiting = f"Waiting in the queue of {self._place}{f': {why}' if why else ''}."
                self._stage = (20, f"{waiting} {self.line(job)}".strip())
            if done:
                await asyncio.sleep(0.1)  # reported, and yet not running by the queue: it lags for an instant
        raise self._sorry(
            f"The session did not start within {_long(self.start_timeout)} and was given up. "
            f"The last that was known: {self._stage[1]}",
            "queue",
        )

    async def _at(self, node: str) -> bool:
        """Take note of where it runs, if the cluster knows that node by now; a restarted one may not yet."""
        if node == self.node:
            return True
        try:
            if await self.backend.is_node(node, self.user.name):
                self.node = node
                self._save()
                return True
            self._node_by = self._node_by or time.monotonic() + NODE_PATIENCE
            if time.monotonic() > self._node_by:
                sentence = f"Job {self.job_id} runs on {node}, which is no node that the cluster knows."
                raise self._sorry(sentence, "node")
        except TROUBLES as trouble:
            self.log.warning(
                "node unknown user=%s job=%s node=%s: %s", self.user.name, self.job_id, node, trouble
            )
        await asyncio.sleep(STARTING_AGE)
        return False

    async def _until_answering(self, url: str) -> None:
        # The session listens before it has loaded anything, so that one request waits for it there; it
        # does so before its TLS begins, which counts as connecting.
        patience = aiohttp.ClientTimeout(total=None)
        end = time.monotonic() + ANSWER_PATIENCE
        while time.monotonic() < end:
            asked = asyncio.create_task(
                fetch(url, raise_for_status=False, allow_redirects=False, timeout=patience)
            )
            try:
                # An answer is taken at once; a look at the queue may take longer than it took.
                await asyncio.wait({asked}, timeout=STARTING_AGE)
                while not asked.done() and time.monotonic() < end:
                    await self._look(STARTING_AGE)
                    await asyncio.wait({asked}, timeout=STARTING_AGE)
                if not asked.done():
                    break
                answer = asked.result()
                answer.release()
                if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                self.log.debug("session of %s does not answer yet: %s", self.user.name, error)
            finally:
                asked.cancel()
            await self._look(STARTING_AGE)
            await asyncio.sleep(0.1)
        raise self._sorry(f"The job runs on {self.node}, but JupyterLab does not answer there.", "no-answer")

    def _age(self, most: float) -> float:
        # An answer from before the job was submitted does not know of it: by that one it would be gone,
        # and nobody would end it when a start is cancelled in its first seconds.
        return max(0.0, min(most, time.monotonic() - self._submitted_at))

    async def _look(self, max_age: float) -> jobs.Job | None:
        """The job while it lives, None when the scheduler does not say. Raises SessionFailed if it ended."""
        try:
            job = await self.backend.queue.job(self.job_id, self.user.name, max_age=self._age(max_age))
        except jobs.Unknown as unknown:
            self.log.warning("queue unknown user=%s job=%s: %s", self.user.name, self.job_id, unknown)
            who = silent(unknown.trouble, LOGIN_NODE if self._on_login_node else SCHEDULER)
            self._stage = (self._stage[0], f"{who} does not answer at the moment; still trying.")
            return None
        if job is None:
            sentence = f"Job {self.job_id} is no longer known to {self._by}: somebody ended it."
            raise self._sorry(sentence, "gone")
        if job.alive:
            self.job_status = f"{job.state} {job.node}".strip()
            return job
        why = self._why(job)
        if job.lingers:
            await self.stop(now=True)
        end = time.monotonic() + WORDS_PATIENCE
        while job.state == "FAILED" and not self.last_words and time.monotonic() < end:
            await asyncio.sleep(0.05)
        raise self._sorry(f"Job {self.job_id} ended before JupyterLab could start: {why}.", "job-ended")

    def _why(self, job: jobs.Job | None) -> str:
        """Why a job ended, as the end of a sentence."""
        if job is None:
            return f"it is no longer known to {self._by}"
        # the state first: a job that was cancelled in the queue keeps the reason why it waited there
        return (
            job.told
            or _ENDS.get(job.state)
            or (job.reason and self.why(job.reason))
            or f"{job.state.lower()}, {job.reason}".rstrip(", ")
        )

    def _sorry(self, sentence: str, reason: str) -> SessionFailed:
        """A start that failed, as the person reads it: a sentence, the session's last words, what to do."""
        log = f"~/{self.log_file}"
        advice = f"Its log is {log}. If it does not tell you more, ask {self.support}."
        html = f"<p>{escape(sentence)}</p>"
        if self.last_words:
            html += f"<p>The last lines of {escape(log)}:</p><pre>{escape(self.last_words)}</pre>"
        if reason not in {"job-ended", "no-answer"}:
            advice = f"If it stays like this, ask {self.support}."
        html += f"<p>{escape(advice)}</p>"
        words = f" last words: {self.last_words[-400:]!r}" if self.last_words else ""
        self.log.error(
            "session failed user=%s cell=%s job=%s reason=%s: %s%s",
            self.user.name, self.cell, self.job_id or "-", reason, sentence, words,
        )  # fmt: skip
        return SessionFailed(sentence, html, reason)

    # ---- what the job says (reports.py) -----------------------------------------------------

    def is_own(self, token: str) -> bool:
        """Is this the token of the session that was started last? Known also to a hub that was restarted."""
        if self.api_token:
            return compare_digest(self.api_token.encode(), token.encode())
        client = self.orm_spawner.oauth_client
        if not client or not client.secret or not compare_token(client.secret, token):
            return False
        self.api_token = token  # upstream takes it back when the session ends, if it knows it
        return True

    def report_port(self, port: int) -> bool:
        """The job says where it listens. False: nothing is waiting for it, or it said another port before."""
        if self._reported is None or self.pending != "spawn":
            return False
        if not self._reported.done():
            self._reported.set_result(port)
            self._port = port
            self._save()  # the job says it once
        return not self._reported.cancelled() and self._reported.result() == port

    def report_end(self, lines: str) -> bool:
        """The job gives up before it listened, and says what its log says."""
        if self._reported is None or self.pending != "spawn":
            return False
        self.last_words = lines
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
                self.ended = farewell.because("the facility was upgraded")
                self._save()
            return 1
        try:
            job = await self.backend.queue.job(self.job_id, self.user.name, max_age=self._age(RUNNING_AGE))
        except jobs.Unknown as unknown:
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
            self.ended = farewell.because(self._why(job))
            self._save()
        return 1

    @property
    def submitting(self) -> bool:
        """Is a job on its way into the queue, whose number is not known yet?"""
        return bool(self._submission and not self._submission.done())

    def has_job(self, listed: Mapping[str, jobs.Job]) -> bool:
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

    def get_state(self) -> dict[str, Any]:
        """What another hub process has to know."""
        state: dict[str, Any] = super().get_state()
        if self.tls_name:
            state["tls_name"] = self.tls_name
        if self._asked:
            state["asked"] = dict(self._asked)
        if self.granted:
            state["granted"] = dict(self.granted)
        if self.ended:
            state["ended"] = self.ended
        if self._address:
            state["address"] = self._address
        elif self.job_id:
            state.update(since=self._since, place=self._place, port=self._port)
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Know the job again, and go on with one that was being started."""
        super().load_state(state)
        self.tls_name = state.get("tls_name", "")
        self._asked = state.get("asked", {})
        self._address = state.get("address", "")
        self.granted = state.get("granted", {})
        self.ended = state.get("ended", "")
        if self.job_id and not self._address:
            self._since, self._place = state.get("since", 0.0), state.get("place", "the queue")
            self._port = state.get("port", 0)
            adoption.begin(self)
        elif self.job_id:
            adoption.keep(self)

    @property
    def server(self) -> Any:  # noqa: ANN401 upstream's has no type
        """Upstream's, but hidden from its first look after a restart, of a session that has a job.

        It would ask for a page, and end the session because no page comes: of one that is suspended, or
        still being started. Whether a job lives is the scheduler's to say (adoption.py).
        """
        return None if self._check_pending and self.job_id else super().server

    @server.setter
    def server(self, server: object) -> None:
        upstream: Any = BatchSpawnerBase.server
        upstream.fset(self, server)

    def clear_state(self) -> None:
        """Forget the job, the tasks of its start included; not why it ended, which is still to be told."""
        super().clear_state()
        self.node = self.tls_name = self._address = self._place = ""
        self.granted = {}
        self._port = 0
        self._submission = self._reported = None

    @property
    def stage(self) -> tuple[int, str]:
        """How far the start is, in percent and as a sentence."""
        return self._stage

    async def progress(self) -> AsyncGenerator[dict[str, Any], None]:
        """What is happening, each change once, for the page that a person waits on."""
        said: tuple[int, str] | None = None
        while self.pending == "spawn":
            if self._stage != said:
                said = self._stage
                yield {"progress": said[0], "message": said[1]}
            await asyncio.sleep(0.2)


def _long(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"


_ENDS = {
    "CANCELLED": "it was cancelled",
    "TIMEOUT": "its time was over",
    "OUT_OF_MEMORY": "it needed more memory than it had asked for",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "a job with a higher right took its place",
}
