"""What every fault test shares: people at work, ways to break a service, and the look afterwards.

A fault test leaves the facility as it found it: each ends only when every service is well again and the
people's sessions are over.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.facility import well
from support.hub import Hub
from support.traffic import Traffic
from support.wait import at_once


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What says that it breaks one cluster runs beside what breaks the other; all else runs alone."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("needs"):
            item.add_marker(pytest.mark.alone)


@pytest.fixture
def hub(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Callable[[str, str], Hub]:
    """`hub("alice", "hpc")`: alice's hub of that cluster, in her browser."""
    return lambda name, cluster: Hub(settings, signed_in(name), name, cluster)


Who = tuple[str, str]


@pytest.fixture
def notebooks(hub: Callable[[str, str], Hub]) -> Iterator[Callable[..., list[Traffic]]]:
    """`notebooks(("alice", "hpc"), ("bob", "htc"))`: their sessions with kernel traffic running.

    They begin at the same time, and end with the test.
    """
    begun: list[Who] = []
    with ExitStack() as endings:

        def begin_one(who: Who) -> Traffic:
            own = hub(*who)
            sessions.begin_anew(own)
            return Traffic(own)

        def begin(*people: Who) -> list[Traffic]:
            begun.extend(people)
            return [endings.enter_context(traffic) for traffic in at_once(begin_one, people)]

        try:
            yield begin
        finally:
            endings.close()
            at_once(lambda who: sessions.end(hub(*who)), begun)


@pytest.fixture
def notebook(notebooks: Callable[..., list[Traffic]]) -> Callable[[str, str], Traffic]:
    """`notebook("alice", "hpc")`: one of them."""
    return lambda name, cluster: notebooks((name, cluster))[0]


@pytest.fixture(autouse=True)
def leaves_the_facility_well(settings: Settings) -> Iterator[None]:
    """After each test everything works again, unaided, or the test has failed."""
    yield
    well(settings)
