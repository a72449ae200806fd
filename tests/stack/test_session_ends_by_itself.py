"""What ends although nobody ends it: a session whose time is over, and a job that no server knows."""

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

OWNERS = {"hpc": "carol", "htc": "bob"}  # who had a session that left a job behind
pytestmark = [
    pytest.mark.needs(
        "hpc/erin", "htc/erin", "hpc/carol", "htc/bob", "hpc/dave", "htc/dave", throughout=True
    ),
    pytest.mark.shares("slurm", "condor", throughout=True),
    pytest.mark.long,
]

CLUSTERS = ["hpc", "htc"]
MINUTE = 60 + 60  # seconds within which a job of a minute must be over: Slurm looks twice a minute

SignedIn = Callable[[str], requests.Session]


@pytest.mark.usefixtures("orphans")
def test_a_session_ends_with_its_time_keeps_its_files_and_says_why_once(
    own: sessions.Own, settings: Settings
):
    both = [(own("erin", cluster), Batch(settings, cluster)) for cluster in CLUSTERS]
    file = {"type": "file", "format": "text", "content": "kept"}
    for reader, _ in both:
        sessions.start(reader, runtime=1)
    for reader, _ in both:
        wait_until(reader.ready, timeout=sessions.START, what=f"the session on {reader.cluster}")
        assert reader.open().ok
        assert reader.jupyter("PUT", f"contents/life-{reader.cluster}", file).ok
    for reader, batch in both:
        wait_until(lambda own=reader: own.server() is None, timeout=MINUTE, what="the end", every=1)  # type: ignore[misc]
        assert sessions.told_once(reader) == "its time limit was reached."
        node = {"hpc": "cpu-1", "htc": "condor-ep-1"}[reader.cluster]
        path = f"/home/{reader.person}/life-{reader.cluster}"
        assert batch.said(reader.person, "cat", path, on=node) == "kept"
        batch.run(reader.person, "rm", path, on=node)


@pytest.fixture(scope="module")
def orphans(settings: Settings, signed_in: SignedIn) -> Iterator[dict[str, int]]:
    """Jobs with the mark of a session, on either cluster: one of its owner and one of dave.

    By cluster, how many jobs the hub had ended before. Together with the sessions that end with their time,
    because both take a minute.
    """
    batches = [Batch(settings, cluster) for cluster in CLUSTERS]
    with sessions.owners(settings, signed_in) as own:
        before = {}
        try:
            for batch in batches:
                owner = OWNERS[batch.cluster]
                session = own(owner, batch.cluster)
                sessions.start(session)
                found = wait_until(
                    lambda b=batch, o=owner: mark(b, o),  # type: ignore[misc]
                    timeout=sessions.START,
                    what="the mark",
                )
                sessions.over(session, batch)
                before[batch.cluster] = sessions.reaped(session)
                for person in (owner, "dave"):
                    plain(batch, person, found)
            yield before
        finally:
            for batch in batches:
                batch.clear("dave")


def test_a_session_that_no_server_knows_ends_and_a_copied_mark_ends_nobody_elses_job(
    orphans: dict[str, int], settings: Settings, signed_in: SignedIn
):
    batches = [Batch(settings, cluster) for cluster in CLUSTERS]
    for batch in batches:
        wait_until(
            lambda b=batch: not b.jobs(OWNERS[b.cluster]),  # type: ignore[misc]
            timeout=sessions.REAPED,
            what="the orphan to end",
            every=1,
        )
    for batch in batches:
        assert [job.state for job in batch.jobs("dave")] == ["RUNNING"], batch.cluster
        owner = OWNERS[batch.cluster]
        hub = Hub(settings, signed_in(owner), owner, batch.cluster)
        assert sessions.reaped(hub) == orphans[batch.cluster] + 1


def mark(batch: Batch, person: str) -> str:
    """What the job of a session of theirs carries, for everybody to read; "" while there is none."""
    if batch.cluster == "hpc":
        return batch.said(batch.operator, "squeue", "--noheader", f"--user={person}", "--format=%k").strip()
    queue = ["condor_q", "-allusers", "-constraint", f'Owner == "{person}" && JobStatus < 3']
    return batch.said(batch.operator, *queue, "-autoformat", "BenchtopMark").strip()


def plain(batch: Batch, person: str, found: str) -> None:
    """A job that is no session, with a mark on it."""
    if batch.cluster == "hpc":
        options = ["--partition=harvester", "--mem=64M", "--time=10", f"--comment={found}"]
        batch.run(person, "sbatch", *options, "--chdir=/tmp", "--output=/dev/null", "--wrap=sleep 500")
        return
    cell = found.partition(":")[0]
    wants = ["executable=/bin/sleep", "arguments=500", "transfer_executable=false", "initialdir=/tmp"]
    wants += ["request_memory=16M", "request_disk=1M", "should_transfer_files=NO", "My.IsJupyter=true"]
    wants += [f'My.BenchtopMark="{found}"', f'My.BenchtopCell="{cell}"', "queue"]
    command = 'printf %s "$1" | condor_submit -terse /dev/stdin'
    batch.run(person, "sh", "-c", command, "sh", "\n".join(wants) + "\n")
