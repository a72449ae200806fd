"""A session in a container of its own: nobody else is in there, and nothing of anybody else is seen.

The engine is the facility's own, and not that of the machine that the facility runs on. Between it and the
hub stands a gateway, which lets a hub have containers of its own people, from images that the facility knows,
and nothing else: so a hub that was taken over can do no more. Containers are made by dockerspawner
(upstream/engine.py); one that ended stays until the hub has read why, as a job does.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Set
from functools import cached_property, partial
from typing import Any

from traitlets import Dict, Integer, Unicode

from benchtop_hub import wording
from benchtop_hub.backends import commands, page, written
from benchtop_hub.backends.backend import FREE_AGE, Backend, Cell, Launch, Pending, Person
from benchtop_hub.backends.container import complaints, description, form, listing
from benchtop_hub.backends.page import Place, Places
from benchtop_hub.backends.queue import Job
from benchtop_hub.backends.request import Before
from benchtop_hub.upstream import engine


class Container(Backend[form.Request, form.Granted]):
    """A container engine, for the people of one hub."""

    where = "container"
    name = "the container engine"
    label = "Container (starts at once)"
    numbered = False
    prefix = listing.PREFIX
    request = form.Request
    fields = form.FIELDS
    silences = ()
    who = "The container engine"
    stands_in = True

    container_engine = Unicode(help="Address of the engine's gateway; empty: there is none.").tag(config=True)
    container_images = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="What a container can be started from: a name that the gateway knows → a line on what is in it.",
    ).tag(config=True)
    container_cpus = Integer(1, help="CPUs of a container whose owner does not say.").tag(config=True)
    container_memory = Integer(1024, help="Its memory, in MB.").tag(config=True)
    container_runtime = Integer(240, help="Its runtime, in minutes.").tag(config=True)
    container_most_cpus = Integer(4, help="CPUs that one may have.").tag(config=True)
    container_most_memory = Integer(4096, help="MB that one may have.").tag(config=True)
    container_longest = Integer(1440, help="Minutes that one may run.").tag(config=True)
    container_processes = Integer(512, help="Processes and threads that one may have.").tag(config=True)
    container_files = Integer(4096, help="Files that each of its processes may have open.").tag(config=True)
    container_software = Unicode("/software", help="The software area, on the engine.").tag(config=True)
    container_host = Unicode("engine", help="Where hubs and proxies reach its session.").tag(config=True)
    container_network = Unicode("default", help="What the engine calls the network of each.").tag(config=True)

    def __init__(self, cell: Cell, **traits: Any) -> None:  # noqa: ANN401 as Backend has them
        super().__init__(cell, **traits)
        self._notes = listing.Notes()

    # ---- what may be asked for --------------------------------------------------------------

    @property
    def hint(self) -> str:
        """Apart from everybody else."""
        memory = written.size(self.container_most_memory)
        return (
            "for work apart from everybody else's programs, with "
            f"up to {self.container_most_cpus} CPUs and {memory} memory, no GPU and no batch commands."
        )

    @property
    def place(self) -> Place:
        """With its images, and the most that one may ask for."""
        rules = self._rules
        return super().place._replace(most=rules.most, images=rules.images)

    @property
    def offered(self) -> bool:
        """Where the site has one, and something to start there."""
        return bool(self.container_engine and self.container_images)

    @property
    def _rules(self) -> form.Rules:
        usual = self.container_cpus, self.container_memory, self.container_runtime
        return form.Rules(
            form.Granted(next(iter(self.container_images), ""), *usual),
            {
                "cpus": self.container_most_cpus,
                "memory": self.container_most_memory,
                "runtime": self.container_longest,
            },
            dict(self.container_images),
            self.cell.support,
        )

    async def check_request(self, request: form.Request, person: Person) -> form.Granted:
        """Against the settings."""
        return form.check(request, self._rules)

    async def render_form(self, person: Person, before: Before, places: Places, *, anew: bool = False) -> str:
        """What is asked where nobody may use the scheduler."""
        return page.render_small(self.cell.templates, before, places)

    async def describe_free(self, person: Person) -> str:
        """How many more there can be."""
        free, most = await self._room()
        return f"Containers: {free} of {most} free." if most else ""

    async def describe_room(self) -> str:
        """How many more there can be."""
        free, most = await self._room()
        return f"Free now: {free} of {most}." if most else ""

    async def _room(self) -> tuple[int, int]:
        """How many containers are free, and how many there can be; 0 and 0 where the gateway does not say."""
        told = json.loads(await self._ask("room", "", "info", max_age=FREE_AGE)).get("Benchtop") or {}
        return int(told.get("free", 0)), int(told.get("places", 0))

    async def expected_start(self, granted: form.Granted, launch: Launch) -> str:
        """There is no queue."""
        free, most = await self._room()
        if most and not free:
            return f"Expected start: unknown, because all {most} containers are in use"
        return wording.STARTS_AT_ONCE

    def check_defaults(self, settings: Mapping[str, str]) -> frozenset[str]:
        """None: they are about jobs."""
        return frozenset()

    # ---- containers -------------------------------------------------------------------------

    def describe_queue(self, granted: form.Granted) -> str:
        """No queue."""
        return "a container"

    def describe_place(self, granted: form.Granted) -> str:
        """Not by the host, which says nothing."""
        return "container"

    async def submit(self, granted: form.Granted, launch: Launch) -> str:
        """Create it and start it."""
        ends = time.time() + granted.runtime * 60
        try:
            number = listing.number(await self._box(granted, launch).begin())
        except engine.AWAY as wrong:
            raise commands.Failed(complaints.explain(wrong, self.cell.support, granted.image)) from None
        self._notes.ends[number] = ends
        return number

    def _box(self, granted: form.Granted, launch: Launch) -> engine.Box:
        labels = description.labels(launch, self.cell.name)
        own = {"processes": self.container_processes, "files": self.container_files, "group": self.cell.group}
        return engine.Box(
            self._client,
            self.log,
            description.program(granted, launch, own),
            image=granted.image,
            prefix=f"bt-{self.cell.name}",
            name_template="{prefix}-{raw_username}" + ("-{raw_servername}" if launch.server else ""),
            volumes={launch.home: launch.home},
            read_only_volumes={self.container_software: self.container_software},
            mem_limit=granted.memory << 20,
            cpu_limit=float(granted.cpus),
            network_name=self.container_network,
            host_ip="",
            use_internal_ip=False,
            extra_create_kwargs={"labels": labels, "ports": {f"{engine.PORT}/tcp": {}}},
        )

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 docker's
        keys = self.cell.keys
        return engine.connect(self.container_engine, keys / "engine.pem", keys / "engine-ca.pem")

    async def run(self, person: str, *command: str, **options: Any) -> str:  # noqa: ANN401 as docker's client has them
        """Ask the engine, by the name of a method of docker's client; the answer as JSON.

        In nobody's name: the gateway knows the cell, and tells of no other one's containers.
        Raises commands.Failed.
        """
        name, *arguments = command
        try:
            method = getattr(self._client, name)
            return json.dumps(await engine.call(partial(method, *arguments, **options)))
        except engine.AWAY as wrong:
            raise commands.Failed(complaints.explain(wrong, self.cell.support)) from wrong

    def show_token(self, person: str, token: str) -> dict[str, str]:
        """Nothing: the hub's certificate shows whose containers it may have."""
        return {}

    async def list_jobs(self, person: str) -> str:
        """Every container that the gateway tells this cell of, with what its list leaves out."""
        every = json.loads(await self.run(person, "containers", all=True))
        await asyncio.gather(*map(self._complete, every))
        self._notes.forget(every, time.time())
        return json.dumps(every)

    async def _complete(self, found: dict[str, Any]) -> None:
        described: Mapping[str, Any] = {}
        if self._notes.lack(found):
            try:
                described = json.loads(await self.run("", "inspect_container", found["Id"]))
            except commands.Failed as failed:
                if self.is_silent(failed):
                    raise  # else it was removed meanwhile
        self._notes.complete(found, described, longest=self.container_longest * 60)

    def parse_queue(self, listed: str) -> Mapping[str, Job]:
        """By their labels and states."""
        return listing.parse(listed, self.cell.name, self.container_host, time.time())

    async def list_nodes(self, person: str, max_age: float) -> Set[str]:
        """There is one."""
        return {self.container_host}

    async def cancel(self, number: str, person: str) -> bool:
        """Stop it, with ten seconds to save work in, and leave nothing of it; False when there is none."""
        return await self._end(number, kindly=True)

    async def insist(self, number: str, person: str) -> None:
        """Leave nothing of it, at once."""
        await self._end(number, kindly=False)

    async def _end(self, number: str, *, kindly: bool) -> bool:
        try:
            box = engine.Box(self._client, self.log)
            box.object_id = number.removeprefix(self.prefix)
            await box.docker("inspect_container", box.object_id)
            if kindly:
                await box.stop_object()
            await box.remove_object()
        except engine.AWAY as wrong:
            if getattr(wrong, "status_code", 0) == complaints.NOT_FOUND:
                return False
            raise commands.Failed(complaints.explain(wrong, self.cell.support)) from wrong
        return True

    # ---- in plain words ---------------------------------------------------------------------

    def explain_end(self, job: Job | None, granted: Mapping[str, object]) -> str:
        """As of any job; an engine that starts anew has none of the containers of before."""
        if job is None:
            return "its container is gone, most likely because the container engine was restarted"
        return super().explain_end(job, granted)

    def explain_reason(self, reason: str) -> str:
        """In its own words."""
        return reason

    def explain_wait(self, pending: Pending) -> str:
        """Nobody waits there."""
        return ""

    def explain_submitted(self, number: str, place: str) -> str:
        """What becomes of it."""
        return "The session is starting in a container of its own."

    def describe_job(self, number: str) -> str:
        """Its number means nothing to anybody but the hub."""
        return "The session"

    def describe_node(self, node: str) -> str:
        """It is no node of the cluster."""
        return self.name

    def explain_refusal(self, complaint: str) -> str:
        """In sentences already."""
        return f"The session was not started: {complaint}"
