"""Where a session can be had: who runs sessions for this hub, and for whom."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from traitlets import Dict, Enum, List, Type, Unicode, default

from benchtop_hub.access.minter import Minter
from benchtop_hub.backends import environments
from benchtop_hub.backends.backend import TROUBLES, AnyBackend, Backend, Cell, Person
from benchtop_hub.backends.page import Places
from benchtop_hub.errors import ForPerson
from benchtop_hub.upstream.spawner import Adopted

BACKENDS, AREA = "benchtop_backends", "benchtop_area"  # of the hub's settings: all that were made
EVERYBODY = "everybody"  # in place of a group
FREE_PATIENCE = 1.0  # seconds that a form waits for what is free elsewhere


class Placed(Adopted):
    """The first part of a session: who may run it, for this person."""

    backend_classes = List(
        Type(klass=Backend), help="Who may run a session; the first one draws the form."
    ).tag(config=True)
    minter = Unicode(help="Address of the cluster's minter, like https://hpc-minter:8600").tag(config=True)
    keys = Unicode("/keys", help="Folder of the certificates that the minter knows.").tag(config=True)
    cell = Unicode(help="This hub's name: in job names and in the log.").tag(config=True)
    templates = Unicode("/etc/jupyterhub/templates", help="Folder of the form's templates.").tag(config=True)
    support = Unicode("the support", help="Whom a person may ask for more.").tag(config=True)
    home = Unicode("/home/{username}", help="A person's home on the nodes.").tag(config=True)
    cluster = Unicode(help="This cluster's name in the environments of the software area.").tag(config=True)
    software = Unicode("/software", help="The software area, on the hub and on the nodes.").tag(config=True)

    closed_to = Dict(
        key_trait=Unicode(),
        value_trait=List(Unicode()),
        help="To the members of which groups a place is closed: {'login': ['external']}, or ['everybody'].",
    ).tag(config=True)

    clusters = Dict(
        key_trait=Unicode(),
        value_trait=Enum(("slurm", "condor")),
        help="Whose credentials a session's programs get: name → slurm or condor; this cluster first.",
    ).tag(config=True)
    no_credentials_for = List(
        Unicode(), help="Groups whose members' sessions get none: ['external'], or ['everybody']."
    ).tag(config=True)

    run_by: ClassVar[tuple[type[AnyBackend], ...]]  # where the site says nothing else

    @default("backend_classes")
    def _run_by(self) -> list[type[AnyBackend]]:
        return list(self.run_by)

    @property
    def backends(self) -> tuple[AnyBackend, ...]:
        """All who may run a session of this hub, made once."""
        made: tuple[AnyBackend, ...] | None = self.user.settings.get(BACKENDS)
        if made is None:
            group: str = getattr(self.authenticator, "required_group", "")
            cell = Cell(
                self.cell, Minter(self.minter, Path(self.keys)), Path(self.keys), Path(self.templates),
                self.user.settings["cookie_secret"], self.support, group,
            )  # fmt: skip
            made = tuple(kind(cell, config=self.config, log=self.log) for kind in self.backend_classes)
            made = self.user.settings[BACKENDS] = tuple(backend for backend in made if backend.offered)
        return made

    @property
    def backend(self) -> AnyBackend:
        """Who runs the session. Its number tells: a hub that was restarted knows nothing else."""
        of_number = (backend for backend in self.backends if backend.prefix)
        found = (backend for backend in of_number if self.job_id.startswith(backend.prefix))
        return next(found, self.backends[0])

    @property
    def open_backends(self) -> tuple[AnyBackend, ...]:
        """Those that this person may use. Raises ForPerson where there is none."""
        groups = {EVERYBODY, *self.person.groups}
        found = [one for one in self.backends if not groups & set(self.closed_to.get(one.where, ()))]
        if not found:
            advice = f"Your groups may start no session on this cluster. Ask {self.support}."
            raise ForPerson(403, "every place is closed", advice)
        return tuple(found)

    @property
    def without_credentials(self) -> str:
        """Why this person's programs get no credential for a batch system; "" where they do."""
        if {EVERYBODY, *self.person.groups} & set(self.no_credentials_for):
            return f"The programs of your account cannot use the batch systems. Ask {self.support}."
        return ""

    async def credential(self, cluster: str) -> tuple[str, float]:
        """A token for the programs of this person's session, and when it ends.

        Raises minter.Refused or minter.Unavailable.
        """
        minter: Minter = self.backends[0].cell.minter
        return await minter.session_token(self.user.name, cluster)

    def check_places(self) -> None:
        """Raises ValueError with a sentence for a place that is closed and that nobody knows."""
        known = [kind.where for kind in self.backend_classes]
        for where in self.closed_to:
            if where not in known:
                raise ValueError(f"closed_to: there is no place {where!r} here. Choose among {known}.")

    async def describe_places(self, backends: Sequence[AnyBackend]) -> Places:
        """How the form offers these, with what is free of those that do not say it in fields of their own.

        That is a help, no more: an answer that makes no sense, or comes late, costs nobody the form.
        """

        async def free(backend: AnyBackend) -> str:
            try:
                return await asyncio.wait_for(backend.describe_room(), FREE_PATIENCE)
            except (*TROUBLES, TimeoutError, ValueError, TypeError, AttributeError) as trouble:
                self.log.warning("room unknown cell=%s of=%s: %s", self.cell, backend.where, trouble)
                return ""

        every = await asyncio.gather(*map(free, backends))
        return [backend.place._replace(free=room) for backend, room in zip(backends, every, strict=True)]

    @property
    def person(self) -> Person:
        """Who asks."""
        groups = frozenset(group.name for group in self.user.groups)
        return Person(self.user.name, groups, self.site_defaults)

    @property
    def area(self) -> environments.Area:
        """The software area, one for the whole hub."""
        area: environments.Area | None = self.user.settings.get(AREA)
        if area is None:
            area = environments.Area(Path(self.software), self.cluster, self.log)
            self.user.settings[AREA] = area
        return area

    def check_software(self) -> None:
        """Raises ValueError with a sentence for an area that the hub cannot see."""
        if not Path(self.software).is_absolute() or not Path(self.software).is_dir():
            raise ValueError(
                f"software: {self.software} is not a folder on the hubs. "
                "Give the path of the software area, which hubs and nodes see at the same place."
            )

    async def find_environment(self, asked: str) -> str:
        """In what a session is to be started: "", NAME/VERSION, or a path. Raises request.Refused."""
        home = self.home.format(username=self.user.name)
        return await self.area.find(asked, self.person.groups, home=home, support=self.support)
