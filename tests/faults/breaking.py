"""Ways to break a service, and to see that all is well again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchtop import compose
from benchtop.hubs import Hub
from benchtop.settings import Settings
from waiting import wait_until

# What the form of each cluster takes at least
SMALL: dict[str, dict[str, object]] = {
    "hpc": {"partition": "debug", "runtime": 25},
    "htc": {"runtime": 25},
}
START = 90  # seconds for a session on a busy machine
END = 60  # … and until a stopped one is gone
WELL = 120  # seconds until every service is well again: a health check that failed is repeated every 30


def begin_session(own: Hub) -> None:
    """Start a session and open it; none may run before."""
    end(lambda: own)
    started = own.start(**SMALL[own.cluster])
    assert started.status_code in {201, 202}, started.text
    wait_until(own.ready, timeout=START, what=f"the session of {own.person} on {own.cluster}")
    assert own.open().ok


def end(again: Callable[[], Hub]) -> None:
    """End a session, if there is one, as a person does; the login may have ended meanwhile."""
    own = again()
    wait_until(lambda: own.stop().status_code in {202, 204, 404}, timeout=END, what="the hub to stop it")
    wait_until(lambda: own.server() is None, timeout=END, what=f"the end of {own.person}'s session")


def kill(settings: Settings, service: str, signal: str = "KILL") -> None:
    """Signal a service's program from inside, as a crash: the engine takes it for one and starts it again.

    `docker kill` would count as a wish of the admin. PID 1 is a small init; the program is its first child.
    """
    script = f'set -- $(cat /proc/1/task/1/children) && kill -s {signal} "$1"'
    compose.run(settings, "exec", "-T", service, "sh", "-c", script)


def crash(settings: Settings, service: str) -> None:
    """Kill a service's program and wait until the engine has started it again and it does its job."""
    before = _started(settings, service)
    kill(settings, service)
    wait_until(
        lambda: _started(settings, service) != before, timeout=30, what=f"{service} to be started again"
    )
    well(settings, service)


def _started(settings: Settings, service: str) -> str:
    (found,) = (one.started for one in compose.containers(settings.project) if one.service == service)
    return found


def restart(settings: Settings, service: str) -> None:
    """Restart a service, as an admin does."""
    compose.run(settings, "restart", service)


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
