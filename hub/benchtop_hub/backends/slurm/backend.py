"""A session is a Slurm job."""

import asyncio
import re
import secrets
from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from traitlets import Dict, Float, Integer, List, Unicode

from benchtop_hub import wording
from benchtop_hub.backends import commands
from benchtop_hub.backends.backend import (
    AROUND,
    FREE_AGE,
    REMEMBER,
    Backend,
    Cell,
    Denied,
    Launch,
    Pending,
    Person,
)
from benchtop_hub.backends.page import Places
from benchtop_hub.backends.queue import Job
from benchtop_hub.backends.request import Before
from benchtop_hub.backends.slurm import answers, form, page, reasons, rights, script, squeue
from benchtop_hub.backends.slurm.defaults import NAMES, site_defaults

_SINFO = ("sinfo", "--all", "--noheader", "--Node", f"--Format={answers.NODES}")
_SACCTMGR = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show")
_RELOADED = 1.0  # seconds: how old an answer about rights may be for somebody who reloads the form


class SlurmBackend(Backend[form.Request, form.Granted]):
    """Slurm, for the people of one hub."""

    where = "batch"
    name = "Slurm"
    label = "Slurm job"
    request = form.Request
    fields = form.FIELDS
    silences = (
        "Unable to contact slurm controller",
        "Socket timed out on send/recv operation",
        "Zero Bytes were transmitted or received",
    )

    preferred_partitions = List(
        Unicode(), help="The form starts with the first of these that the person may use."
    ).tag(config=True)
    usual_cpus = Integer(1, help="CPUs of a session whose owner does not say.").tag(config=True)
    usual_memory = Integer(1024, help="Its memory, in MB.").tag(config=True)
    explanations = Dict(
        per_key_traits={field: Dict(Unicode()) for field in ("partition", "qos", "gpu")},
        help="What the form says of partitions, QOS and types of GPU: a line for each that has one.",
    ).tag(config=True)
    rights_age = Float(
        REMEMBER, help="Seconds after which a change in accounting is in the form at the latest."
    ).tag(config=True)

    def __init__(self, cell: Cell, **traits: Any) -> None:  # noqa: ANN401 as Backend has them
        super().__init__(cell, **traits)
        # what was worked out of the same answers before: with hundreds of accounts it takes a while
        self._choices: dict[str, tuple[object, list[rights.Choice]]] = {}

    @property
    def hint(self) -> str:
        """What nobody else has."""
        return "for long runs, GPUs, many CPUs or much memory; may wait in the queue."

    # ---- what may be asked for --------------------------------------------------------------

    async def check_request(self, request: form.Request, person: Person) -> form.Granted:
        """Against what Slurm grants this person now."""
        offer = await self._offer(person, self.rights_age)
        return form.fill(request.asked(), offer, self._rules(person))[1]

    async def render_form(self, person: Person, before: Before, places: Places, *, anew: bool = False) -> str:
        """The form with what this person may use."""
        offer = await self._offer(person, _RELOADED if anew else self.rights_age)
        return page.render(self.cell.templates, offer, self._rules(person), before, places)

    async def describe_free(self, person: Person) -> str:
        """CPUs and memory, and GPUs for who may have some."""
        return page.describe_free(await self._offer(person, self.rights_age))

    async def expected_start(self, granted: form.Granted, launch: Launch) -> str:
        """By sbatch, which works it out for this very job and submits nothing."""
        printed = await self._test(granted, launch)
        found = re.search(r"to start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", printed)
        if not found:
            return "Expected start: unknown"
        return wording.expected_start(datetime.fromisoformat(found[1]).replace(tzinfo=UTC), datetime.now(UTC))

    async def rehearse(self, granted: form.Granted, launch: Launch) -> None:
        """By the same."""
        await self._test(granted, launch)

    async def _test(self, granted: form.Granted, launch: Launch) -> str:
        command = [*self.submit_command(granted, launch), "--test-only"]
        text = script.of_job(granted, launch)
        return await self.run(launch.person, *command, stdin=text, env={}, errors=True)

    def check_defaults(self, settings: Mapping[str, str]) -> frozenset[str]:
        """What a request can ask for, and what is around the session."""
        site_defaults(settings)
        return NAMES | AROUND

    def _rules(self, person: Person) -> form.Rules:
        defaults = site_defaults(person.defaults)
        usual = self.usual_cpus, self.usual_memory
        return form.Rules(*usual, self.cell.support, defaults, self.explanations)

    async def _offer(self, person: Person, own_age: float) -> form.Offer:
        offer = await self.offer(person.name, person.groups, max_age=self.rights_age, own_age=own_age)
        return replace(offer, choices=form.prefer(offer.choices, self.preferred_partitions))

    async def offer(
        self, person: str, groups: Set[str], *, max_age: float, own_age: float | None = None
    ) -> form.Offer:
        """What this person may use, by answers that are at most `max_age` seconds old, and what is free.

        own_age: of what is granted to people; partitions and qualities of service change seldom
        groups: the person's. Raises as `run` does.
        """
        own_age = max_age if own_age is None else own_age
        await self.cell.minter.token(person)  # else each of the commands would wait for it

        async def ask(what: str, *command: str, age: float = max_age) -> str:
            return await self._ask(what, person, *command, max_age=min(age, max_age))

        associations = (*_SACCTMGR, "assoc", f"format={answers.ASSOCIATIONS}", "woplimits")
        shown = await asyncio.gather(
            ask("partitions", "scontrol", "--oneliner", "--all", "show", "partition"),
            ask("nodes", *_SINFO, age=FREE_AGE),
            ask("qos", *_SACCTMGR, "qos", f"format={answers.QOS}"),
            ask("accounts", *associations, "where", "user=", age=own_age),
            # Of a person's, slurmdbd would ask its database for each account's parent: 70 ms for 200 of them
            ask(f"assoc {person}", *associations, "wopinfo", "where", f"user={person}", age=own_age),
            ask("reservations", "scontrol", "--oneliner", "show", "reservation", age=own_age),
        )
        nodes = answers.nodes(shown[1])
        key = (shown[0], *shown[2:5], frozenset(groups), frozenset((n.partition, n.name) for n in nodes))
        if self._choices.get(person, (None,))[0] != key:
            parts = answers.partitions(shown[0], nodes)
            own = answers.associations(shown[3], shown[4])
            self._choices[person] = key, rights.choices(parts, answers.qualities(shown[2]), own, groups)
        now = datetime.now(UTC).replace(tzinfo=None)
        reserved = answers.reservations(shown[5], person, groups, now)
        return form.Offer(self._choices[person][1], reserved, nodes)

    # ---- jobs ---------------------------------------------------------------------------------

    def describe_queue(self, granted: form.Granted) -> str:
        """Its partition."""
        return f"partition {granted.partition}"

    async def submit(self, granted: form.Granted, launch: Launch) -> str:
        """By sbatch, which hands its own environment on to the job."""
        command = self.submit_command(granted, launch)
        text = script.of_job(granted, launch)
        printed = await self.run(launch.person, *command, stdin=text, env=script.environment(launch))
        # one line, of which the first part is the number: Slurm prints warnings before it
        return printed.strip().splitlines()[-1].split(";")[0]

    def submit_command(self, granted: form.Granted, launch: Launch) -> list[str]:
        """The sbatch command: names and numbers that were checked, and no secret."""
        return [
            "sbatch",
            "--parsable",
            "--no-requeue",  # a session that starts again elsewhere has lost its port and its kernels
            # of the environment that is made here; slurmd then looks for no other
            f"--export={','.join(filter(None, ('ALL', launch.keep)))}",
            "--propagate=NONE",  # limits of the hub's container are no matter of a job
            f"--job-name={launch.name}",
            f"--comment={launch.mark}",
            f"--chdir={launch.home}",
            "--output=/dev/null",  # the script opens the log itself
            f"--partition={granted.partition}",
            f"--account={granted.account}",
            f"--qos={granted.qos}",
            f"--time={granted.runtime}",
            f"--cpus-per-task={granted.cpus}",
            f"--mem={granted.memory}M",
            *([f"--gres={granted.gres}"] if granted.gres else []),
            *([f"--reservation={granted.reservation}"] if granted.reservation else []),
        ]

    def show_token(self, person: str, token: str) -> dict[str, str]:
        """As slurm.schedmd.com/jwt.html has it."""
        return {"SLURM_JWT": token}

    async def list_jobs(self, person: str) -> str:
        """Every job that slurmctld still knows."""
        prefix = f"{secrets.token_hex(8)}|"  # known to nobody who writes a line into a comment of theirs
        printed = await self.run(
            person, "squeue", "--all", "--noheader", "--states=all", f"--format={prefix}{squeue.FORMAT}"
        )
        return f"{prefix}\n{printed}"

    def parse_queue(self, listing: str) -> Mapping[str, Job]:
        """By squeue's own words."""
        return squeue.parse(listing)

    async def list_nodes(self, person: str, max_age: float) -> Set[str]:
        """By sinfo."""
        return {
            node.name for node in answers.nodes(await self._ask("nodes", person, *_SINFO, max_age=max_age))
        }

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

    # ---- in plain words ---------------------------------------------------------------------

    def explain_reason(self, reason: str) -> str:
        """By reasons.py."""
        return reasons.explain(reason)

    def explain_wait(self, pending: Pending) -> str:
        """With its position and expected start, by the same answer of the queue."""
        position = reasons.position(self.queue.known, pending.number)
        turn = reasons.describe_turn(position, pending.job.expected, datetime.now(UTC))
        return f"{super().explain_wait(pending)} {turn}".strip()

    def clean_complaint(self, complaint: str) -> str:
        """Sbatch's complaint without its own name and prefixes."""
        if "MaxSubmitJob" in complaint:  # AssocMaxSubmitJobLimit, QOSMaxSubmitJobPerUserLimit
            return (
                "You have reached the maximum number of jobs in the queue. "
                "Cancel some (scancel), or wait until some have ended."
            )
        lines = [
            line.removeprefix("sbatch: ").removeprefix("error: ")
            for line in complaint.splitlines()
            if line.strip()
        ]
        text = " ".join(lines).removeprefix("Batch job submission failed: ")
        return text if text.endswith(".") else f"{text}."
