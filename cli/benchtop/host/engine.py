"""The container engine: use the one that is there; on a bare Debian or Ubuntu, install one.

An engine that someone else set up (Docker Desktop, rootless, a running daemon) is used and never
changed. We install only where there is none, as root, from the distribution's own packages; we
start a daemon by ourselves only where no init system could do it, and we stop only that one.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchtop.console import Problem, Step, log, say, step
from benchtop.host import apt
from benchtop.stack.compose import docker

# The oldest that understand compose.yaml: an engine that knows start_interval of a health check,
# a Compose that knows the profile "*"
NEED_ENGINE = (25, 0)
NEED_COMPOSE = (2, 24)
NEEDS = "Docker 25 or newer with Compose 2.24 or newer"

# Debian 12's Compose is 1.29: engine, CLI, compose and buildx come from the release after it.
# They need nothing newer than bookworm's libc; everything else of trixie stays out by its pin.
PINNED = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd")
PREFERENCES = f"""\
# Written by Benchtop: only the container engine comes from the next release.
Package: *
Pin: release n=trixie*
Pin-Priority: 100

Package: {" ".join(PINNED)}
Pin: release n=trixie*
Pin-Priority: 600
"""
DEBIAN_PACKAGES = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "iptables")
UBUNTU_PACKAGES = ("docker.io", "docker-compose-v2", "docker-buildx", "iptables")

# The engine's default pools hold about 30 networks; the stack has a dozen, and a second copy
# (a CI run beside a developer's) as many again.
POOL = ("10.213.0.0/16", 24)
DAEMON_JSON = Path("/etc/docker/daemon.json")
PIDFILE = Path("/run/benchtop-dockerd.pid")
LOGFILE = Path("/var/log/benchtop-dockerd.log")
STARTS_WITHIN = 60.0  # seconds; a cold start takes 2, with many containers to revive 20


@dataclass(frozen=True)
class Engine:
    """What the running engine says about itself."""

    version: str
    compose: str
    buildx: bool
    memory: int
    folder: str
    system: str
    rootless: bool

    @property
    def desktop(self) -> bool:
        """Docker Desktop: memory and disk are those of its virtual machine."""
        return "Docker Desktop" in self.system


def look() -> Engine | None:
    """Ask the engine who it is; None when none answers.

    An engine that does not answer within 20 s counts as none.
    """
    if not shutil.which("docker"):
        return None
    try:
        done = docker("info", "--format", "{{json .}}", check=False, timeout=20)
        info: dict[str, Any] = json.loads(done.stdout or b"{}")
    except (Problem, ValueError):
        return None
    if not info.get("ServerVersion"):
        return None
    compose = docker("compose", "version", "--short", check=False).stdout.decode().strip()
    return Engine(
        version=info["ServerVersion"],
        compose=compose,
        buildx=docker("buildx", "version", check=False).returncode == 0,
        memory=int(info.get("MemTotal") or 0),
        folder=info.get("DockerRootDir") or "",
        system=info.get("OperatingSystem") or "",
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or []),
    )


def ensure() -> Engine:
    """The engine that this machine has, installed or started first where that is ours to do.

    Raises Problem with what to do where it is not.
    """
    engine = look()
    if engine:
        return engine
    plan = _advise_here()
    if plan == "install":
        with step("Installing a container engine from the distribution's packages") as current:
            install(apt.release(), current)
    with step("Starting the container engine") as current:
        start(just_installed=plan == "install")
        engine = _await_answer()
        current.outcome = f"Docker {engine.version}"
    return engine


def ensure_running() -> bool:
    """Like `ensure`; whether there was something to do."""
    if look():
        return False
    ensure()
    return True


def verdict() -> str:
    """Why no engine answers and what the person can do; "" where `ensure` will see to it."""
    try:
        _advise_here()
    except Problem as problem:
        return str(problem)
    return ""


@dataclass(frozen=True)
class Machine:
    """What decides whose business a missing engine is."""

    release: apt.Release
    system: str  # Linux, Darwin, Windows
    root: bool
    daemon: bool  # a dockerd is installed
    init: bool  # systemd runs
    elsewhere: str  # DOCKER_HOST


def _advise_here() -> str:
    return advise(
        Machine(
            release=apt.release(),
            system=platform.system(),
            root=is_root(),
            daemon=shutil.which("dockerd") is not None,
            init=has_init(),
            elsewhere=os.environ.get("DOCKER_HOST", ""),
        )
    )


def advise(machine: Machine) -> str:
    """What to do when no engine answers: "install" or "start"; raises Problem when it is not ours to do."""
    again = "then run this again"
    if machine.elsewhere:
        raise Problem(
            f"No engine answers at DOCKER_HOST={machine.elsewhere}: start it or unset DOCKER_HOST, {again}."
        )
    if machine.system != "Linux":
        raise Problem(
            f"No container engine answers: start Docker Desktop (or another Docker engine), {again}."
        )
    if machine.daemon and machine.init:
        raise Problem(
            f"The container engine is installed but not running: `sudo systemctl start docker`, {again}."
        )
    if not machine.root:
        what = "is installed but not running, or not yours to use" if machine.daemon else "is missing"
        raise Problem(
            f"The container engine {what}: run `sudo make up` once, or start {NEEDS} "
            f"and join the group docker, {again}."
        )
    if machine.daemon:
        return "start"
    release = machine.release
    young_debian = release.id == "debian" and (release.number >= 12 or not release.number)
    if release.id == "ubuntu" or young_debian:
        return "install"
    raise Problem(
        f"There is no container engine, and Benchtop cannot install one on {release.title}: "
        f"install {NEEDS}, {again}."
    )


def install(release: apt.Release, current: Step) -> None:
    """Install the engine as root, from the distribution; see `plan_install` for what."""
    sources, preferences, packages = plan_install(release, apt.in_force())
    if sources:
        current.note(
            "adds trixie's archive for the engine alone: /etc/apt/sources.list.d/benchtop-engine.sources"
        )
        _write(apt.SOURCES / "sources.list.d" / "benchtop-engine.sources", sources)
        _write(apt.SOURCES / "preferences.d" / "benchtop-engine", preferences)
    if has_init() and not DAEMON_JSON.exists():
        # the package starts the daemon by itself: what it should know must be there before
        base, size = POOL
        pools = {"default-address-pools": [{"base": base, "size": size}]}
        _write(DAEMON_JSON, json.dumps(pools, indent=2) + "\n")
    current.now(" ".join(packages))
    apt.install(*packages)


def plan_install(release: apt.Release, sources: list[apt.Source]) -> tuple[str, str, tuple[str, ...]]:
    """(apt source, apt preferences, packages) for a release; the first two empty where its own will do.

    Raises Problem when the machine's sources do not name the release's archive.
    """
    if release.id == "ubuntu":
        return "", "", UBUNTU_PACKAGES
    if release.codename != "bookworm":
        return "", "", DEBIAN_PACKAGES
    trixie = apt.for_suite(sources, "bookworm", "trixie")
    if not any("trixie" in source.suites for source in trixie):
        raise Problem(
            "The apt sources of this machine name no bookworm archive to derive the engine's from: "
            "fix /etc/apt/sources.list, or install Docker yourself."
        )
    return apt.deb822(trixie), PREFERENCES, DEBIAN_PACKAGES


def start(*, just_installed: bool) -> None:
    """Start the installed daemon: by systemd where it runs, else on our own with a log and a pid file."""
    if has_init():
        if just_installed:
            subprocess.run(["systemctl", "start", "docker"], check=False, capture_output=True)
        return
    LOGFILE.parent.mkdir(parents=True, exist_ok=True)
    with LOGFILE.open("ab") as file:
        # a session of its own: the engine must outlive this command and its terminal
        subprocess.Popen(
            daemon_command(DAEMON_JSON.read_text() if DAEMON_JSON.exists() else ""),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    log.info("started dockerd, log in %s", LOGFILE)


def daemon_command(daemon_json: str) -> list[str]:
    """The words that start the daemon; it refuses an option that its daemon.json gives as well."""
    words = ["dockerd", "--pidfile", str(PIDFILE)]
    if "default-address-pools" not in daemon_json:
        words += ["--default-address-pool", f"base={POOL[0]},size={POOL[1]}"]
    return words


def stop() -> None:
    """Stop the daemon that `start` started without an init system, and no other."""
    pid = ours()
    if pid is None:
        say("No engine started by Benchtop is running; engines started by others are left alone.")
        return
    with step("Stopping the container engine"):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and ours() == pid:
            if time.monotonic() > deadline:
                raise Problem(f"The engine (process {pid}) has not ended after 60 s: see {LOGFILE}.")
            time.sleep(0.2)
        PIDFILE.unlink(missing_ok=True)


def ours() -> int | None:
    """The process id of the daemon that we started, while it runs.

    A number in a file is not proof: the process must be a dockerd that was given our pid file.
    """
    try:
        pid = int(PIDFILE.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return pid if str(PIDFILE).encode() in words and state != "Z" else None


def has_init() -> bool:
    """Whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()


def _await_answer() -> Engine:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        engine = look()
        if engine:
            return engine
        time.sleep(0.3)
    where = "`journalctl -u docker`" if has_init() else str(LOGFILE)
    tail = [] if has_init() else LOGFILE.read_text(errors="replace").splitlines()[-8:]
    raise Problem(f"The container engine did not start within {STARTS_WITHIN:.0f} s: see {where}.", tail)


def is_root() -> bool:
    """Whether we may install packages and start daemons."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
