"""The first tutorials run from top to bottom, on each cluster that they name; and all are offered."""

from collections.abc import Callable

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.homes import Home
from support.hub import Hub
from support.sessions import Own
from support.tutorials import FIRST, FOLDER, Tutorial, execute

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

EXECUTIONS = [
    pytest.param(
        tutorial,
        cluster,
        person,
        id=f"{tutorial.name}-{cluster}",
        marks=pytest.mark.needs(f"hpc/{person}", f"htc/{person}"),
    )
    for tutorial in FIRST
    for cluster, person in tutorial.places
]


@pytest.mark.parametrize(("tutorial", "cluster", "person"), EXECUTIONS)
def test_a_first_tutorial_runs_from_top_to_bottom(
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    tutorial: Tutorial,
    cluster: str,
    person: str,
):
    execute(settings, Hub(settings, signed_in(person), person, cluster), tutorial)


@pytest.mark.needs("hpc/ivan", "htc/ivan")
def test_all_are_listed_and_a_home_that_is_full_gets_a_sentence_instead_of_half_a_copy(
    own: Own, settings: Settings
):
    home, ivan = Home(settings, "ivan"), own("ivan", "hpc")
    with home.full("hpc-login"):
        sessions.begin(ivan, where="login", runtime=10)
        listed = ivan.facility("GET", "tutorials").json()["tutorials"]
        assert [one["name"] for one in listed] == sorted(file.stem for file in FOLDER.glob("*.ipynb"))
        told = ivan.facility("POST", "tutorials/01-first-steps", {"new": False}).json()
        assert told["path"] == ""
        assert "no room in your home folder" in told["message"]
        assert home.run("find . -name '*.ipynb'", node="hpc-login").split() == []
        home.run("rm -r data", node="hpc-login")
        told = ivan.facility("POST", "tutorials/01-first-steps", {"new": False}).json()
        assert told == {"path": "tutorials/01-first-steps.ipynb", "message": ""}
        assert ivan.facility("POST", "tutorials/no-such-one", {}).status_code == 404
        sessions.end(ivan)
