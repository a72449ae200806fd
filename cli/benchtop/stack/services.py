"""Start the services, show what is waited for, and say which one does not come up, and why."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchtop.console import OUT, Problem, Step, duration, log, step
from benchtop.settings import Settings
from benchtop.stack import compose
from benchtop.stack.compose import Container

# A first start takes Keycloak a minute on two busy cores, three on two that do other work as well
WELL_WITHIN = 420.0
# A service that fell over this often while we watched will not come up by itself
TOO_MANY_RESTARTS = 3
WORTH_A_LINE = 5.0  # seconds: a service that took longer to become well is named with its time


def start(settings: Settings, *profiles: str, only: tuple[str, ...] = ()) -> None:
    """Start every service (with those of `profiles`) and wait until each does its job.

    only: these, with what they depend on
    Raises Problem that names the service that does not, with the end of its log.
    """
    services = set(only) if only else set(compose.config(settings, *profiles)["services"])
    renew_failed(settings)
    with step(f"Starting {', '.join(only) or 'the services'}") as current:
        file = settings.state / "log" / "up.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            process = subprocess.Popen(
                compose.command(settings, "--progress", "plain", "up", "--detach", "--no-build", *services),
                cwd=settings.root,
                env=compose.environment(settings, *profiles),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            try:
                took = watch(settings, services, process, current, file)
            finally:
                process.terminate()
        slow = sorted(
            ((seconds, name) for name, seconds in took.items() if seconds >= WORTH_A_LINE), reverse=True
        )
        slowest = f"; slowest: {', '.join(f'{name} {duration(s)}' for s, name in slow[:3])}" if slow else ""
        current.outcome = f"{len(services)} services are well{slowest}" if not only else ""


def watch(
    settings: Settings, services: set[str], process: subprocess.Popen[bytes], current: Step, file: Path
) -> dict[str, float]:
    """Wait until all services are well; service → seconds that it took, for those that were not at once."""
    before = {one.service: one.restarts for one in compose.containers(settings.project)}
    took: dict[str, float] = {}
    first = True
    while True:
        code = process.poll()  # asked before the look at the containers: what it did last is then seen
        found = {one.service: one for one in compose.containers(settings.project) if one.service in services}
        waiting = sorted(name for name in services if name not in found or not found[name].well)
        for name in services - set(waiting) - set(took):
            took[name] = 0.0 if first else current.elapsed
            if took[name] >= WORTH_A_LINE and not OUT.is_terminal:
                current.note(f"{name} is well after {duration(took[name])}")
        first = False
        broken = [
            one
            for one in found.values()
            if (one.failed and (code is not None or one.state == "running"))
            or one.restarts - before.get(one.service, 0) >= TOO_MANY_RESTARTS
        ]
        if broken:
            raise trouble(settings, min(broken, key=_cause))
        if code:
            lines = file.read_text(errors="replace").splitlines()
            blamed = blame(lines, found.values())
            raise trouble(settings, blamed) if blamed else Problem(*explain(settings, lines))
        if code == 0 and not waiting:
            return took
        if current.elapsed > WELL_WITHIN:
            late = found.get(waiting[0])
            if late:
                raise trouble(settings, late)
            raise Problem(f"{waiting[0]} did not start within {duration(WELL_WITHIN)}: see {file}.")
        present = [name for name in waiting if name in found and found[name].state == "running"]
        current.now("waiting for " + ", ".join(present or waiting))
        time.sleep(0.5)


def _cause(one: Container) -> int:
    """The first failure is rather a container that ended than one that waits for it in vain."""
    return 0 if one.state in {"exited", "dead", "restarting"} else 1


def renew_failed(settings: Settings) -> None:
    """Remove containers that an earlier run left unhealthy or falling over; `up` makes them anew.

    Compose itself would keep them: their definition has not changed, only what they read has.
    """
    sick = [
        one.service
        for one in compose.containers(settings.project)
        if one.health == "unhealthy" or one.state in {"restarting", "dead"}
    ]
    if sick:
        log.info("renewing %s", ", ".join(sick))
        compose.run(settings, "--profile", "*", "rm", "--stop", "--force", *sick)


def stale_networks(settings: Settings) -> list[str]:
    """Networks that an earlier version of compose.yaml made otherwise than it is now, by the stack's names.

    Compose knows a network by its name alone (until 2.32) and would keep it: containers would run on one that
    lets them reach what they should not.
    """
    label = f"label={compose.PROJECT_LABEL}={settings.project}"
    ids = compose.docker("network", "ls", "--quiet", "--filter", label).stdout.decode().split()
    seen = json.loads(compose.docker("network", "inspect", *ids).stdout) if ids else []
    return differing(compose.config(settings, "*")["networks"], seen)


def differing(wanted: Mapping[str, Any], seen: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which of the networks seen by the engine are not as wanted; an engine may add options of its own."""
    found = []
    for one in seen:
        name = one["Labels"].get(compose.NETWORK_LABEL, "")
        ours = wanted.get(name)
        if ours is None:
            continue
        options = (ours.get("driver_opts") or {}).items()
        if one["Internal"] != bool(ours.get("internal")) or not options <= (one["Options"] or {}).items():
            found.append(name)
    return sorted(found)


