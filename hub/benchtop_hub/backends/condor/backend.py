"""A session is an HTCondor job."""

import json
import shlex
import tempfile
import time
from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

from batchspawner import CondorSpawner
from traitlets import Integer, Unicode, default

from benchtop_hub.access.minter import Minter
from benchtop_hub.backends import commands, job_script, marks
from benchtop_hub.backends import queue as jobs
from benchtop_hub.backends.backend import FREE_AGE, Cluster
from benchtop_hub.backends.condor import form as pool
from benchtop_hub.backends.condor import reasons as condor_waiting
from benchtop_hub.backends.slurm import form
from benchtop_hub.sessions.spawner import BatchSession, shared

# The session's environment, secrets included, travels in this file: 0600 here, in the access point's spool
# and on the node, and gone once it is read. In the job's ad it would be everybody's (upstream: GetEnv).
SCRIPT = (
    """\
#!/bin/bash
rm -f -- "$0"
{exports}
export BENCHTOP_ENDS=$((EPOCHSECONDS + {seconds}))  # JupyterLab warns of it
exec >{log} 2>&1 || exec >log 2>&1  # a home may be full, or not be there: then in the job's own folder
cd ~
"""
    + job_script.RUN
)

# A comma in a value, a quote or a line break in a name would be HTCondor's own syntax: nothing of a person's
# is in here but names and numbers that were checked.
DESCRIPTION = """\
universe = vanilla
initialdir = {folder}
executable = /bin/bash
transfer_executable = false
arguments = session
transfer_input_files = session
transfer_output_files = ""
should_transfer_files = YES
output = /dev/null
error = /dev/null
request_cpus = {granted.cpus}
request_memory = {granted.memory}M
request_disk = {granted.disk}M
JobBatchName = {name}
My.BenchtopCell = "{cell}"
My.BenchtopMark = "{mark}"
My.IsJupyter = {jupyter}
# One that ended stays in the queue for a minute, so that the hub can tell how.
leave_in_queue = JobStatus == 4 && time() - EnteredCurrentStatus < 60
# Started a second time elsewhere, it would have lost its port and its kernels. So it ends when it was
# thrown out, and when its time is over. A job that is removed says nothing any more: it is put on hold, where
# the hub reads why, and goes a minute later at the latest.
requirements = NumShadowStarts =?= undefined || NumShadowStarts == 0
periodic_hold = (JobStatus == 1 && NumShadowStarts > 0) \
|| (JobStatus == 2 && time() - JobCurrentStartDate > {seconds})
periodic_hold_reason = ifThenElse(JobStatus == 2, "its time was over", "it lost its place on the node")
periodic_remove = JobStatus == 5 && time() - EnteredCurrentStatus > 60
queue
"""
SPOOLING = 16  # the hold of a job whose files are still on their way
SPOOLED = 20  # seconds after which they never come: condor_submit was given up before
CUT_OFF = "HTCondor was restarted just when it took the job in; start it again"
POLICY = 3  # … and of one that its own periodic_hold ended
ATTRIBUTES = (
    "ClusterId,JobStatus,RemoteHost,LastRemoteHost,HoldReasonCode,HoldReason,ExitCode,ExitBySignal,"
    "LastRejMatchReason,Owner,BenchtopMark,EnteredCurrentStatus"
)
# Any of these may be whatever the job's owner wrote, and as long as they like: one such ad costs its owner,
# and nobody else, the hub's view of the session. Its kind is judged here (_job); its length, already there.
LARGEST = 2000  # characters of one of them, as it is written down
BEARABLE = " && ".join(
    ["isString(BenchtopMark)", *(f"size(unparse({name})) < {LARGEST}" for name in ATTRIBUTES.split(","))]
)
# HTCondor's numbers. Removed and transferring jobs still hold their place.
STATES = {1: "PENDING", 2: "RUNNING", 3: "COMPLETING", 4: "COMPLETED", 6: "COMPLETING", 7: "SUSPENDED"}
HELD = 5


