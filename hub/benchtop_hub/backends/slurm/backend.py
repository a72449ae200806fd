"""A session is a Slurm job."""

import asyncio
import re
import secrets
from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from batchspawner import SlurmSpawner
from traitlets import Float, Integer, List, Unicode

from benchtop_hub.access.minter import Minter
from benchtop_hub.backends import commands, job_script
from benchtop_hub.backends import queue as jobs
from benchtop_hub.backends.backend import FREE_AGE, REMEMBER, Cluster, Denied
from benchtop_hub.backends.slurm import form, rights
from benchtop_hub.backends.slurm import reasons as waiting
from benchtop_hub.sessions.spawner import RELOADED, BatchSession, reloaded

SCRIPT = (
    """\
#!/bin/bash
# Slurm hands every SLURM_ variable of the hub's command on. This one is no longer needed, and when it
# expires in some minutes, each Slurm command in the session would fail because of it.
unset SLURM_JWT
export BENCHTOP_ENDS=$SLURM_JOB_END_TIME  # JupyterLab warns of it
"""
    + job_script.RUN
)
_SINFO = ("sinfo", "--all", "--noheader", "--Node", f"--Format={rights.NODES}")
_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show")


class SlurmCluster(Cluster):
    """Slurm, for the people of one hub."""

    def __init__(self, minter: Minter) -> None:
        super().__init__(minter)
        # what was worked out of the same answers before: with hundreds of accounts it takes a while
        self._choices: dict[str, tuple[object, list[rights.Choice]]] = {}

    def showing(self, person: str, token: str) -> dict[str, str]:
        """As slurm.schedmd.com/jwt.html has it."""
        return {"SLURM_JWT": token}

    async def listing(self, person: str) -> str:
        """Every job that slurmctld still knows."""
        prefix = f"{secrets.token_hex(8)}|"  # known to nobody who writes a line into a comment of theirs
        said = await self.run(
            person, "squeue", "--all", "--noheader", "--states=all", f"--format={prefix}{jobs.FORMAT}"
        )
        return f"{prefix}\n{said}"

    def parse(self, listing: str) -> Mapping[str, jobs.Job]:
        """By squeue's own words."""
        return jobs.parse(listing)

    async def cancel(self, number: str, person: str) -> bool:
        """Scancel; False when there is no such job."""
        try:
            await self.run(person, "scancel", number)
        except commands.Failed as failed:
            if "Invalid job id" in str(failed):
                return False
            if "Access/permission denied" in str(failed):
                raise Denied(str(failed)) from None
            raise
        return True

    async def offer(
        self, person: str, groups: Set[str], *, max_age: float, own_age: float | None = None
    ) -> form.Offer:
        """What this person may use, by answers that are at most `max_age` seconds old, and what is free.

        own_age: likewise, for what is granted to people; partitions and qualities of service change seldom
        groups: the person's. Raises as `run` does.
        """
        own_age = max_age if own_age is None else own_age
        await self.minter.token(person)  # else each of the commands would wait for it

        async def ask(what: str, *command: str, age: float = max_age) -> str:
            return await self._ask(what, person, *command, max_age=min(age, max_age))

        associations = (*_SACCTMGR, "assoc", f"format={rights.ASSOCIATIONS}", "woplimits")
        shown = await asyncio.gather(
            ask("partitions", "scontrol", "--oneliner", "--all", "show", "partition"),
            ask("nodes", *_SINFO, age=FREE_AGE),
            ask("qos", *_SACCTMGR, "qos", f"format={rights.QOS}"),
            ask("accounts", *associations, "where", "user=", age=own_age),
            # Of a person's, slurmdbd would ask its database for each account's parent: 70 ms for 200 of them
            ask(f"assoc {person}", *associations, "wopinfo", "where", f"user={person}", age=own_age),
            ask("reservations", "scontrol", "--oneliner", "show", "reservation", age=own_age),
        )
        nodes = rights.nodes(shown[1])
        key = (shown[0], *shown[2:5], frozenset(groups), frozenset((n.partition, n.name) for n in nodes))
        if self._choices.get(person, (None,))[0] != key:
            parts = rights.partitions(shown[0], nodes)
            own = rights.associations(shown[3], shown[4])
            self._choices[person] = key, rights.choices(parts, rights.qualities(shown[2]), own, groups)
        now = datetime.now(UTC).replace(tzinfo=None)
        reserved = rights.reservations(shown[5], person, groups, now)
        return form.Offer(self._choices[person][1], reserved, nodes)

    async def nodes(self, person: str, max_age: float) -> Set[str]:
        """By sinfo."""
        shown = await self._ask("nodes", person, *_SINFO, max_age=max_age)
        return {node.name for node in rights.nodes(shown)}