def trouble(settings: Settings, one: Container) -> Problem:
    """What is wrong with a service, with the end of its log."""
    _, text = describe(one.service, one)
    return Problem(
        f"{one.service}: {text}. Below is the end of its log (`make logs SERVICE={one.service}` shows "
        "all of it); fix that, then run `make up` again.",
        compose.last_lines(settings, one.service),
    )


def blame(lines: Iterable[str], containers: Iterable[Container]) -> Container | None:
    """The container that Compose gave up on, by what it said last."""
    names = re.findall(r"container (\S+) (?:is unhealthy|exited)", "\n".join(lines))
    return next((one for one in containers if names and one.name == names[-1]), None)


def explain(settings: Settings, lines: list[str]) -> tuple[str, list[str]]:
    """A sentence for what made `docker compose up` fail, and its last lines."""
    text = "\n".join(lines)
    if "address already in use" in text or "port is already allocated" in text:
        return (
            f"Port {settings.port} was taken while the facility started: stop what holds it, or choose "
            f"another one, for example `BENCHTOP_PORT={settings.port + 1} make up`.",
            lines[-3:],
        )
    if "non-overlapping" in text or "address pools have been fully subnetted" in text:
        return (
            "The engine has no address range left for another network: remove unused networks "
            "(`docker network prune`), then run `make up` again.",
            lines[-3:],
        )
    return (
        "Compose could not start the facility: see its message below, fix that, then run `make up` again.",
        lines[-8:],
    )


def describe(name: str, one: Container | None) -> tuple[bool, str]:
    """(well, what a person reads) for one service."""
    if one is None:
        return False, "not there"
    output = " ".join(one.health_output.split())
    reason = f": {output[:160]}" if output else ""
    again = f" again, fell over {one.restarts} times" if one.restarts else ""
    match one.state:
        case "running" if one.health == "unhealthy":
            text = f"unhealthy{reason}"
        case "running" if one.health == "starting":
            text = f"starting{again}{reason}"
        case "running" if one.one_shot:
            text = "at work"
        case "running":
            text = "healthy" if one.health else "running"
        case "exited" if one.one_shot and one.exit_code == 0:
            text = "done"
        case "exited" if one.exit_code == 0:
            text = "stopped"
        case "exited":
            text = f"ended with exit code {one.exit_code}" + (
                ", killed (out of memory?)" if one.exit_code == 137 else ""
            )
        case "restarting":
            text = f"keeps crashing: {one.restarts} restarts, last exit code {one.exit_code}"
        case other:
            text = {"created": "not started", "dead": "dead", "paused": "paused"}.get(other, other)
    return one.well, text
