"""What every backend can do: a batch system, a login node, whatever runs sessions.

A backend is made once a hub. It is asked by command, in one person's name, and what it answers is remembered
for a while. The `where` of a request chooses it, and the prefix of a job's number finds it again after a
restart of the hub.
"""

import asyncio
import time
from abc import ABCMeta, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from traitlets import MetaHasTraits
from traitlets.config import LoggingConfigurable

from benchtop_hub import wording
from benchtop_hub.access.minter import Minter, Refused, Unavailable
from benchtop_hub.backends import commands, request
from benchtop_hub.backends.page import Place, Places
from benchtop_hub.backends.queue import Job, Queue
from benchtop_hub.backends.request import Before, GrantedT, RequestT

T = TypeVar("T")
FREE_AGE = 5.0  # seconds: as old may be what is known of free CPUs and GPUs
TROUBLES = (commands.Failed, Unavailable, Refused)  # what a command may raise
REMEMBER = 60.0  # seconds: as long may a change of rights take to reach the form; the scheduler knows at once
NO_HOME = "/nonexistent"  # of a job's shell until our own first lines: it reads nothing of a person's
AROUND = frozenset({"prologue", "epilogue", "keepvars_extra"})  # of the `req_` settings: heeded in any job
ENDS: Mapping[str, str] = {  # how a job ended, by its state
    "CANCELLED": "it was cancelled",
    "TIMEOUT": wording.TIME_LIMIT,
    "OUT_OF_MEMORY": wording.OUT_OF_MEMORY,
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "a job with a higher priority took its place",
}


OF_MEMORY = frozenset({wording.OUT_OF_MEMORY, wording.KILLED})


class Denied(Exception):  # noqa: N818  # what it is, not that it is an error
    """The scheduler lets this person not end this job: it is somebody else's."""


@dataclass(frozen=True)
class Cell:
    """What a backend knows of the hub that it serves.

    secret: by which the cell signs its marks; support: whom a person may ask
    group: whose members may be here
    """

    name: str
    minter: Minter
    keys: Path
    templates: Path
    secret: bytes = field(repr=False)
    support: str = "the support"
    group: str = ""


@dataclass(frozen=True)
class Person:
    """Who asks. defaults: what the site gives who does not say, by batchspawner's `req_` names."""

    name: str
    groups: frozenset[str] = frozenset()
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Launch:
    """What a backend needs to start a session that was granted.

    name, mark: of its job, for people and for this cell (marks.py); server: "" for the default one
    log: the name of its log in the home
    env: the whole environment of the session, secrets included
    script: the site's batch script with these values in it; prologue, epilogue: around the session
    command: what starts the session, for a shell
    keep: variables with values that the site adds (NAME=VALUE, …)
    """

    person: str
    name: str
    mark: str
    home: str
    log: str
    env: Mapping[str, str] = field(repr=False)
    script: Callable[[Mapping[str, object]], str] = field(repr=False)
    command: str = field(repr=False)
    prologue: str = ""
    epilogue: str = ""
    keep: str = ""
    server: str = ""


@dataclass(frozen=True)
class Pending:
    """A job that waits, for who explains it. granted: what it was asked for, as far as that is known."""

    person: str
    number: str
    place: str
    job: Job
    granted: Mapping[str, Any]


@dataclass
class _Kept(Generic[T]):
    value: T
    at: float


class _Abstract(ABCMeta, MetaHasTraits):
    """A Configurable that is made only when nothing of it is missing."""


