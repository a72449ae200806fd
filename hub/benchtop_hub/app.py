"""The hub of a cell: JupyterHub, and the one place where all that is ours is added to it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import batchspawner.api
from jupyterhub.app import JupyterHub
from jupyterhub.spawner import Spawner
from traitlets import Unicode
from traitlets.config import Config

from benchtop_hub.access import administrators, leavers
from benchtop_hub.api import credentials, expected_start, ready, reports
from benchtop_hub.pages import administration, announcement, ending, farewell, mine, servers, tokens
from benchtop_hub.sessions import certificates, reaper
from benchtop_hub.sessions.spawner import Session
from benchtop_hub.upstream import bodies, database, forged, http_client, names, navigation, settings
from benchtop_hub.upstream import tokens as upstream_tokens

# Before upstream's, in place of some of which they stand.
HANDLERS = [
    *servers.default_handlers,
    *ending.default_handlers,
    *administration.default_handlers,
    *mine.default_handlers,
    *tokens.default_handlers,
    *reports.default_handlers,
    *credentials.default_handlers,
    *expected_start.default_handlers,
    *ready.default_handlers,
]
# Importing batchspawner mounts it: it sets whatever attribute of a spawner a job names. Ours (api/reports.py)
# takes the two things that a job may say.
NOT_MOUNTED = (batchspawner.api.BatchSpawnerAPIHandler,)


class BenchtopHub(JupyterHub):
    """JupyterHub with our pages, watchers and patches; its settings are those of `c.JupyterHub`."""

    keys = Unicode("/keys", help="Folder of the hub's own keys.").tag(config=True)

    def load_config_file(self, *files: Any, **more: Any) -> None:  # noqa: ANN401 as upstream has it
        """Read the configuration, and refuse to start with a setting that would do nothing."""
        super().load_config_file(*files, **more)
        # a file that has its `c` from traitlets' get_config() writes into our configuration, unnoticed by us
        self.update_config(self.config)
        hand_on(self.config, self.spawner_class)
        mistakes = [
            f"c.{name}: {sentence}" for name, sentence in settings.refused(self.config, self.spawner_class)
        ]
        if mistakes:
            self.exit("\n".join(mistakes))

    def init_db(self) -> None:
        """Patch what has to be, before the first database, client or server is made."""
        keys = Path(self.keys)
        names.ask_the_system()
        navigation.note()
        forged.believe_own_pages()
        bodies.bound()
        database.tell_when_away()
        upstream_tokens.declare()
        http_client.check_sessions(certificates.trust(keys), certificates.Resolver)
        super().init_db()

    def init_tornado_settings(self) -> None:
        """What pages ask for when they are shown."""
        group: str = getattr(self.authenticator, "admin_group", "")
        self.template_vars = {
            "announcement": announcement.current,
            "farewells": farewell.for_page,
            "administers": administrators.among(group),
            **self.template_vars,
        }
        super().init_tornado_settings()

    def init_handlers(self) -> None:
        """Ours first."""
        super().init_handlers()
        theirs = [entry for entry in self.handlers if entry[1] not in NOT_MOUNTED]
        self.handlers = [*self.add_url_prefix(self.hub_prefix, HANDLERS), *theirs]

    async def initialize(self, *arguments: Any, **more: Any) -> None:  # type: ignore[override]  # noqa: ANN401 as upstream has it
        """Look after leavers and lost jobs for as long as the hub runs."""
        await super().initialize(*arguments, **more)
        self.watch()

    def watch(self) -> None:
        """Start the watchers."""
        for watcher in (leavers, reaper):
            watcher.watch(self, getattr(self.authenticator, "cell", ""))


def hand_on(config: Config, session: type[Spawner]) -> None:
    """Move each setting of the session's section that is a backend's into the section of that backend.

    An admin sets all about sessions in one section, like c.SlurmSession, whoever runs them. So they do in a
    class of their own that is made of it: both sections count, and the narrower one wins.
    """
    if not issubclass(session, Session):
        return
    own = session.class_traits(config=True)
    for section in sections_of(config, session):
        for option in [name for name in section if name not in own]:
            for backend in backends_of(config, session):
                if option in backend.class_traits(config=True):
                    config[backend.__name__].setdefault(option, section[option])
                    del section[option]
                    break


def sections_of(config: Config, kind: type[Spawner]) -> list[Config]:
    """What is set for this kind, and for what it is made of, the narrower first."""
    return [config[base.__name__] for base in kind.__mro__ if base.__name__ in config]


def backends_of(config: Config, session: type[Spawner]) -> Iterable[Any]:
    """Which classes of backends run sessions of this kind; none for a spawner that is not ours."""
    name = "backend_classes"
    found = (section[name] for section in sections_of(config, session) if name in section)
    return next(found, getattr(session, "run_by", ()))
