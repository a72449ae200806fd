"""An environment that is removed while a session that is to start in it waits in the queue."""

from collections.abc import Callable

import pytest
import requests

from benchtop.settings import Settings
from support import sessions, software
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.needs("slurm", "hpc/carol"), pytest.mark.long]

NAME = "vanishing"
TOLD = 60  # seconds in which somebody whose session cannot start reads why


def test_one_that_vanishes_while_its_session_waits_is_told(
    settings: Settings, signed_in: Callable[[str], requests.Session]
):
    own, batch = Hub(settings, signed_in("carol"), "carol", "hpc"), Batch(settings, "hpc")
    sessions.end(own)
    with software.published(settings, NAME, "1") as area, sessions.full(batch, "carol"):
        answer = own.start(where="batch", partition="harvester", runtime=10, environment=NAME)
        assert answer.status_code in {201, 202}, answer.text
        wait_until(lambda: "queue" in own.stage(), timeout=30, what="the session to wait")
        area.remove(NAME)
        fillers = [job.number for job in batch.jobs("carol") if not job.name.startswith("jh-")]
        batch.cancel("carol", *fillers)
        wait_until(lambda: own.server() is None, timeout=TOLD, what="the start to fail")
        assert f"its environment {NAME}/1 is no longer in the software area" in own.failure()
    answer = own.start(where="batch", partition="debug", runtime=10, environment=NAME)
    assert answer.status_code == 400
    assert f"“{NAME}” is not available to you on this cluster, or not any more" in answer.json()["message"]