class Backend(LoggingConfigurable, Generic[RequestT, GrantedT], metaclass=_Abstract):
    """Who runs sessions, for the people of one hub."""

    where: ClassVar[str]  # the word of a request that chooses it
    name: ClassVar[str]  # in a sentence
    label: ClassVar[str]  # in the form
    prefix: ClassVar[str] = ""  # of its jobs' numbers
    request: type[RequestT]  # what its form asks
    fields: ClassVar[Mapping[str, str]]  # of its form: name → label
    silences: ClassVar[tuple[str, ...]]  # by which words its commands tell that it did not answer
    who: ClassVar[str] = "The scheduler"  # did not answer, as the beginning of a sentence
    reasons: ClassVar[Mapping[str, str]] = {}  # why a job waits or ended: its words → ours
    stands_in: ClassVar[bool] = False  # does it still start sessions while another backend is silent?
    numbered: ClassVar[bool] = True  # do its jobs have numbers that mean something to people?

    def __init__(self, cell: Cell, *, clock: Callable[[], float] = time.monotonic, **traits: object) -> None:
        super().__init__(**traits)
        self.cell = cell
        self.queue = Queue(self._in_anybodys_name, self.parse_queue)
        self._clock = clock
        self._kept: dict[str, _Kept[str]] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def offered(self) -> bool:
        """Is it there at this site?"""
        return True

    # ---- what may be asked for --------------------------------------------------------------

    def parse_request(self, sent: Mapping[str, Any]) -> RequestT:
        """The request of a form's fields, or of the API's JSON. Raises request.Refused."""
        return request.parse(sent, self.request, self.fields)

    @abstractmethod
    async def check_request(self, request: RequestT, person: Person) -> GrantedT:
        """The request with its open parts filled, if this person may have it.

        Raises request.Refused, or one of TROUBLES.
        """

    @abstractmethod
    async def render_form(self, person: Person, before: Before, places: Places, *, anew: bool = False) -> str:
        """The form's fields as HTML. anew: by answers of this moment. Raises one of TROUBLES."""

    async def describe_free(self, person: Person) -> str:
        """What is free now of what this person may use, as a sentence. Raises one of TROUBLES."""
        return ""

    async def describe_room(self) -> str:
        """The same for anybody, where no field of the form says it. Raises one of TROUBLES."""
        return ""

    @abstractmethod
    async def expected_start(self, granted: GrantedT, launch: Launch) -> str:
        """When such a session would start, as a sentence; starts nothing. Raises one of TROUBLES."""

    async def rehearse(self, granted: GrantedT, launch: Launch) -> None:
        """Have the scheduler judge the job, and start nothing. Raises one of TROUBLES."""

    @abstractmethod
    def check_defaults(self, settings: Mapping[str, str]) -> frozenset[str]:
        """Which of the site's `req_` settings are heeded, by the names without it.

        Raises ValueError with a sentence for one that cannot be read.
        """

    # ---- jobs ---------------------------------------------------------------------------------

    @abstractmethod
    def describe_queue(self, granted: GrantedT) -> str:
        """Where the job waits, as a person reads it: "partition debug"."""

    def describe_place(self, granted: GrantedT) -> str:
        """Where the session runs, beside the name of its node: "partition debug"."""
        return self.describe_queue(granted).removeprefix("the ")

    @abstractmethod
    async def submit(self, granted: GrantedT, launch: Launch) -> str:
        """Submit the job and return its number. Raises one of TROUBLES."""

    @abstractmethod
    async def list_jobs(self, person: str) -> str:
        """What the scheduler says of the jobs in its queue, asked in one person's name."""

    @abstractmethod
    def parse_queue(self, listing: str) -> Mapping[str, Job]:
        """The jobs of a listing, by number."""

    @abstractmethod
    async def list_nodes(self, person: str, max_age: float) -> Set[str]:
        """The nodes, by what was known of them at most `max_age` seconds ago. Raises as `run` does."""

    async def is_node(self, name: str, person: str) -> bool:
        """Is this a node of the cluster? A session is looked for nowhere else. Raises as `run` does."""
        for age in (REMEMBER, 0.0):  # it may be new
            if name in await self.list_nodes(person, age):
                return True
        return False

    @abstractmethod
    async def cancel(self, number: str, person: str) -> bool:
        """Tell the scheduler to end a job; False when it knows no such job. Raises Denied, or as `run`."""

    async def insist(self, number: str, person: str) -> None:
        """What is left to do for a job that was cancelled and does not end: here, to say it again."""
        await self.cancel(number, person)

    # ---- in plain words ---------------------------------------------------------------------

    def explain_reason(self, reason: str) -> str:
        """Why a job waits or ended; "" for no reason."""
        return self.reasons.get(reason) or (f"{self.name} says “{reason}”" if reason else "")

    def explain_wait(self, pending: Pending) -> str:
        """What is known of a job that waits; "" when there is nothing to tell."""
        why = self.explain_reason(pending.job.reason)
        return f"Waiting in the queue of {pending.place}{f': {why}' if why else ''}."

    def explain_end(self, job: Job | None, granted: Mapping[str, object]) -> str:
        """Why a job ended, as the end of a sentence; None: it is not in the queue any more.

        granted: what it was asked for
        """
        if job is None:
            return f"it is no longer known to {self.name}"
        why = self._why(job)
        if why in OF_MEMORY and (memory := granted.get("memory")):
            return f"{why} ({memory} MB). Request more next time"
        return why

    def _why(self, job: Job) -> str:
        # the state first: a job that was cancelled in the queue keeps the reason why it waited there
        return (
            job.message
            or ENDS.get(job.state)
            or (job.reason and self.explain_reason(job.reason))
            or f"{job.state.lower()}, {job.reason}".rstrip(", ")
        )

    def lacked_memory(self, job: Job | None) -> bool:
        """Did it end because it asked for too little memory?"""
        return job is not None and (job.state == "OUT_OF_MEMORY" or self._why(job) in OF_MEMORY)

    @property
    def hint(self) -> str:
        """What it is good for, as a sentence beside the form's choice."""
        return ""

    @property
    def place(self) -> Place:
        """How the form offers it, but for what is free."""
        return Place(self.where, self.label, self.hint)

    def describe_job(self, number: str) -> str:
        """What is started, as the beginning of a sentence."""
        return f"Job {number}"

    def describe_node(self, node: str) -> str:
        """Where it runs, as the end of a sentence."""
        return node

    def explain_submitted(self, number: str, place: str) -> str:
        """What became of a start by now, as a sentence."""
        return f"{self.describe_job(number)} is queued in {place}."

    def explain_refusal(self, complaint: str) -> str:
        """Why the scheduler takes no such job, as a sentence, by what its command printed."""
        return f"{self.name} refused the session: {self.clean_complaint(complaint)}"

    def clean_complaint(self, complaint: str) -> str:
        """The complaint of a command without its own name and prefixes, as a sentence."""
        return complaint

    def is_silent(self, failed: commands.Failed) -> bool:
        """Did the command fail because nobody answered it?"""
        return any(words in str(failed) for words in (commands.NO_ANSWER, *self.silences))

    # ---- commands ----------------------------------------------------------------------------

    async def run(
        self,
        person: str,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        errors: bool = False,
    ) -> str:
        """Run one of the scheduler's commands as `person`; `errors` as commands.run has it.

        Raises commands.Failed, minter.Refused or minter.Unavailable.
        """
        shown = self.show_token(person, await self.cell.minter.token(person))
        return await commands.run(*command, stdin=stdin, env={**(env or {}), **shown}, errors=errors)

    @abstractmethod
    def show_token(self, person: str, token: str) -> dict[str, str]:
        """The variables by which a command shows the token of a person."""

    def forget(self) -> None:
        """Ask for everything anew: the scheduler has just contradicted what was remembered."""
        self._kept.clear()

    async def _ask(self, what: str, person: str, *command: str, max_age: float = REMEMBER) -> str:
        """What a command printed at most `max_age` seconds ago; `what` names the question.

        Who asks while somebody is asking already is served by that answer, unless an older one will do.
        """
        needed = self._clock() - max_age
        if (kept := self._kept.get(what)) and kept.at >= needed:
            return kept.value
        async with self._asking[what]:
            kept = self._kept.get(what)
            if kept is None or kept.at < needed:
                began = self._clock()
                kept = self._kept[what] = _Kept(await self.run(person, *command), began)
        return kept.value

    async def _in_anybodys_name(self, person: str) -> str:
        """The whole queue: everybody may see it, so it may be asked in anybody's name."""
        for who in dict.fromkeys((person, *self.cell.minter.known())):
            try:
                return await self.list_jobs(who)
            except Refused as refused:  # somebody who left: their jobs are still looked at
                why = refused
        raise why


AnyBackend = Backend[Any, Any]
