"""What every test that needs the running stack shares.

`service("gpu-1")` is a testinfra host inside that service's container; a test that fails
prints the last log lines of each service that it touched. Nothing here starts the stack:
`benchtop test` has done that, and the tests share it, in any order.
"""

import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
from testinfra.host import Host

from benchtop.people import enrol, roster
from benchtop.settings import Settings
from benchtop.stack import compose, notices
from support import side_by_side
from support.logins import Logins

ROOT = Path(__file__).parents[1]
LOG_LINES = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    side_by_side.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    side_by_side.register(config, ROOT / ".benchtop" / "test-locks")


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The settings of the checkout under test."""
    return Settings.load(ROOT)


@cache
def container(settings: Settings, name: str) -> str:
    """The name of a service's container, which stays when a test has it made anew."""
    found = compose.run(settings, "ps", "--all", "--quiet", name).stdout.decode().split()
    assert len(found) == 1, f"{name} has {len(found)} containers: is the stack up? `make up` starts it"
    return f"{settings.project}-{name}-1"


@pytest.fixture
def service(settings: Settings, request: pytest.FixtureRequest) -> Callable[[str], Host]:
    """A way into each service: `service("ldap").check_output("…")`, as root with `user="root"`."""
    touched: set[str] = request.node.stash.setdefault(TOUCHED, set())

    def host(name: str, user: str | None = None) -> Host:
        touched.add(name)
        who = f"{user}@" if user else ""
        return testinfra.get_host(f"docker://{who}{container(settings, name)}")

    return host


TOUCHED = pytest.StashKey[set[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Add the last log lines of the services that a failed test touched."""
    report = yield
    if report.failed:
        for name in sorted(item.stash.get(TOUCHED, set())):
            command = ["docker", "compose", "logs", "--no-color", "--tail", str(LOG_LINES), name]
            log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            report.sections.append((f"last {LOG_LINES} log lines of {name}", log.stdout))
    return report


@pytest.fixture(scope="session")
def everybody(settings: Settings) -> roster.People:
    """The people of the facility: of accounts/people.yaml as it is live, whatever a test makes of it."""
    return roster.load(settings.live / "accounts/people.yaml")


@pytest.fixture
def front_door(settings: Settings) -> requests.Session:
    """A client that nobody has logged in with yet."""
    return enrol.session(settings)


@pytest.fixture(scope="session")
def signed_in(settings: Settings) -> Callable[[str], requests.Session]:
    """`signed_in("carol")` is carol's session, shared by tests; a new one where a test has ended it."""
    return Logins(settings).session


@pytest.fixture
def own(
    settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Callable[[str, str], Any]]:
    """`own("alice", "hpc")`: their session, which does not run now and will not when the test is over."""
    from support import sessions  # noqa: PLC0415 what only tests of the facility need

    with sessions.owners(settings, signed_in) as meet:
        yield meet


@pytest.fixture
def checkout(settings: Settings) -> Iterator[Any]:
    """The checkout as an admin edits it; afterwards it is as before, and so is what runs."""
    from support.checkout import Checkout  # noqa: PLC0415 what only tests of the facility need

    made = Checkout(settings)
    yield made
    made.leave()


@pytest.fixture
def nothing_announced(settings: Settings) -> Iterator[None]:
    """What an admin had announced comes back afterwards."""
    before = notices.announced(settings).message
    notices.clear(settings)
    yield
    if before:
        notices.announce(settings, before)
    else:
        notices.clear(settings)