class SlurmSession(BatchSession[form.Request, form.Granted, SlurmCluster], SlurmSpawner):
    """batchspawner's SlurmSpawner, with what a facility needs: see BatchSession.

    - Suspended and requeued jobs are alive; upstream gives them up.
    - No part of the job script comes from a person, and no secret is in it.
    """

    scheduler = "Slurm"
    cluster_kind = SlurmCluster
    fields = form.FIELDS
    silence = (
        "Unable to contact slurm controller",
        "Socket timed out on send/recv operation",
        "Zero Bytes were transmitted or received",
    )

    preferred_partitions = List(
        Unicode(), help="The form starts with the first of these that the person may use."
    ).tag(config=True)
    usual_cpus = Integer(1, help="CPUs of a session whose owner does not say.").tag(config=True)
    usual_memory = Integer(1024, help="Its memory, in MB.").tag(config=True)
    rights_age = Float(
        REMEMBER, help="Seconds after which a change in accounting is in the form at the latest."
    ).tag(config=True)

    def read(self, sent: Mapping[str, object]) -> form.Request:
        """By form.read."""
        return form.read(sent)

    async def check(self, request: form.Request) -> form.Granted:
        """Against what Slurm grants this person now."""
        return form.check(request, await self._offer(self.rights_age), self._rules())

    async def draw(self, before: form.Before) -> str:
        """The form with what this person may use."""
        # whoever reloads the page has perhaps just been told of a change
        offer = await self._offer(RELOADED if reloaded(self.handler) else self.rights_age)
        return form.render(Path(self.templates), offer, self._rules(), before)

    async def expected(self, granted: form.Granted) -> str:
        """By sbatch, which works it out for this very job and submits nothing."""
        test = [*self.submit_command(granted), "--test-only"]
        script = SCRIPT.format(python=self.lab_python)
        said = await self.cluster.run(self.user.name, *test, stdin=script, env={}, errors=True)
        found = re.search(r"to start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", said)
        if not found:
            return "Slurm does not know when it would start."
        return form.start_at(datetime.fromisoformat(found[1]).replace(tzinfo=UTC), datetime.now(UTC))

    async def _offer(self, own_age: float) -> form.Offer:
        groups = {group.name for group in self.user.groups}
        offer = await self.cluster.offer(self.user.name, groups, max_age=self.rights_age, own_age=own_age)
        return replace(offer, choices=form.prefer(offer.choices, self.preferred_partitions))

    def _rules(self) -> form.Rules:
        return form.Rules(self.usual_cpus, self.usual_memory, self.support, bool(self.login_node))

    def place(self, granted: form.Granted) -> str:
        """Its partition."""
        return f"partition {granted.partition}"

    def why(self, reason: str) -> str:
        """By waiting.why."""
        return waiting.why(reason)

    def line(self, job: jobs.Job) -> str:
        """By the same answer of the queue."""
        place = waiting.position(self.cluster.queue.known, self.job_id)
        return waiting.line(place, job.expected, datetime.now(UTC))

    def submit_command(self, granted: form.Granted) -> list[str]:
        """The sbatch command: names and numbers that were checked, and no secret."""
        home = self.home.format(username=self.user.name)
        return [
            "sbatch",
            "--parsable",
            "--no-requeue",  # a session that starts again elsewhere has lost its port and its kernels
            "--export=ALL",  # of the environment that is made here; slurmd then looks for no other
            "--propagate=NONE",  # limits of the hub's container are no matter of a job
            f"--job-name={self.job_name()}",
            f"--comment={self.mark()}",
            f"--chdir={home}",
            f"--output={home}/{self.log_file}",
            "--open-mode=truncate",
            f"--partition={granted.partition}",
            f"--account={granted.account}",
            f"--qos={granted.qos}",
            f"--time={granted.runtime}",
            f"--cpus-per-task={granted.cpus}",
            f"--mem={granted.memory}M",
            *([f"--gres={granted.gres}"] if granted.gres else []),
            *([f"--reservation={granted.reservation}"] if granted.reservation else []),
        ]

    async def send(self, granted: form.Granted, env: Mapping[str, str]) -> str:
        """By sbatch, which hands its own environment on to the job."""
        script = SCRIPT.format(python=self.lab_python)
        said = await self.cluster.run(self.user.name, *self.submit_command(granted), stdin=script, env=env)
        # one line, of which the first part is the number: Slurm prints warnings before it
        return said.strip().splitlines()[-1].split(";")[0]

    def plain(self, complaint: str) -> str:
        """Sbatch's complaint without its own name and prefixes."""
        if "MaxSubmitJob" in complaint:  # AssocMaxSubmitJobLimit, QOSMaxSubmitJobPerUserLimit
            return (
                "You have as many jobs in the queue as you may have. "
                "Cancel some (scancel), or wait until some have ended."
            )
        lines = [
            line.removeprefix("sbatch: ").removeprefix("error: ")
            for line in complaint.splitlines()
            if line.strip()
        ]
        text = " ".join(lines).removeprefix("Batch job submission failed: ")
        return text if text.endswith(".") else f"{text}."
