"""A session on the login node: no scheduler, nothing to wait for, and little of everything.

The hub goes there by SSH as the person, with a key that it has just made and the minter's certificate for
it, which is good for a minute and for one program (lab/benchtop_lab/local.py). That program starts a session,
tells of all of them, and ends one: what a scheduler does, so a login node is a `Cluster`.
"""

import json
import tempfile
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from traitlets import Integer, Unicode
from traitlets.config import Configurable

from benchtop_hub.access.minter import Minter, Refused
from benchtop_hub.backends import commands, marks
from benchtop_hub.backends import queue as jobs
from benchtop_hub.backends.backend import Cluster
from benchtop_hub.backends.slurm import form

BATCH, LOGIN = "batch", "login"
PREFIX = "local-"  # of the numbers of its sessions: a hub that is restarted knows by it where one is
SILENCE = ("ssh: ", "Connection closed", "Connection reset", "Host key verification failed")
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


@dataclass(frozen=True)
class Granted:
    """What a session on the login node gets: minutes, and MB that it may take."""

    runtime: int
    memory: int


class LoginNode(Cluster):
    """The login node of a cluster, for the people of one hub."""

    def __init__(self, minter: Minter, host: str, keys: Path) -> None:
        super().__init__(minter)
        self.host = host
        self._known_hosts = keys / "known_hosts"

    async def run(
        self,
        person: str,
        *command: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        errors: bool = False,
    ) -> str:
        """Have a command done there as `person`. Raises as Cluster's own; `errors` as there.

        env: nothing of it travels: what a session must have goes by `stdin`
        """
        key = Ed25519PrivateKey.generate()
        public, openssh = serialization.PublicFormat.OpenSSH, serialization.PrivateFormat.OpenSSH
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, public).decode()
        certificate = await self.minter.certificate(person, line)
        with tempfile.TemporaryDirectory(prefix="ssh-") as folder:  # 0700
            own = Path(folder, "key")
            own.touch(mode=0o600)
            own.write_bytes(
                key.private_bytes(serialization.Encoding.PEM, openssh, serialization.NoEncryption())
            )
            Path(folder, "key-cert.pub").write_text(certificate)
            options = {**_OPTIONS, "IdentityFile": str(own), "UserKnownHostsFile": str(self._known_hosts)}
            words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
            return await commands.run(
                "ssh", "-F", "none", "-T", *words, f"{person}@{self.host}", *command,
                stdin=stdin, errors=errors,
            )  # fmt: skip

    def showing(self, person: str, token: str) -> dict[str, str]:
        """Nothing: a certificate shows who somebody is."""
        return {}

    async def listing(self, person: str) -> str:
        """Every session there."""
        return await self.run(person, "list")

    def parse(self, listing: str) -> Mapping[str, jobs.Job]:
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
            if len(fields) != 5 or not jobs.NUMBER.fullmatch(fields[0]):
                continue
            number, state, node, mark, reason = fields
            job = jobs.Job(state, node, reason, owner=marks.owner_of(mark), mark=mark)
            found[number] = job if job.alive else replace(job, told=reason, lingers=True)
        return found

    async def nodes(self, person: str, max_age: float) -> Set[str]:
        """There is one."""
        return {self.host}

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


class OnLoginNode(Configurable):
    """What a spawner needs for sessions on the login node: settings, and the node itself."""

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

    def login_grants(self, runtime: int | None, support: str) -> Granted:
        """What somebody who asks for that runtime gets. Raises form.Refused."""
        if not self.login_node:
            sentence = "Where: this cluster has no login node for sessions. Choose a job."
            raise form.Refused(form.Problem("where", LOGIN, "login_node", sentence))
        wanted = self.login_runtime if runtime is None else runtime
        if wanted > self.login_longest:
            sentence = (
                f"Runtime: {wanted} minutes is more than a session on the login node may run "
                f"({self.login_longest}). Choose less, or ask {support}."
            )
            raise form.Refused(form.Problem("runtime", str(wanted), "login_longest", sentence))
        return Granted(wanted, self.login_memory)

    def login_request(
        self, granted: Granted, env: Mapping[str, str], log_name: str, group: str, mark: str
    ) -> str:
        """What the node is asked to start, secrets included: for standard input alone."""
        home = env["HOME"]
        idle = self.login_idle * 60  # of which JupyterLab warns, or of the hub's own limit where that is less
        warns = min(idle, int(env.get("BENCHTOP_IDLE_AFTER") or idle))
        asked: dict[str, Any] = {
            "env": {**env, "BENCHTOP_IDLE": str(idle), "BENCHTOP_IDLE_AFTER": str(warns)},
            "home": home,
            "log": f"{home}/{log_name}",
            "runtime": granted.runtime * 60,
            "memory": granted.memory,
            "cpu": self.login_cpu * 60,
            "processes": self.login_processes,
            "files": self.login_files,
            "group": group,
            "mark": mark,
        }
        return json.dumps(asked)


def asked_for(request: object) -> bool:
    """Is a session on the login node wanted?"""
    return getattr(request, "where", BATCH) == LOGIN
