"""Each tutorial runs from top to bottom in a session, on each cluster that it names."""

import time
from collections.abc import Callable

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.batch import Batch
from support.hub import Hub
from support.notebooks import run_cells, run_notebook
from support.tutorials import TUTORIALS, Tutorial
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

RECORDED = 30  # seconds until a job that has ended is in the accounting
GONE = 60  # … and in which nothing is left of a notebook that ended
EXECUTIONS = [
    pytest.param(
        tutorial,
        cluster,
        person,
        id=f"{tutorial.name}-{cluster}",
        marks=pytest.mark.needs(f"hpc/{person}", f"htc/{person}", throughout=True),
    )
    for tutorial in TUTORIALS
    for cluster, person in tutorial.places
]


@pytest.mark.parametrize(("tutorial", "cluster", "person"), EXECUTIONS)
def test_a_tutorial_runs_from_top_to_bottom(
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    tutorial: Tutorial,
    cluster: str,
    person: str,
):
    own = Hub(settings, signed_in(person), person, cluster)
    batches = [Batch(settings, known) for known in ("hpc", "htc")]
    with sessions.running(own, **tutorial.options):
        assert own.open().ok
        before = {job.number for batch in batches for job in batch.jobs(person)}
        began = time.monotonic()
        tutorial.printed(run_notebook(own, tutorial.file))
        print(f"{tutorial.name} on {cluster}: {time.monotonic() - began:.0f} s")
        wait_until(
            lambda: tutorial.ran(settings, person), timeout=RECORDED, what="its jobs in the accounting"
        )

        def left() -> set[str]:
            return {job.number for batch in batches for job in batch.jobs(person)} - before

        wait_until(lambda: not left(), timeout=GONE, what="the end of the tutorial's jobs")
        assert run_cells(own, "python3", ["print('the session goes on')"])[0].stdout