class CondorCluster(Cluster):
    """An HTCondor pool, for the people of one hub."""

    access_point = ""
    cell = ""
    secret = b""  # by which the cell signs its marks
    folder: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, minter: Minter) -> None:
        super().__init__(minter)
        self.reasons = condor_waiting.Reasons(self._places, self.analysis)
        self._offered: list[pool.Place] = []

    def showing(self, person: str, token: str) -> dict[str, str]:
        """HTCondor takes tokens from a folder of files; each person has one of their own, in memory."""
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory(prefix="tokens-")
        own = Path(self.folder.name) / person
        own.mkdir(mode=0o700, exist_ok=True)
        new = own / ".new"
        new.touch(mode=0o600)
        new.write_text(token)
        new.rename(own / "token")
        return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(own)}

    async def listing(self, person: str) -> str:
        """The sessions of this cell, and whatever else says that it is one."""
        marked = ["-constraint", f'BenchtopCell =?= "{self.cell}"', "-constraint", BEARABLE]  # both
        return await self.run(
            person, "condor_q", "-allusers", *marked, "-json", "-attributes", ATTRIBUTES, env=self.direct()
        )

    def direct(self) -> dict[str, str]:
        """Go straight to the access point: the central manager, which knows where it is, may be away."""
        return {"_CONDOR_SCHEDD_HOST": self.access_point}

    def parse(self, listing: str) -> Mapping[str, jobs.Job]:
        """By condor_q's JSON, which for no job at all may be nothing at all.

        Each ad by itself, and only those that this cell has marked for their owner: HTCondor itself lets
        nobody write the owner or the number.
        """
        found = {}
        for ad in json.loads(listing.strip() or "[]", strict=False):
            number, owner, mark = _number(ad, "ClusterId"), _text(ad, "Owner"), _text(ad, "BenchtopMark")
            if number is not None and marks.is_ours(mark, self.secret, self.cell, owner):
                found[str(number)] = replace(_job(ad), owner=owner, mark=mark)
        return found

    async def cancel(self, number: str, person: str) -> bool:
        """condor_rm; False when there is no such job."""
        try:
            await self.run(person, "condor_rm", number, env=self.direct())
        except commands.Failed as failed:
            if "find/remove all jobs" in str(failed):
                return False
            raise
        return True

    async def insist(self, number: str, person: str) -> None:
        """Forget a job whose node died: HTCondor would look for it as long as its lease lasts."""
        await self.run(person, "condor_rm", "-forcex", number, env=self.direct())

    async def places(self, person: str) -> list[pool.Place]:
        """What the pool offers, by what its central manager said when it knew any. Raises as `run` does."""
        # One that has just started knows no node for half a minute, and a job can wait for that
        self._offered = await self._places(person) or self._offered
        return self._offered

    async def analysis(self, number: str, person: str) -> str:
        """What condor_q finds out about the requirements of a person's job. Raises as `run` does."""
        return await self.run(person, "condor_q", "-better-analyze", number, env=self.direct())

    async def nodes(self, person: str, max_age: float) -> Set[str]:
        """By condor_status. Nobody is told of a node by a central manager that has just started."""
        return {place.node for place in await self._places(person, max_age)}

    async def _places(self, person: str, max_age: float = FREE_AGE) -> list[pool.Place]:
        shown = await self._ask(
            "places", person, "condor_status", "-constraint", "PartitionableSlot", "-json",
            "-attributes", pool.ATTRIBUTES, max_age=max_age,
        )  # fmt: skip
        return pool.places(shown)


def _number(ad: Mapping[str, Any], name: str) -> int | None:
    value = ad.get(name)
    return value if type(value) is int else None  # True and 2.0 are none of HTCondor's


def _text(ad: Mapping[str, Any], name: str) -> str:
    value = ad.get(name)
    return value if isinstance(value, str) else ""


def _job(ad: Mapping[str, Any]) -> jobs.Job:
    """What an ad tells, whatever is in it. One whose state is none lives: unknown is never gone."""
    job = _told(ad)
    if job.lingers and not job.told and job.reason != "memory":
        return replace(job, told=condor_waiting.held(job.reason))
    return job


def _told(ad: Mapping[str, Any]) -> jobs.Job:
    status = _number(ad, "JobStatus")
    node = (_text(ad, "RemoteHost") or _text(ad, "LastRemoteHost")).partition("@")[2]
    if status == HELD:
        return _held(ad, node)
    state = STATES.get(status or 0, "RUNNING")
    if state == "PENDING":
        rejected = _text(ad, "LastRejMatchReason")
        return jobs.Job(state, "", rejected.partition("|")[0].strip())  # behind it: which jobs are alike
    if state == "COMPLETED":
        code = _number(ad, "ExitCode")
        told = f"JupyterLab stopped by itself (exit code {code})" if code else ""
        if ad.get("ExitBySignal") is True:
            told = "JupyterLab was killed"
        return jobs.Job("FAILED" if told else state, node, "", told=told)
    return jobs.Job(state, node, "")


def _held(ad: Mapping[str, Any], node: str) -> jobs.Job:
    """What ran is gone, but the job stays where it is until it is removed."""
    code, why = _number(ad, "HoldReasonCode"), _text(ad, "HoldReason") or "on hold"
    if code == SPOOLING:
        # The schedd ends this hold itself, a second after the last file; not if it is restarted meanwhile
        since = _number(ad, "EnteredCurrentStatus")
        if since is not None and time.time() - since > SPOOLED:
            return jobs.Job("FAILED", "", "", lingers=True, told=CUT_OFF)
        return jobs.Job("PENDING", "", "spooling")
    if code == POLICY:
        return jobs.Job("FAILED", node, "", lingers=True, told=form.shown(why, condor_waiting.SHOWN_OF_HOLD))
    return jobs.Job("FAILED", node, "memory" if "memory usage exceeded" in why else why, lingers=True)


