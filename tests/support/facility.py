"""Ways to look at services, to break one, and to see that all is well again."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from benchtop.settings import Settings
from benchtop.stack import compose
from support.wait import wait_until

WELL = 120  # seconds until every service is well again: a health check that failed is repeated every 30


def logged(settings: Settings, service: str, pattern: str, *, within: float = 10) -> str:
    """Wait until the log of a service has a line with such a pattern, not older than a minute; that line."""

    def lines() -> list[str]:
        log = compose.log_text(settings, "--no-log-prefix", "--since", "1m", service)
        return [line for line in log if re.search(pattern, line)]

    return wait_until(lines, timeout=within, what=f"a line of {service} with {pattern}")[-1]


def kill(settings: Settings, service: str, signal: str = "KILL") -> None:
    """Signal a service's program from inside, as a crash: the engine takes it for one and starts it again.

    `docker kill` would count as a wish of the admin. PID 1 is a small init; the program is its first child.
    """
    script = f'set -- $(cat /proc/1/task/1/children) && kill -s {signal} "$1"'
    # who may signal it: root, where a service's programs are root's or root may end everybody's
    who = ["--user", service] if service == "engine" else []
    compose.run(settings, "exec", "-T", *who, service, "sh", "-c", script)


def crash(settings: Settings, *services: str) -> None:
    """Kill the programs of services, and wait until the engine has started them and they do their job."""
    before = started(settings, *services)
    for name in services:
        kill(settings, name)
    wait_until(
        lambda: not before & started(settings, *services),
        timeout=30,
        what=f"{' and '.join(services)} to be started again",
    )
    well(settings, *services)


def started(settings: Settings, *services: str) -> set[tuple[str, str]]:
    """Which service started when."""
    found = compose.containers(settings.project)
    return {(one.service, one.started) for one in found if one.service in services}


def restart(settings: Settings, *services: str) -> None:
    """Restart services, as an admin does."""
    compose.run(settings, "restart", *services)


@contextmanager
def stopped(settings: Settings, *services: str) -> Iterator[None]:
    """Services that are not there; started again afterwards, and waited for."""
    compose.run(settings, "stop", *services)
    try:
        yield
    finally:
        compose.run(settings, "start", *services)
        well(settings, *services)


def well(settings: Settings, *services: str, timeout: float = WELL) -> None:
    """Wait until these services, or all, do their job."""

    def ill() -> list[str]:
        wanted = set(services) or set(compose.config(settings)["services"])
        return sorted(wanted - {one.service for one in compose.containers(settings.project) if one.well})

    wait_until(lambda: Nobody(ill()), timeout=timeout, what="every service to be well", every=1)


class Nobody(list[str]):
    """True when it is empty; shows who is in it."""

    def __bool__(self) -> bool:
        return not len(self)
