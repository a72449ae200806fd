"""A session that nobody uses ends, with a page of it open; one that computes without a word does not.

Apart from the stack's tests because the short times that this takes restart the hubs.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from benchtop.hubs import Hub
from benchtop.settings import Settings
from breaking import begin_session, end
from checkout import Checkout
from waiting import stays, wait_until

CONFIG = "hub/jupyterhub_config.py"
IDLE, REPORT = 40, 5  # seconds
CULLED = IDLE + 60  # seconds within which it must be gone: the culler waits before its first look
Hubs = Callable[[str, str], Hub]


@pytest.fixture
def impatient(settings: Settings) -> Iterator[None]:
    """The facility with an admin who gives people forty seconds."""
    checkout = Checkout(settings)
    try:
        checkout.edit(CONFIG, "IDLE_AFTER = 7200 ", f"IDLE_AFTER = {IDLE} ")
        checkout.edit(CONFIG, "REPORT_EVERY = 60 ", f"REPORT_EVERY = {REPORT} ")
        checkout.edit(CONFIG, "LOOK_EVERY = 60 ", f"LOOK_EVERY = {REPORT} ")
        checkout.applied()
        yield
    finally:
        checkout.give_up()
        checkout.applied()


@pytest.mark.parametrize("cluster", ["hpc"])
@pytest.mark.usefixtures("impatient")
def test_a_session_that_nobody_uses_ends_and_its_neighbour_that_is_used_does_not(hub: Hubs, cluster: str):
    alice, erin = hub("alice", cluster), hub("erin", cluster)
    try:
        for own in (alice, erin):
            begin_session(own)
        kernel = erin.kernel()

        def asks_and_is_there() -> bool:
            """Alice's page asks as an open one does; erin answers the notice."""
            erin.jupyter("POST", f"kernels/{kernel}/interrupt")
            return alice.jupyter("GET", "sessions").ok and alice.server() is not None

        stays(asks_and_is_there, lasting=IDLE / 2, what="alice's session")
        wait_until(lambda: not asks_and_is_there(), timeout=CULLED, what="alice's session to be over")
        assert erin.ready()
    finally:
        for name in ("alice", "erin"):
            end(partial(hub, name, cluster))