class CondorSession(BatchSession[pool.Request, pool.Granted, CondorCluster], CondorSpawner):
    """batchspawner's CondorSpawner, with what a facility needs: see BatchSession.

    - Nothing of the session's environment is in the job's ad; upstream's GetEnv puts all of it there.
    - A failed condor_q is "unknown"; upstream takes it for "gone" and submits the session again.
    - A held job is removed; upstream forgets it and it stays.
    """

    scheduler = "HTCondor"
    cluster_kind = CondorCluster
    fields = pool.FIELDS
    silence = ("Failed to connect", "Can't find address")
    reasons: ClassVar[Mapping[str, str]] = {"memory": "it needed more memory than it had asked for"}

    access_point = Unicode(
        "condor-ap:9618", help="Where the queue is asked; also while the central manager is away."
    ).tag(config=True)
    usual_cpus = Integer(1, help="CPUs of a session whose owner does not say.").tag(config=True)
    usual_memory = Integer(1024, help="Its memory, in MB.").tag(config=True)
    usual_disk = Integer(1024, help="Its disk, in MB.").tag(config=True)
    usual_runtime = Integer(480, help="Its runtime, in minutes.").tag(config=True)
    longest = Integer(1440, help="Minutes that a session may run.").tag(config=True)

    @default("cluster")
    def _cluster(self) -> CondorCluster:
        cluster: CondorCluster = shared(CondorCluster, self.minter, self.keys)
        cluster.access_point, cluster.cell = self.access_point, self.cell
        cluster.secret = self.user.settings["cookie_secret"]
        return cluster

    def read(self, sent: Mapping[str, object]) -> pool.Request:
        """By pool.read."""
        return pool.read(sent)

    async def check(self, request: pool.Request) -> pool.Granted:
        """Against what the pool has."""
        return pool.check(request, await self.cluster.places(self.user.name), self._rules())

    async def draw(self, before: form.Before) -> str:
        """The form with what the pool has, and what of it is free."""
        places = await self.cluster.places(self.user.name)
        return pool.render(Path(self.templates), places, self._rules(), before)

    async def expected(self, granted: pool.Granted) -> str:
        """By what is free now."""
        return pool.expected(granted, await self.cluster.places(self.user.name))

    def _rules(self) -> pool.Rules:
        usual = pool.Granted(
            pool.JUPYTER, self.usual_cpus, self.usual_memory, self.usual_disk, self.usual_runtime
        )
        return pool.Rules(usual, self.longest, self.support, bool(self.login_node))

    def place(self, granted: pool.Granted) -> str:
        """Its pool."""
        return pool.POOLS[granted.pool]

    def waits(self, job: jobs.Job) -> str:
        """By condor_waiting, which finds it out meanwhile."""
        if not self.granted:
            return ""
        granted = pool.Granted(**cast("dict[str, Any]", self.granted))
        return self.cluster.reasons.of(self.job_id, self.user.name, job.reason, granted, self.log)

    def script(self, granted: pool.Granted, env: Mapping[str, str]) -> str:
        """What the job runs. It holds the session's secrets."""
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in env.items())
        home = Path(self.home.format(username=self.user.name))
        return SCRIPT.format(
            exports=exports,
            seconds=granted.runtime * 60,
            python=shlex.quote(self.lab_python),
            log=shlex.quote(str(home / self.log_file)),
        )

    def description(self, granted: pool.Granted, folder: str) -> str:
        """What condor_submit reads. Everybody can see it in the queue."""
        return DESCRIPTION.format(
            granted=granted,
            folder=folder,
            name=self.job_name(),
            cell=self.cell,
            mark=self.mark(),
            jupyter=str(granted.pool == pool.JUPYTER).lower(),
            seconds=granted.runtime * 60,
        )

    async def send(self, granted: pool.Granted, env: Mapping[str, str]) -> str:
        """By condor_submit, which hands the script over to the access point."""
        with tempfile.TemporaryDirectory(prefix="submit-") as folder:  # 0700
            Path(folder, "session").touch(mode=0o600)
            Path(folder, "session").write_text(self.script(granted, env))
            Path(folder, "job").write_text(self.description(granted, folder))
            said = await self.cluster.run(
                self.user.name, "condor_submit", "-spool", "-terse", str(Path(folder, "job")),
                env=self.cluster.direct(),
            )  # fmt: skip
        return said.strip().splitlines()[-1].split(".")[0]  # `12.0 - 12.0`, after warnings

    def plain(self, complaint: str) -> str:
        """condor_submit's complaint without its prefix."""
        if "MAX_JOBS_PER_OWNER" in complaint:
            return (
                "You have as many jobs in the queue as you may have. "
                "Remove some (condor_rm), or wait until some have ended."
            )
        lines = [line.removeprefix("ERROR: ").strip() for line in complaint.splitlines() if line.strip()]
        text = " ".join(lines) or "it does not say why"
        return text if text.endswith(".") else f"{text}."
