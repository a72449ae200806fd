# ruff: noqa: D102  # stand-ins: their names say it
"""The hub's own backends, told by a test what their commands answer, and sessions on them without a hub."""

import asyncio
import json
import logging
import re
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchtop_hub.access.minter import Refused
from benchtop_hub.backends import commands, marks
from benchtop_hub.backends.backend import AnyBackend, Cell
from benchtop_hub.backends.condor.backend import CondorBackend
from benchtop_hub.backends.login_node import LoginNode
from benchtop_hub.backends.queue import Job, Queue
from benchtop_hub.backends.slurm import form, squeue
from benchtop_hub.backends.slurm.backend import SlurmBackend
from benchtop_hub.backends.slurm.rights import Choice, Limit, Shape
from benchtop_hub.sessions import placed
from benchtop_hub.sessions.batch import CondorSession, SlurmSession

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "hub/templates"
COOKIE_SECRET = b"0" * 32
SECRET = "token of the 'session'"
NAMED = "0" * 32 + ".session"  # the name of a session that runs
CHOICE = Choice(
    "debug", "default", "normal", Limit(30, "partition:debug/MaxTime"), {"pascal": Limit(1, "x")},
    Limit(8, "x"), Limit(4096, "x"), (Shape(8, 4096, {"any": 2, "pascal": 2}),),
)  # fmt: skip
RUNNING = Job("RUNNING", "gpu-1", "")
LOGIN_NUMBER = "local-2001-1700000000"
POOL = json.dumps(
    [
        {"Machine": "ep-1", "IsJupyterSlot": True, "Cpus": 6, "Memory": 2048, "Disk": 4096 * 1024}
        | {"TotalSlotCpus": 6, "TotalSlotMemory": 2048, "TotalSlotDisk": 4096 * 1024}
    ]
)


class Minter:
    """Vouches for everybody but who left."""

    def __init__(self):
        self.keys: list[str] = []
        self.trouble: Exception | None = None

    async def token(self, person):
        if self.trouble:
            raise self.trouble
        return f"token-of-{person}"

    async def certificate(self, person, key):
        if person == "leaver":
            raise Refused("The login of leaver is disabled.")
        self.keys.append(key)
        return f"certificate of {person}"

    def known(self):
        return ["bob"]


def cell(name: str) -> Cell:
    """A cell with the templates of the hub."""
    minter: Any = Minter()
    support = f"{name[:3]}-support@example.org"
    return Cell(name, minter, Path("/keys"), TEMPLATES, COOKIE_SECRET, support, f"cluster-{name[:3]}")


