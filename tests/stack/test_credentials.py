"""Both batch systems can be used from a session, wherever it runs, with nothing typed."""

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import credentials, sessions
from support.as_person import become
from support.batch import Batch
from support.credentials import BOTH, PATIENCE
from support.hub import Hub
from support.wait import wait_until

pytestmark = pytest.mark.shares("slurm", "condor")

PERSON = "erin"  # of both clusters
NEEDED = pytest.mark.needs("hpc/erin", "htc/erin", throughout=True)
# The rest of the places: tests/long/test_credentials.py
PLACES = [
    pytest.param(("hpc", "batch"), marks=NEEDED, id="hpc"),
    pytest.param(("htc", "container"), marks=NEEDED, id="container"),
]


@pytest.fixture(scope="module", params=PLACES)
def own(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Hub]:
    """A session of erin's, which the tests of one place share."""
    cluster, where = request.param
    with sessions.owners(settings, signed_in) as meet:
        reader = meet(PERSON, cluster)
        sessions.begin(reader, where=where, **({"memory": 900} if where == "container" else {}))
        yield reader


def test_slurms_commands_work_and_a_job_runs(own: Hub):
    credentials.slurm_works(own)


def test_htcondors_commands_work_and_a_job_runs(own: Hub):
    credentials.condor_works(own)


def test_htcondors_python_submits_and_the_jobs_ad_has_no_secret(own: Hub):
    credentials.condors_python_works(own)


def test_they_are_private_renewed_and_nowhere_in_the_environment(own: Hub):
    before = credentials.there(own)
    assert before.condor == f"{before.folder}/condor"
    assert {tuple(about[:2]) for about in before.found.values()} == {("0o600", True)}
    tokens = {before.text(name).strip() for name in BOTH}
    environment = credentials.shell(own, "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").out
    assert not any(token in environment for token in tokens)
    wait_until(
        lambda: {credentials.files(own).text(name).strip() for name in BOTH}.isdisjoint(tokens),
        timeout=credentials.LIFE,
        what="both to be renewed",
    )


def test_they_go_with_the_session(own: Hub, settings: Settings):
    if own.cluster != "hpc":
        return  # of a container, nothing is left at all: tests/stack/test_container_sessions.py
    folder = credentials.there(own).folder
    job = Batch(settings, own.cluster).job(PERSON)
    assert job
    looks = [*become(PERSON), "ls", folder]
    assert compose.run(settings, "exec", "-T", job.node, *looks).stdout.split(), "the control: they are there"
    sessions.end(own)
    wait_until(
        lambda: b"No such file" in compose.run(settings, "exec", "-T", job.node, *looks, check=False).stderr,
        timeout=PATIENCE,
        what="the files to be gone",
    )
