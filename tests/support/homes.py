"""A person's home as something happens to it: on each node, by who may do that."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchtop.people import roster
from benchtop.settings import Settings
from benchtop.stack import compose
from support.batch import Batch
from support.needs import check_held

NODES = {
    "hpc": ("cpu-1", "gpu-1", "gpu-2"), "htc": ("condor-ep-1", "condor-ep-2"),
    "hpc-login": ("hpc-login",), "htc-login": ("htc-login",),
}  # fmt: skip
ROOT = "cpu-1"  # whose root may give a home away, and move it
AWAY = ".moved-by-a-test"


def check_home(settings: Settings, person: str) -> None:
    """Fail a test that writes what sessions read, and that a session on another cluster would read as well.

    Raises AssertionError.
    """
    for cluster in roster.load(settings.live / "accounts/people.yaml").people[person].clusters:
        check_held(f"{cluster}/{person}")


@dataclass(frozen=True)
class Home:
    """The home of a person."""

    settings: Settings
    person: str

    @property
    def path(self) -> str:
        """On every node."""
        return f"/home/{self.person}"

    def run(self, script: str, *words: str, node: str = ROOT, check: bool = True) -> str:
        """What a shell of the person's prints, which begins in their home and reads none of their files."""
        shell = ["sh", "-c", f'cd "$HOME" && {{ {script}\n}}', "sh", *words]
        return Batch(self.settings, "hpc").run(self.person, *shell, on=node, check=check).stdout.decode()

    def put(self, path: str, text: str) -> None:
        """Write a file of theirs."""
        check_home(self.settings, self.person)
        self.run('mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', path, text)

    def remove(self, *paths: str) -> None:
        """Whatever is there."""
        self.run('chmod -R u+rwX "$@" 2>/dev/null; rm -rf -- "$@"', *paths)

    @contextmanager
    def tiny(self, place: str, *, size: str = "2m", files: int = 0) -> Iterator[None]:
        """Another home at a place: of this size and, where `files` says so, for so many files."""
        limits = f"size={size}" + (f",nr_inodes={files}" if files else "")
        own = self.run("id -u && id -g").split()
        options = f"{limits},uid={own[0]},gid={own[1]},mode=700"
        mounted = []
        try:
            for node in NODES[place]:
                self._on_mounts(node, "mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path)
                mounted.append(node)
            yield
        finally:
            for node in mounted:
                self._on_mounts(node, "umount", "--lazy", self.path)

    @contextmanager
    def full(self, place: str) -> Iterator[None]:
        """Another home at a place, of 2 MB, all of which `data/big` takes."""
        with self.tiny(place):
            for node in NODES[place]:
                self.run("mkdir data && cat /dev/zero >data/big 2>/dev/null; true", node=node)
            yield

    @contextmanager
    def missing(self) -> Iterator[None]:
        """No home at all."""
        self._as_root("mv", self.path, self.path + AWAY)
        try:
            yield
        finally:
            self._as_root("mv", self.path + AWAY, self.path)

    @contextmanager
    def of_somebody_else(self) -> Iterator[None]:
        """The home of root, who lets others look."""
        own = self.run("id -u").strip()
        self._as_root("chown", "0", self.path)
        try:
            yield
        finally:
            self._as_root("chown", own, self.path)

    @contextmanager
    def mode(self, mode: str) -> Iterator[None]:
        """The same home with these permissions."""
        before = self.run("stat -c %a .").strip()
        self.run(f"chmod {mode} .")
        try:
            yield
        finally:
            Batch(self.settings, "hpc").run(self.person, "chmod", before, self.path, on=ROOT)

    def _as_root(self, *command: str) -> None:
        compose.run(self.settings, "exec", "-T", "--user", "root", ROOT, *command)

    def _on_mounts(self, node: str, *command: str) -> None:
        """In the mounts of a node: what no container may do, a container of the engine's own may."""
        container = compose.run(self.settings, "ps", "--quiet", node).stdout.decode().strip()
        inspect = ["docker", "inspect", "--format", "{{.State.Pid}}", container]
        pid = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()
        engine = ["docker", "run", "--rm", "--privileged", "--pid=host", "--network=none", self.settings.base]
        enter = ["nsenter", "--target", pid, "--mount", "--pid", "--", *command]
        subprocess.run([*engine, *enter], check=True, capture_output=True)