class Later:
    """A clock by which, whenever it is asked, some seconds have gone by."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


class Noted(Queue):
    """A queue that is always asked, and knows how old an answer might have been."""

    oldest = 0.0

    def __init__(self, ask, parse):
        super().__init__(ask, parse, clock=Later(1000.0))

    async def job(self, number, person, *, max_age=1.0):
        self.oldest = max_age
        return await super().job(number, person, max_age=max_age)


class Slurm(SlurmBackend):
    """Slurm with one job, told by the test what to say."""

    def __init__(self, **traits):
        super().__init__(cell("hpc-1"), **traits)
        self.queue = Noted(self._in_anybodys_name, self.parse_queue)
        self.ran: list[tuple[str, ...]] = []
        self.sent = ""
        self.env: dict[str, str] = {}
        self.job: Job | Exception | None = RUNNING
        self.on_submit: asyncio.Event | None = None
        self.refuse: Exception | None = None
        self.no_offer: Exception | None = None
        self.remembers = True
        self.cancels_fail: list[str] = []  # what scancel says against it, each time
        self.rights_asked = 0.0  # the age that an answer about rights might have had
        self.estimate = "sbatch: Job 43 to start at 2020-01-01T12:00:00 using 1 processors on nodes gpu-1\n"
        self.nodes = {"gpu-1"}
        self.choices = [CHOICE]

    def forget(self):
        self.remembers = False
        super().forget()

    async def offer(self, person, groups, *, max_age, own_age=None):
        if self.no_offer:
            raise self.no_offer
        self.rights_asked = own_age
        return form.Offer(self.choices)

    async def list_nodes(self, person, max_age):
        return self.nodes

    async def run(self, person, *command, stdin="", env=None, errors=False):
        if command[0] == "squeue":
            return self._listing(next(word for word in command if word.startswith("--format=")))
        self.ran.append(command)
        if command[0] == "sbatch":
            self.sent, self.env = stdin, dict(env)
            if self.refuse:
                raise self.refuse
            if "--test-only" in command:
                assert errors, "sbatch says it on stderr"
                await asyncio.sleep(0)
                return self.estimate
            if self.on_submit:
                await self.on_submit.wait()
            return "sbatch: a warning\n42;hpc\n"
        if command[0] == "scancel":
            if self.cancels_fail:
                raise commands.Failed(self.cancels_fail.pop(0))
            self.job = Job("CANCELLED", "gpu-1", "")
        return ""

    def _listing(self, asked):
        """What squeue says of its job, in the form that it is asked for."""
        if isinstance(self.job, Exception):
            raise self.job
        if self.job is None:
            return ""
        job = self.job
        said = {
            "%i": "42", "%T": job.state, "%B": job.node or "n/a", "%P": "debug", "%Q": str(job.priority),
            "%S": "N/A", "%r": job.reason or "None", "%.150k": marks.mark(COOKIE_SECRET, "hpc-1", "alice"),
        }  # fmt: skip
        assert asked.endswith(squeue.FORMAT)
        prefix = asked.removeprefix("--format=").removesuffix(squeue.FORMAT)
        return prefix + re.sub(r"%[.\w]*[a-zA-Z]", lambda field: said[field[0]], squeue.FORMAT) + "\n"

    def names(self):
        return [command[0] for command in self.ran]


class Pool(CondorBackend):
    """A pool of one job, told by the test what to say."""

    def __init__(self, **traits):
        super().__init__(cell("htc-1"), clock=Later(10.0), **traits)
        self.queue = Noted(self._in_anybodys_name, self.parse_queue)
        self.ran: list[tuple[str, ...]] = []
        self.env: dict[str, str] = {}
        self.handed_over: dict[str, str] = {}
        self.modes: set[int] = set()
        self.job: dict[str, object] | None = {"JobStatus": 2, "RemoteHost": "jupyter1_1@ep-1"}
        self.refuse: Exception | None = None
        self.shown = POOL

    async def run(self, person, *command, stdin="", env=None, errors=False):
        self.ran.append(command)
        self.env = dict(env or {})
        if command[0] == "condor_submit":
            if self.refuse:
                raise self.refuse
            folder = Path(command[-1]).parent
            self.handed_over = {path.name: path.read_text() for path in folder.iterdir()}
            self.modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "session")}
            return "42.0 - 42.0\n"
        if command[0] == "condor_status":
            return self.shown
        if command[0] == "condor_q" and "-better-analyze" not in command:
            mark = marks.mark(COOKIE_SECRET, "htc-1", "alice")
            ad = {"ClusterId": 42, "Owner": "alice", "BenchtopMark": mark}
            return json.dumps([ad | self.job]) if self.job else ""
        if command[0] == "condor_rm":
            self.job = None
        return ""

    def names(self):
        return [command[0] for command in self.ran]


class Node(LoginNode):
    """A login node behind a real command line of ssh, whose queue is always asked."""

    def __init__(self, **traits):
        super().__init__(cell("hpc-1"), **{"login_node": "hpc-login", **traits})
        self.queue = Noted(self._in_anybodys_name, self.parse_queue)


class _Alone:
    """A spawner without the rest of JupyterHub."""

    pending: str | None = "spawn"
    saves = 0

    def get_env(self):
        address = {"JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:0/jupyterhub/hpc/user/alice/"}
        return {"JUPYTERHUB_API_TOKEN": SECRET, **address, **self.user_env({})}

    def save_state(self):
        self.saves += 1

    def adopt(self, *, starting):
        self.adopted = "start" if starting else "session"


class OnSlurm(_Alone, SlurmSession):
    """One of Slurm's cluster."""

    server = SimpleNamespace(base_url="/jupyterhub/hpc/user/alice/")


class OnCondor(_Alone, CondorSession):
    """One of HTCondor's."""

    server = SimpleNamespace(base_url="/jupyterhub/htc/user/alice/")


def session(kind: type[Any], *backends: AnyBackend, keys: Path | str = "/keys", **traits: Any) -> Any:
    """Alice's session, which these backends may run."""
    user = SimpleNamespace(
        name="alice", groups=[], settings={"cookie_secret": COOKIE_SECRET, placed.BACKENDS: backends}
    )
    given = {
        "user": user, "orm_spawner": SimpleNamespace(server=None, name="", user_options={}),
        "user_options": {}, "log": logging.getLogger("test"), "keys": str(keys),
        "cell": backends[0].cell.name, "support": backends[0].cell.support, "jobs": str(ROOT / "hub/jobs"),
    }  # fmt: skip
    return kind(**{**given, **traits})


Other = Callable[[Any], Awaitable[object]]


async def number_of(session: Any) -> str:
    """The number of its job, as soon as it has one."""
    while not session.job_id:
        await asyncio.sleep(0)
    return str(session.job_id)


async def reported(session: Any, port: int = 45678) -> bool:
    """The job's report, as soon as it is waited for."""
    await number_of(session)
    return bool(session.report_port(port))


def start(session: Any, *others: Other) -> str:
    """The address of a session that is started, while the others do theirs."""

    async def both() -> str:
        return str((await asyncio.gather(session.start(), *(other(session) for other in others)))[0])

    return asyncio.run(asyncio.wait_for(both(), 10))


def runs(number: str = "42", node: str = "gpu-1", **more: object) -> Mapping[str, object]:
    """The state of a session that runs."""
    return {"job_id": number, "address": f"https://{node}.{NAMED}:45678", "tls_name": NAMED, **more}
