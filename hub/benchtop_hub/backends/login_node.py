"""A session on the login node: no scheduler, nothing to wait for, and little of everything.

The hub goes there by SSH as the person, with a key that it has just made and the minter's certificate for
it, which is good for a minute and for one program (lab/benchtop_lab/login_node). That program starts a
session, lists all of them, and ends one: what a scheduler does, so a login node is a backend.
"""

import json
import tempfile
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from traitlets import Integer, Unicode

from benchtop_hub import wording
from benchtop_hub.access.minter import Refused
from benchtop_hub.backends import commands, marks, page, request, written
from benchtop_hub.backends.backend import Backend, Launch, Pending, Person
from benchtop_hub.backends.page import Place, Places
from benchtop_hub.backends.queue import NUMBER, Job
from benchtop_hub.backends.request import ENVIRONMENT, WITHOUT_SETTINGS, Before

_NO_SUCH = "no such session"
# Nothing of the hub's own configuration, one key, one host, and no question to anybody.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "5",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "LogLevel": "ERROR",
    "PreferredAuthentications": "publickey",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
}


class Request(request.Request):
    """What somebody asks for: how long. None: the default."""

    where: str = "login"


@dataclass(frozen=True)
class Granted:
    """What a session on the login node gets: minutes, and MB that it may take."""

    runtime: int
    memory: int


