"""A session in a container outlives whoever guards its engine; who loses one with the engine is told."""

from collections.abc import Callable, Iterator

import pytest

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.checkout import made
from support.facility import crash, stopped
from support.hub import Hub
from support.traffic import Traffic
from support.wait import wait_until

TOLD = 60  # seconds after which the owner of a session that is gone reads it

# to where the engine puts away what it needs no more
LOSE_A_LAYER = """
set -- /var/lib/engine/.local/share/containers/storage/overlay/[0-9a-f]*
mv "$1" /var/lib/engine/tmp/
"""


@pytest.fixture(params=[("carol", "hpc"), ("bob", "htc")], ids=["hpc", "htc"])
def own(request: pytest.FixtureRequest, hub: Callable[[str, str], Hub]) -> Iterator[Hub]:
    """Somebody's session in a container."""
    reader = hub(*request.param)
    sessions.end(reader)
    sessions.told(reader)
    sessions.begin(reader, where="container", runtime=20)
    yield reader
    sessions.end(reader)


def test_no_message_is_lost_while_the_engines_gateway_is_away(own: Hub, settings: Settings):
    with Traffic(own) as work:
        with stopped(settings, "engine-gateway"):
            work.goes_on(timeout=30)
            assert own.ready(), "what nobody can ask about is not taken for gone"
            second = Hub(settings, own.browser, own.person, own.cluster, "second")
            answer = second.start(where="container", runtime=20)
            assert answer.status_code in {202, 500}, answer.text  # the last one within ten seconds
            if answer.status_code == 202:
                wait_until(lambda: second.server() is None, timeout=TOLD, what="the start to fail")
            assert "The container engine does not answer" in f"{answer.text} {second.failure()}"
            second.forget()
        work.goes_on(timeout=30)
    assert (work.failed, work.cuts) == ([], 0)
    sessions.end(own)


def test_whose_container_is_gone_with_the_engine_is_told_once(own: Hub, settings: Settings):
    crash(settings, "engine")
    wait_until(lambda: own.server() is None, timeout=TOLD, what="the hub to notice")
    assert "the container engine was restarted" in sessions.told_once(own)
    sessions.ready(own, where="container", runtime=20)


def test_images_that_were_lost_with_the_machine_come_back_by_make_up(own: Hub, settings: Settings):
    """A machine that goes off, or a removal that is broken off, leaves a storage with a layer missing."""
    sessions.end(own)
    compose.run(settings, "exec", "-T", "--user", "engine", "engine", "sh", "-c", LOSE_A_LAYER)
    crash(settings, "engine")
    made(settings, "up")
    sessions.begin(own, where="container", runtime=20)
