"""A session in a container ends when its time is over, and leaves nothing: it takes a minute to see."""

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.hub import Hub
from support.wait import wait_until

WHO = {"hpc": "carol", "htc": "bob"}
OVER = 120  # seconds: one minute, ten seconds to save work in, and until the hub looks


@pytest.fixture(
    params=[
        pytest.param(cluster, marks=pytest.mark.needs(f"{cluster}/{who}")) for cluster, who in WHO.items()
    ]
)
def own(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Hub]:
    """Somebody whose session in a container may run for a minute."""
    who = WHO[request.param]
    reader = Hub(settings, signed_in(who), who, request.param)
    sessions.end(reader)
    sessions.told(reader)
    sessions.begin(reader, where="container", runtime=1)
    yield reader
    sessions.end(reader)


def test_a_container_whose_time_is_over_ends_and_its_owner_is_told_once(own: Hub):
    kernel = own.kernel()
    left = own.facility("GET", "status").json()
    assert 0 < left["ends"] - left["now"] <= 60
    assert kernel
    wait_until(lambda: own.server() is None, timeout=OVER, what="the end of its time")
    assert sessions.told_once(own) == "its time limit was reached."