class LoginNode(Backend[Request, Granted]):
    """The login node of a cluster, for the people of one hub."""

    where = "login"
    name = "the login node"
    label = "Login node (starts at once)"
    numbered = False
    prefix = "local-"
    request = Request
    fields: ClassVar[Mapping[str, str]] = {
        "where": "Run on",
        "environment": ENVIRONMENT,
        "runtime": "Runtime",
        "without_settings": WITHOUT_SETTINGS,
    }
    silences = ("ssh: ", "Connection closed", "Connection reset", "Host key verification failed")
    who = "The login node"
    stands_in = True

    login_node = Unicode(help="The host of sessions that wait for no scheduler; empty: there is none.").tag(
        config=True
    )
    login_runtime = Integer(120, help="Minutes of such a session whose owner does not say.").tag(config=True)
    login_longest = Integer(720, help="Minutes that one may run.").tag(config=True)
    login_memory = Integer(1024, help="MB that one may take before it is ended.").tag(config=True)
    login_cpu = Integer(240, help="Minutes of CPU time that each of its processes may take.").tag(config=True)
    login_processes = Integer(512, help="Processes that its owner may have, jobs on this host included.").tag(
        config=True
    )
    login_files = Integer(4096, help="Files that each of its processes may have open.").tag(config=True)
    login_idle = Integer(60, help="Minutes without work after which one ends.").tag(config=True)

    @property
    def hint(self) -> str:
        """Little of everything, and at once."""
        memory = written.size(self.login_memory)
        return f"for a quick look or short work, with {memory} memory, no GPU, one such session at a time."

    @property
    def place(self) -> Place:
        """With the most that one may ask for."""
        return super().place._replace(most={"runtime": self.login_longest})

    @property
    def offered(self) -> bool:
        """Where the site has one."""
        return bool(self.login_node)

    async def check_request(self, request: Request, person: Person) -> Granted:
        """Against the settings."""
        return self.grant(request.runtime)

    def grant(self, runtime: int | None) -> Granted:
        """What somebody who asks for that runtime gets. Raises request.Refused."""
        wanted = self.login_runtime if runtime is None else runtime
        if wanted > self.login_longest:
            sentence = (
                f"Runtime: {wanted} minutes is more than the login node allows "
                f"({self.login_longest}). Choose less, or ask {self.cell.support}."
            )
            raise request.Refused(request.Problem("runtime", str(wanted), "login_longest", sentence))
        return Granted(wanted, self.login_memory)

    async def render_form(self, person: Person, before: Before, places: Places, *, anew: bool = False) -> str:
        """What is asked where a site has nothing but login nodes."""
        return page.render_small(self.cell.templates, before, places)

    async def expected_start(self, granted: Granted, launch: Launch) -> str:
        """There is no queue."""
        return wording.STARTS_AT_ONCE

    def check_defaults(self, settings: Mapping[str, str]) -> frozenset[str]:
        """None: they are about jobs."""
        return frozenset()

    def describe_queue(self, granted: Granted) -> str:
        """The host."""
        return self.login_node

    def describe_place(self, granted: Granted) -> str:
        """Not by the host, which is the node."""
        return "login node"

    async def submit(self, granted: Granted, launch: Launch) -> str:
        """All that the node needs goes by standard input, secrets included."""
        idle = self.login_idle * 60  # of which JupyterLab warns, or of the hub's own limit where that is less
        warns = min(idle, int(launch.env.get("BENCHTOP_IDLE_AFTER") or idle))
        wanted: dict[str, Any] = {
            "env": {**launch.env, "BENCHTOP_IDLE": str(idle), "BENCHTOP_IDLE_AFTER": str(warns)},
            "home": launch.home,
            "log": f"{launch.home}/{launch.log}",
            "runtime": granted.runtime * 60,
            "memory": granted.memory,
            "cpu": self.login_cpu * 60,
            "processes": self.login_processes,
            "files": self.login_files,
            "group": self.cell.group,
            "mark": launch.mark,
        }
        return (await self.run(launch.person, "start", stdin=json.dumps(wanted))).strip()

    async def run(
        self,
        person: str,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        errors: bool = False,
    ) -> str:
        """Have a command done there as `person`; nothing of `env` travels. Raises as Backend's own."""
        key = Ed25519PrivateKey.generate()
        public, openssh = serialization.PublicFormat.OpenSSH, serialization.PrivateFormat.OpenSSH
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, public).decode()
        certificate = await self.cell.minter.certificate(person, line)
        with tempfile.TemporaryDirectory(prefix="ssh-") as folder:  # 0700
            own = Path(folder, "key")
            own.touch(mode=0o600)
            own.write_bytes(
                key.private_bytes(serialization.Encoding.PEM, openssh, serialization.NoEncryption())
            )
            Path(folder, "key-cert.pub").write_text(certificate)
            known = str(self.cell.keys / "known_hosts")
            options = {**_OPTIONS, "IdentityFile": str(own), "UserKnownHostsFile": known}
            words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
            return await commands.run(
                "ssh", "-F", "none", "-T", *words, f"{person}@{self.login_node}", *command,
                stdin=stdin, errors=errors,
            )  # fmt: skip

    def show_token(self, person: str, token: str) -> dict[str, str]:
        """Nothing: a certificate shows who somebody is."""
        return {}

    async def list_jobs(self, person: str) -> str:
        """Every session there."""
        return await self.run(person, "list")

    def parse_queue(self, listing: str) -> Mapping[str, Job]:
        """One a line: number|state|node|mark|reason.

        One that ended stays until the hub has taken note of how, which is in plain words. A line that is none
        of these is nobody's session. Raises ValueError for an answer that is cut off.
        """
        found = {}
        *lines, rest = listing.split("\n")
        if rest:
            raise ValueError(f"half a line of the login node: {rest!r}")
        for line in lines:
            fields = line.split("|")
            if len(fields) != 5 or not NUMBER.fullmatch(fields[0]):
                continue
            number, state, node, mark, reason = fields
            job = Job(state, node, reason, owner=marks.owner_of(mark), mark=mark)
            found[number] = job if job.alive else replace(job, message=reason, lingers=True)
        return found

    async def list_nodes(self, person: str, max_age: float) -> Set[str]:
        """There is one."""
        return {self.login_node}

    async def cancel(self, number: str, person: str) -> bool:
        """Have it ended; False when there is no such session.

        Of somebody who may do nothing any more, the node itself ends the session.
        """
        try:
            await self.run(person, "stop", number)
        except commands.Failed as failed:
            if _NO_SUCH in str(failed):
                return False
            raise
        except Refused:
            return True
        return True

    def explain_wait(self, pending: Pending) -> str:
        """Nobody waits there."""
        return ""

    def explain_submitted(self, number: str, place: str) -> str:
        """Where it starts."""
        return f"The session is starting on {self.describe_node(place)}."

    def describe_job(self, number: str) -> str:
        """Its number means nothing to anybody but the hub."""
        return "The session"

    def describe_node(self, node: str) -> str:
        """It is no node of the cluster."""
        return f"the login node {node}"

    def explain_refusal(self, complaint: str) -> str:
        """In the node's own words, which are for people."""
        return f"The login node refused the session: {complaint}"
