"""What every fault test shares: people at work, ways to break a service, and the look afterwards.

A fault test leaves the facility as it found it: each ends only when every service is well again and the
people's sessions are over.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.facility import well
from support.hub import Hub
from support.traffic import Traffic


@pytest.fixture
def hub(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Callable[[str, str], Hub]:
    """`hub("alice", "hpc")`: alice's hub of that cluster, in her browser."""
    return lambda name, cluster: Hub(settings, signed_in(name), name, cluster)


@pytest.fixture
def notebook(hub: Callable[[str, str], Hub]) -> Iterator[Callable[..., Traffic]]:
    """`notebook("alice", "hpc")`: her session with kernel traffic running; both end with the test."""
    with ExitStack() as endings:

        def begin(name: str, cluster: str) -> Traffic:
            own = hub(name, cluster)
            endings.callback(lambda: sessions.end(hub(name, cluster)))
            sessions.begin_anew(own)
            return endings.enter_context(Traffic(own))

        yield begin


@pytest.fixture(autouse=True)
def leaves_the_facility_well(settings: Settings) -> Iterator[None]:
    """After each test everything works again, unaided, or the test has failed."""
    yield
    well(settings)
