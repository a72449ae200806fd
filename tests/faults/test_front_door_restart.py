"""Apache is restarted: people log in again, and find everything as it was."""

from collections.abc import Callable

import pytest

from benchtop.settings import Settings
from support.facility import crash, restart, well
from support.hub import Hub
from support.traffic import Traffic
from support.wait import wait_until

Notebooks = Callable[..., list[Traffic]]


@pytest.mark.parametrize("how", [restart, crash])
def test_after_a_restart_of_apache_people_log_in_again_and_their_kernels_live(
    notebooks: Notebooks,
    hub: Callable[[str, str], Hub],
    settings: Settings,
    how: Callable[[Settings, str], None],
):
    works = notebooks(("alice", "hpc"), ("bob", "htc"))
    before = [(work.hub.server(), work.answered) for work in works]
    how(settings, "apache")
    wait_until(lambda: all(work.cuts for work in works), timeout=20, what="the websockets to be cut")
    well(settings, "apache")
    old = works[0].hub.browser.get(f"{settings.url}/", timeout=30, allow_redirects=False)
    assert old.status_code in {302, 303}, "the login of before is over"
    for work, (server, _) in zip(works, before, strict=True):
        work.hub = hub(work.hub.person, work.hub.cluster)  # logs in again
        now = work.hub.server()
        assert now
        assert server
        assert (now["ready"], now["started"]) == (True, server["started"])
        assert work.hub.open().ok
        work.goes_on(timeout=60)
        assert work.cuts == 1
