"""Each further tutorial runs from top to bottom in a session, on each cluster that it names.

The first ones: tests/stack/test_tutorials.py.
"""

from collections.abc import Callable

import pytest
import requests

from benchtop.settings import Settings
from benchtop.software import publish
from support.hub import Hub
from support.tutorials import FURTHER, Tutorial, execute

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

EXECUTIONS = [
    pytest.param(
        tutorial,
        cluster,
        person,
        id=f"{tutorial.name}-{cluster}",
        marks=pytest.mark.needs(f"hpc/{person}", f"htc/{person}", throughout=True),
    )
    for tutorial in FURTHER
    for cluster, person in tutorial.places
]


@pytest.fixture(scope="module", autouse=True)
def published(settings: Settings) -> None:
    """The environments whose kernels they name; where they were before, this takes seconds."""
    publish.publish(settings, ["base", "root"])


@pytest.mark.parametrize(("tutorial", "cluster", "person"), EXECUTIONS)
def test_a_tutorial_runs_from_top_to_bottom(
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    tutorial: Tutorial,
    cluster: str,
    person: str,
):
    execute(settings, Hub(settings, signed_in(person), person, cluster), tutorial)
