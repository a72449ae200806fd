"""What ends by itself: a session that nobody uses, and a start that takes too long.

Apart from the stack's tests because the short times that this takes restart the hubs.
"""

from collections.abc import Callable, Iterator

import pytest

from benchtop.settings import Settings
from support import sessions
from support.batch import Batch
from support.checkout import Checkout
from support.hub import Hub
from support.wait import stays, wait_until

CONFIG = "hub/jupyterhub_config.py"
IDLE, REPORT = 40, 5  # seconds
CULLED = IDLE + 60  # seconds within which it must be gone: the culler waits before its first look
GIVEN_UP = 30  # seconds that a start may take
Hubs = Callable[[str, str], Hub]


@pytest.fixture(scope="module")
def impatient(settings: Settings) -> Iterator[None]:
    """The facility with an admin who gives people less than a minute."""
    checkout = Checkout(settings)
    try:
        checkout.edit(CONFIG, "IDLE_AFTER = 7200 ", f"IDLE_AFTER = {IDLE} ")
        checkout.edit(CONFIG, "REPORT_EVERY = 60 ", f"REPORT_EVERY = {REPORT} ")
        checkout.edit(CONFIG, "LOOK_EVERY = 60 ", f"LOOK_EVERY = {REPORT} ")
        checkout.edit(CONFIG, "start_timeout = 600 ", f"start_timeout = {GIVEN_UP} ")
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
            sessions.begin_anew(own)
        kernel = erin.kernel()

        def asks_and_is_there() -> bool:
            """Alice's page asks as an open one does; erin answers the notice."""
            erin.jupyter("POST", f"kernels/{kernel}/interrupt")
            return alice.jupyter("GET", "sessions").ok and alice.server() is not None

        stays(asks_and_is_there, lasting=IDLE / 2, what="alice's session")
        wait_until(lambda: not asks_and_is_there(), timeout=CULLED, what="alice's session to be over")
        assert sessions.told_once(alice).startswith("it was idle for ")
        assert erin.ready()
    finally:
        for name in ("alice", "erin"):
            sessions.end(hub(name, cluster))


@pytest.mark.usefixtures("impatient")
def test_a_start_that_takes_too_long_says_what_it_waited_for_and_leaves_no_job(hub: Hubs, settings: Settings):
    alice, batch = hub("alice", "hpc"), Batch(settings, "hpc")
    sessions.over(alice, batch)
    try:
        with sessions.full(batch, "erin"):
            sessions.start(alice, partition="harvester")
            wait_until(lambda: alice.server() is None, timeout=GIVEN_UP + 10, what="the start to be given up")
            why = alice.failure()
            assert f"did not start within {GIVEN_UP} seconds" in why
            assert "all suitable nodes are busy" in why
            wait_until(lambda: not batch.jobs("alice"), timeout=30, what="its job to be gone")
    finally:
        sessions.end(hub("alice", "hpc"))
