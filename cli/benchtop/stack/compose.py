"""Run `docker` and `docker compose` for this facility, and read what they say."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any, NoReturn

from benchtop.console import Problem, log
from benchtop.settings import Settings
from benchtop.stack import notices

PROJECT_LABEL = "com.docker.compose.project"
NETWORK_LABEL = "com.docker.compose.network"
SERVICE_LABEL = "com.docker.compose.service"
FOLDER_LABEL = "com.docker.compose.project.working_dir"
ONEOFF_LABEL = "com.docker.compose.oneoff"


def docker(
    *args: str, input: bytes | None = None, check: bool = True, timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `docker ARGS` and keep what it prints.

    Raises Problem when there is no docker, and, with `check`, when it fails or takes too long.
    """
    return _run(["docker", *args], None, input=input, check=check, timeout=timeout)


def run(
    settings: Settings,
    *args: str,
    input: bytes | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `docker compose ARGS` for this facility and keep what it prints; raises as `docker` does."""
    return _run(command(settings, *args), settings, input=input, check=check, timeout=timeout)


def replace(settings: Settings, *args: str) -> NoReturn:
    """Become `docker compose ARGS`, for verbs that hand the terminal over (a shell, a followed log)."""
    os.chdir(settings.root)
    try:
        os.execvpe("docker", command(settings, *args), environment(settings))  # noqa: S606 - a program, no shell
    except FileNotFoundError:
        raise Problem(_NO_DOCKER) from None


def command(settings: Settings, *args: str) -> list[str]:
    """The words of a `docker compose` call for this facility."""
    return ["docker", "compose", "--project-name", settings.project, *args]


def environment(settings: Settings, *profiles: str) -> dict[str, str]:
    """The environment of a `docker compose` call: the settings as this tool understood them.

    profiles: to switch on besides those of the clusters and cells that run here
    """
    return {
        **os.environ,
        "COMPOSE_PROJECT_NAME": settings.project,
        "COMPOSE_PROFILES": _profiles(settings, *profiles),
        "CLUSTERS": ",".join(settings.clusters),
        "CELLS": str(settings.cells),
        "BENCHTOP_NAME": settings.name,
        "BENCHTOP_LOGIN_NAME": settings.login_name,
        "BENCHTOP_BIND": settings.bind,
        "BENCHTOP_PORT": str(settings.port),
        "BENCHTOP_BASE": settings.base,
        "BENCHTOP_SUPPORT": settings.support,
        "BENCHTOP_ENGINE": "on" if settings.engine else "off",
        # Compose's menu of shortcuts would read the terminal that the progress is shown on
        "COMPOSE_MENU": "false",
    }


def _profiles(settings: Settings, *more: str) -> str:
    """For COMPOSE_PROFILES: the clusters, the cells in service, and what of the optional parts there is."""
    in_service = [cell for cell in settings.cell_names if not notices.notice_file(settings, cell).exists()]
    optional = [name for name, on in (("egress", settings.egress), ("engine", settings.engine)) if on]
    return ",".join([*settings.clusters, *in_service, *optional, *more])


_NO_DOCKER = "The docker command is missing: run `make doctor` to see what to install."


def _run(
    words: list[str],
    settings: Settings | None,
    *profiles: str,
    input: bytes | None,
    check: bool,
    timeout: float | None,
) -> subprocess.CompletedProcess[bytes]:
    extra: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    if settings:
        extra |= {"cwd": settings.root, "env": environment(settings, *profiles)}
    try:
        done = subprocess.run(words, check=False, capture_output=True, timeout=timeout, **extra)
    except FileNotFoundError:
        raise Problem(_NO_DOCKER) from None
    except subprocess.TimeoutExpired:
        raise Problem(
            f"`{_short(words)}` has not answered for {timeout:.0f} s: "
            "see whether the engine is well with `make doctor`."
        ) from None
    if check and done.returncode:
        output = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        log.error("%s exited %d: %s", _short(words), done.returncode, " / ".join(output))
        raise Problem(f"`{_short(words)}` failed (exit {done.returncode}).", output[-15:])
    return done


def _short(words: list[str]) -> str:
    """A command as a person would type it: without the project, and not endless."""
    if words[:2] == ["docker", "compose"]:
        words = ["docker", "compose", *words[4:]]
    text = " ".join(words)
    return text if len(text) < 90 else text[:87] + "…"


@dataclass(frozen=True)
class Container:
    """One container as the engine sees it; as its listing and its details say."""

    id: str
    name: str
    service: str
    project: str
    folder: str
    image: str
    built: str  # the id of the very image that it was made of
    state: str  # created, running, restarting, exited, dead, paused, removing
    health: str  # starting, healthy, unhealthy, or "" without a health check
    exit_code: int
    restarts: int
    policy: str  # restart policy: no, always, unless-stopped, on-failure
    started: str
    health_output: str  # of the last health check
    ports: tuple[tuple[str, int], ...]  # host addresses that it publishes, or would when started

    @property
    def one_shot(self) -> bool:
        """A container that does its work once and ends: its restart policy lets it end."""
        return self.policy in {"", "no", "on-failure"} and not self.health

    @property
    def well(self) -> bool:
        """It does its job (or has done it, when it is one-shot)."""
        if self.state == "running":
            return self.health in {"", "healthy"} and not self.one_shot
        return self.state == "exited" and self.one_shot and self.exit_code == 0

    @property
    def failed(self) -> bool:
        """It will not become well by waiting."""
        if self.state in {"exited", "dead"}:
            return not self.well
        # one that is on its way out keeps the last word of its health check
        return self.state == "running" and self.health == "unhealthy"


def containers(project: str | None = None) -> list[Container]:
    """All containers that Compose made on this engine, of one project or of every one."""
    label = PROJECT_LABEL if project is None else f"{PROJECT_LABEL}={project}"
    ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").stdout.decode().split()
    if not ids:
        return []
    # not checked: one of them may be gone between the two calls; the others are still told
    seen = json.loads(docker("inspect", "--type", "container", *ids, check=False).stdout or b"[]")
    # Whoever runs an image of Compose's gets its labels, but for this one, which Compose gives to containers
    found = [container(entry) for entry in seen if entry["Config"]["Labels"].get(ONEOFF_LABEL) == "False"]
    return sorted(found, key=lambda one: (one.project, one.service, one.name))


def container(entry: dict[str, Any]) -> Container:
    """A Container from one entry of `docker inspect`."""
    state, labels, host = entry["State"], entry["Config"]["Labels"] or {}, entry["HostConfig"]
    health = state.get("Health") or {}
    checks = health.get("Log") or []
    ports = [
        (binding.get("HostIp") or "", int(binding.get("HostPort") or 0))
        for bindings in (host.get("PortBindings") or {}).values()
        for binding in bindings or []
    ]
    return Container(
        id=entry["Id"],
        name=entry["Name"].lstrip("/"),
        service=labels.get(SERVICE_LABEL, ""),
        project=labels.get(PROJECT_LABEL, ""),
        folder=labels.get(FOLDER_LABEL, ""),
        image=entry["Config"]["Image"],
        built=entry["Image"],
        state=state["Status"],
        health="" if health.get("Status", "none") == "none" else health["Status"],
        exit_code=int(state.get("ExitCode") or 0),
        restarts=int(entry.get("RestartCount") or 0),
        policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        started=state.get("StartedAt") or "",
        health_output=(checks[-1].get("Output") or "").strip() if checks else "",
        ports=tuple(ports),
    )


def config(settings: Settings, *profiles: str) -> dict[str, Any]:
    """The stack as Compose understands it; raises Problem with Compose's own words when it does not."""
    words = command(settings, "config", "--format", "json")
    done = _run(words, settings, *profiles, input=None, check=True, timeout=None)
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def last_lines(settings: Settings, service: str, count: int = 12) -> list[str]:
    """The end of a service's log, for a message about it."""
    return [line for line in log_text(settings, "--no-log-prefix", "--tail", str(count), service) if line]


def log_text(settings: Settings, *args: str) -> list[str]:
    """What `docker compose logs ARGS` prints, line by line, for a reader that is no terminal."""
    text = run(settings, "logs", "--no-color", *args, check=False).stdout.decode(errors="replace")
    # Compose begins each batch with “clear this line”, whoever reads it
    return [line.replace("\x1b[2K", "").rstrip() for line in text.splitlines()]
