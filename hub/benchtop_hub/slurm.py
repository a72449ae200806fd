"""A session is a Slurm job."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from batchspawner import SlurmSpawner
from traitlets import Integer, List, Unicode

from benchtop_hub import commands, form, jobs, rights, waiting
from benchtop_hub.cluster import Cluster
from benchtop_hub.session import BatchSession

SCRIPT = """\
#!/bin/bash
# Slurm hands every SLURM_ variable of the hub's command on. This one is no longer needed, and when it
# expires in some minutes, each Slurm command in the session would fail because of it.
unset SLURM_JWT
exec {python} -I -m benchtop_lab.session
"""
_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show")


class SlurmCluster(Cluster):
    """Slurm, for the people of one hub."""

    def showing(self, person: str, token: str) -> dict[str, str]:
        """As slurm.schedmd.com/jwt.html has it."""
        return {"SLURM_JWT": token}

    async def listing(self, person: str) -> str:
        """Every job that slurmctld still knows."""
        return await self.run(
            person, "squeue", "--all", "--noheader", "--states=all", f"--format={jobs.FORMAT}"
        )

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
            raise
        return True

    async def choices(self, person: str) -> list[rights.Choice]:
        """What this person may use. Raises as `run` does."""
        shown = await self._ask("partitions", person, "scontrol", "--oneliner", "--all", "show", "partition")
        qos = await self._ask("qos", person, *_SACCTMGR, "qos", f"format={rights.QOS}")
        assoc = await self._ask(
            f"assoc {person}", person, *_SACCTMGR, "assoc", "where", f"user={person}",
            f"format={rights.ASSOCIATIONS}",
        )  # fmt: skip
        parts = rights.partitions(shown, await self._nodes(person))
        return rights.choices(parts, rights.qualities(qos), rights.associations(assoc))

    async def is_node(self, name: str, person: str) -> bool:
        """By sinfo."""
        return name in rights.node_names(await self._nodes(person))

    async def _nodes(self, person: str) -> str:
        return await self._ask(
            "nodes", person, "sinfo", "--all", "--noheader", "--Node", f"--format={rights.NODES}"
        )


class SlurmSession(BatchSession[form.Request, form.Granted, SlurmCluster], SlurmSpawner):
    """batchspawner's SlurmSpawner, with what a facility needs: see BatchSession.

    - Suspended and requeued jobs are alive; upstream gives them up.
    - No part of the job script comes from a person, and no secret is in it.
    """

    scheduler = "Slurm"
    cluster_kind = SlurmCluster
    fields = form.FIELDS
    silence = ("Unable to contact slurm controller",)

    preferred_partitions = List(
        Unicode(), help="The form starts with the first of these that the person may use."
    ).tag(config=True)
    cores = Integer(1, help="CPUs of a session.").tag(config=True)
    memory = Unicode("1G", help="Memory of a session, as sbatch --mem takes it.").tag(config=True)

    def read(self, sent: Mapping[str, object]) -> form.Request:
        """By form.read."""
        return form.read(sent)

    async def check(self, request: form.Request) -> form.Granted:
        """Against what Slurm grants this person now."""
        return form.check(request, await self._choices(), support=self.support)

    async def draw(self, sent: Mapping[str, str], problem: form.Problem | None) -> str:
        """The form with what this person may use."""
        return form.render(Path(self.templates), await self._choices(), sent, problem, support=self.support)

    async def _choices(self) -> list[rights.Choice]:
        return form.prefer(await self.cluster.choices(self.user.name), self.preferred_partitions)

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
            f"--chdir={home}",
            f"--output={home}/{self.log_name}",
            "--open-mode=truncate",
            f"--partition={granted.partition}",
            f"--account={granted.account}",
            f"--qos={granted.qos}",
            f"--time={granted.runtime}",
            f"--cpus-per-task={self.cores}",
            f"--mem={self.memory}",
            *([f"--gres={granted.gres}"] if granted.gres else []),
        ]

    async def send(self, granted: form.Granted, env: Mapping[str, str]) -> str:
        """By sbatch, which hands its own environment on to the job."""
        script = SCRIPT.format(python=self.lab_python)
        said = await self.cluster.run(self.user.name, *self.submit_command(granted), stdin=script, env=env)
        # one line, of which the first part is the number: Slurm prints warnings before it
        return said.strip().splitlines()[-1].split(";")[0]

    def plain(self, complaint: str) -> str:
        """Sbatch's complaint without its own name and prefixes."""
        lines = [
            line.removeprefix("sbatch: ").removeprefix("error: ")
            for line in complaint.splitlines()
            if line.strip()
        ]
        text = " ".join(lines).removeprefix("Batch job submission failed: ")
        return text if text.endswith(".") else f"{text}."
