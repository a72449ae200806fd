"""A session is an HTCondor job."""

import tempfile
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, ClassVar

from traitlets import Dict, Integer, Unicode

from benchtop_hub import wording
from benchtop_hub.backends import amounts, commands
from benchtop_hub.backends.backend import AROUND, FREE_AGE, Backend, Cell, Launch, Pending, Person
from benchtop_hub.backends.condor import ads, description, form, reasons
from benchtop_hub.backends.page import Places
from benchtop_hub.backends.queue import Job
from benchtop_hub.backends.request import Before


class CondorBackend(Backend[form.Request, form.Granted]):
    """An HTCondor pool, for the people of one hub."""

    where = "batch"
    name = "HTCondor"
    label = "HTCondor job"
    request = form.Request
    fields = form.FIELDS
    silences = ("Failed to connect", "Can't find address")
    reasons: ClassVar[Mapping[str, str]] = {"memory": wording.OUT_OF_MEMORY}

    access_point = Unicode(
        "condor-ap:9618", help="Where the queue is asked; also while the central manager is away."
    ).tag(config=True)
    usual_cpus = Integer(1, help="CPUs of a session whose owner does not say.").tag(config=True)
    usual_memory = Integer(1024, help="Its memory, in MB.").tag(config=True)
    usual_disk = Integer(1024, help="Its disk, in MB.").tag(config=True)
    usual_runtime = Integer(480, help="Its runtime, in minutes.").tag(config=True)
    longest = Integer(1440, help="Minutes that a session may run.").tag(config=True)

    explanations = Dict(Unicode(), help="What the form says of each pool, in a line.").tag(config=True)

    def __init__(self, cell: Cell, **traits: Any) -> None:  # noqa: ANN401 as Backend has them
        super().__init__(cell, **traits)
        self.waits = reasons.Reasons(self._ask_places, self.analyse)
        self._places: list[form.Place] = []
        self._tokens: tempfile.TemporaryDirectory[str] | None = None

    @property
    def hint(self) -> str:
        """What nobody else has."""
        return "for long runs, many CPUs or much memory; may wait for a free slot."

    # ---- what may be asked for --------------------------------------------------------------

    async def check_request(self, request: form.Request, person: Person) -> form.Granted:
        """Against what the pool has."""
        return form.check(request, await self.places(person.name), self._rules(person))

    async def render_form(self, person: Person, before: Before, places: Places, *, anew: bool = False) -> str:
        """The form with what the pool has, and what of it is free."""
        offered = await self.places(person.name)
        return form.render(self.cell.templates, offered, self._rules(person), before, places)

    async def describe_free(self, person: Person) -> str:
        """CPUs and memory, of each pool."""
        return form.describe_free(await self.places(person.name))

    async def expected_start(self, granted: form.Granted, launch: Launch) -> str:
        """By what is free now."""
        return form.expected_start(granted, await self.places(launch.person))

    async def rehearse(self, granted: form.Granted, launch: Launch) -> None:
        """By condor_submit, which reads the description and sends nothing."""
        await self._condor_submit(granted, launch, "-dry-run", "/dev/null")

    def check_defaults(self, settings: Mapping[str, str]) -> frozenset[str]:
        """What a request can ask for, and what is around the session."""
        self._rules(Person("", defaults=settings))
        return frozenset({"nprocs", "memory", "runtime"}) | AROUND

    def _rules(self, person: Person) -> form.Rules:
        """The facility's, with the site's `req_` settings. Raises ValueError for one that cannot be."""
        site = {name: value.strip() for name, value in person.defaults.items() if value.strip()}
        usual = form.Granted(
            form.JUPYTER,
            amounts.number("nprocs", site["nprocs"]) if "nprocs" in site else self.usual_cpus,
            amounts.megabytes(site["memory"]) if "memory" in site else self.usual_memory,
            self.usual_disk,
            amounts.minutes(site["runtime"]) if "runtime" in site else self.usual_runtime,
        )
        return form.Rules(usual, self.longest, self.cell.support, self.explanations)

    async def places(self, person: str) -> list[form.Place]:
        """What the pool offers, by what its central manager said when it knew any. Raises as `run` does."""
        # One that has just started knows no node for half a minute, and a job can wait for that
        self._places = await self._ask_places(person) or self._places
        return self._places

    async def _ask_places(self, person: str, max_age: float = FREE_AGE) -> list[form.Place]:
        shown = await self._ask(
            "places", person, "condor_status", "-constraint", "PartitionableSlot", "-json",
            "-attributes", form.ATTRIBUTES, max_age=max_age,
        )  # fmt: skip
        return form.parse_places(shown)

    # ---- jobs ---------------------------------------------------------------------------------

    def describe_queue(self, granted: form.Granted) -> str:
        """Its pool."""
        return form.POOLS[granted.pool]

    async def submit(self, granted: form.Granted, launch: Launch) -> str:
        """By condor_submit, which hands the script over to the access point."""
        printed = await self._condor_submit(granted, launch, "-spool", "-terse")
        return printed.strip().splitlines()[-1].split(".")[0]  # `12.0 - 12.0`, after warnings

    async def _condor_submit(self, granted: form.Granted, launch: Launch, *options: str) -> str:
        with tempfile.TemporaryDirectory(prefix="submit-") as folder:  # 0700
            text = description.describe(granted, launch, cell=self.cell.name, folder=folder)
            file = Path(folder, description.FILE)
            file.touch(mode=0o600)
            file.write_text(description.script(granted, launch, f"{launch.home}/{launch.log}"))
            Path(folder, "job").write_text(text)
            command = ("condor_submit", *options, str(Path(folder, "job")))
            return await self.run(launch.person, *command, env=self._direct())

    def show_token(self, person: str, token: str) -> dict[str, str]:
        """HTCondor takes tokens from a folder of files; each person has one of their own, in memory."""
        if self._tokens is None:
            self._tokens = tempfile.TemporaryDirectory(prefix="tokens-")
        own = Path(self._tokens.name) / person
        own.mkdir(mode=0o700, exist_ok=True)
        new = own / ".new"
        new.touch(mode=0o600)
        new.write_text(token)
        new.rename(own / "token")
        return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(own)}

    def _direct(self) -> dict[str, str]:
        """Go straight to the access point: the central manager, which knows where it is, may be away."""
        return {"_CONDOR_SCHEDD_HOST": self.access_point}

    async def list_jobs(self, person: str) -> str:
        """The sessions of this cell, and whatever else says that it is one."""
        marked = ["-constraint", f'BenchtopCell =?= "{self.cell.name}"', "-constraint", ads.BEARABLE]  # both
        words = ["-allusers", *marked, "-json", "-attributes", ads.ATTRIBUTES]
        return await self.run(person, "condor_q", *words, env=self._direct())

    def parse_queue(self, listing: str) -> Mapping[str, Job]:
        """By the jobs' ads."""
        return ads.parse(listing, self.cell.secret, self.cell.name)

    async def list_nodes(self, person: str, max_age: float) -> Set[str]:
        """By condor_status. A central manager that has just started knows of none."""
        return {place.node for place in await self._ask_places(person, max_age)}

    async def cancel(self, number: str, person: str) -> bool:
        """condor_rm; False when there is no such job."""
        try:
            await self.run(person, "condor_rm", number, env=self._direct())
        except commands.Failed as failed:
            if "find/remove all jobs" in str(failed):
                return False
            raise
        return True

    async def insist(self, number: str, person: str) -> None:
        """Forget a job whose node died: HTCondor would look for it as long as its lease lasts."""
        await self.run(person, "condor_rm", "-forcex", number, env=self._direct())

    async def analyse(self, number: str, person: str) -> str:
        """What condor_q finds out about the requirements of a person's job. Raises as `run` does."""
        return await self.run(person, "condor_q", "-better-analyze", number, env=self._direct())

    # ---- in plain words ---------------------------------------------------------------------

    def explain_wait(self, pending: Pending) -> str:
        """By reasons.py, which finds it out meanwhile."""
        why = ""
        if pending.granted:
            granted = form.Granted(**pending.granted)
            why = self.waits.of(pending.number, pending.person, pending.job.reason, granted, self.log)
        return f"Waiting in the queue of {pending.place}{f': {why}' if why else ''}."

    def clean_complaint(self, complaint: str) -> str:
        """condor_submit's complaint without its prefix."""
        if "MAX_JOBS_PER_OWNER" in complaint:
            return (
                "You have reached the maximum number of jobs in the queue. "
                "Remove some (condor_rm), or wait until some have ended."
            )
        lines = [line.removeprefix("ERROR: ").strip() for line in complaint.splitlines() if line.strip()]
        text = " ".join(lines) or "it gives no reason"
        return text if text.endswith(".") else f"{text}."
