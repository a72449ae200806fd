"""Restart services, or have them asked anew, and wait until they do their job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping

from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import compose, services
from benchtop.stack.compose import Container

WELL_WITHIN = 240.0  # seconds; the slowest, Keycloak, takes 20 on an idle machine and 115 on a crowded one


def readers(settings: Settings, folder: str) -> set[str]:
    """The services that mount the live copy of a folder of the checkout."""
    source = str(settings.live / folder)
    parsed = compose.config(settings, "*")["services"]
    return {
        name
        for name, service in parsed.items()
        if any(volume.get("source") == source for volume in service.get("volumes", []))
    }


def running(settings: Settings) -> set[str]:
    """The services that have started and can tell us of their state; one that falls over has not."""
    return {each.service for each in compose.containers(settings.project) if each.state == "running"}


def outdated(settings: Settings) -> set[str]:
    """The services whose image was built anew since they were made: the next start makes them anew, too."""
    found = compose.containers(settings.project)
    names = sorted({each.image for each in found})
    if not names:
        return set()
    newest: dict[str, str] = {}
    for entry in json.loads(compose.docker("image", "inspect", *names, check=False).stdout or b"[]"):
        newest |= dict.fromkeys(entry["RepoTags"], entry["Id"])
    tagged = {name: newest.get(name if ":" in name else f"{name}:latest") for name in names}
    return {each.service for each in found if tagged[each.image] not in {None, each.built}}


def unwell(settings: Settings) -> set[str]:
    """The services that do not do their job at this moment."""
    return {each.service for each in compose.containers(settings.project) if not each.well}


def restart(settings: Settings, names: Iterable[str]) -> None:
    """Restart services and wait until they are well; raises Problem with the log of one that is not."""
    names = list(names)
    before = _restarts(settings)
    compose.run(settings, "restart", "--no-deps", *names)
    _wait(settings, names, lambda container: container.well, before)


def wait_until_they_work(settings: Settings, names: Iterable[str]) -> None:
    """Wait until services do their job by a health check that is made now, not when the engine looks next."""
    parsed = compose.config(settings)["services"]

    def works(container: Container) -> bool:
        words = parsed[container.service]["healthcheck"]["test"][1:]
        done = compose.run(settings, "exec", "-T", container.service, *words, check=False, timeout=30)
        return done.returncode == 0

    _wait(settings, list(names), works, _restarts(settings), patient=True)


def _restarts(settings: Settings) -> dict[str, int]:
    return {each.service: each.restarts for each in compose.containers(settings.project)}


def _wait(
    settings: Settings,
    names: list[str],
    good: Callable[[Container], bool],
    before: Mapping[str, int],
    *,
    patient: bool = False,
) -> None:
    """Wait for what is good. patient: what the engine last saw of their health may be out of date."""
    end = time.monotonic() + WELL_WITHIN
    waiting = list(names)
    while True:
        found = {each.service: each for each in compose.containers(settings.project)}
        waiting = [name for name in waiting if name not in found or not good(found[name])]
        if not waiting:
            return
        first = found.get(waiting[0])
        if first is None:
            raise Problem(f"{waiting[0]} has no container any more: `make up` recreates it.")
        fell = first.restarts - before.get(first.service, 0) >= services.TOO_MANY_RESTARTS
        ended = first.state in {"exited", "dead"}
        if ended or fell or (first.failed and not patient) or time.monotonic() > end:
            _, text = services.describe(first.service, first)
            raise Problem(f"{first.service}: {text}.", compose.last_lines(settings, first.service, 8))
        time.sleep(0.3)
