"""Both batch systems from every other place than tests/stack has, and what a killed session leaves."""

from collections.abc import Callable

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import credentials, sessions
from support.as_person import become
from support.batch import Batch
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.needs("hpc/alice", "htc/alice")]

PERSON = "alice"  # of both clusters


@pytest.mark.parametrize(
    ("cluster", "where"), [("htc", "batch"), ("htc", "login"), ("hpc", "login"), ("hpc", "container")]
)
def test_both_batch_systems_work_from_there(
    settings: Settings, signed_in: Callable[[str], requests.Session], cluster: str, where: str
):
    with sessions.owners(settings, signed_in) as meet:
        own = meet(PERSON, cluster)
        sessions.begin(own, where=where, **({"memory": 900} if where == "container" else {}))
        credentials.slurm_works(own)
        credentials.condor_works(own)
        credentials.condors_python_works(own)


def test_a_session_in_an_environment_has_them_too(
    settings: Settings, signed_in: Callable[[str], requests.Session]
):
    with sessions.owners(settings, signed_in) as meet:
        own = meet(PERSON, "htc")
        sessions.begin(own, environment="base")
        credentials.slurm_works(own)
        credentials.condor_works(own)


def test_what_a_killed_session_leaves_is_void_and_goes_with_the_next_one(
    settings: Settings, signed_in: Callable[[str], requests.Session]
):
    with sessions.owners(settings, signed_in) as meet:
        own, batch = meet(PERSON, "hpc"), Batch(settings, "hpc")
        sessions.begin(own)
        found = credentials.there(own)
        kept = found.text("slurm.jwt").strip()
        job = batch.job(PERSON)
        assert job
        batch.run(PERSON, "scancel", "--signal=KILL", "--full", job.number)
        wait_until(lambda: own.server() is None, timeout=sessions.END, what="its end to be known")
        show = [*become(PERSON), "env", f"SLURM_JWT={kept}", "squeue", "--noheader"]
        wait_until(
            lambda: compose.run(settings, "exec", "-T", "condor-ep-1", *show, check=False).returncode,
            timeout=credentials.LIFE + 15,
            what="the token to be void",
        )
        # as the next session of hers there does, first of all
        removes = [
            "/opt/lab/bin/python",
            "-c",
            "from benchtop_lab.home.log import remove_left; remove_left()",
        ]
        batch.run(PERSON, *removes, on=job.node)
        left = compose.run(settings, "exec", "-T", job.node, *become(PERSON), "ls", found.folder, check=False)
        assert b"No such file" in left.stderr
