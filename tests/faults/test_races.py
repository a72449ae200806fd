"""The races in which a hub, a scheduler or a node is away at the wrong moment.

What needs nothing to be broken is in tests/stack/test_session_life.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.batch import CONTROLLER, Batch
from support.facility import kill, restart, stopped, well
from support.hub import Hub
from support.wait import stays, wait_until

BACK = 30  # seconds after which a hub that died serves its people again
LOOK = 5  # seconds between two looks of a hub at its sessions
SLOW = 5  # seconds that a start can wait for an answer; Slurm's commands wait ten, HTCondor's fifteen
GIVES_UP = 40  # seconds after which somebody must know that nothing starts
SETTLED = 22  # seconds; from a younger job Slurm does not believe that it is gone
CUT_OFF = 60  # … and that a job will never be let go: the hub gives it 20 s
NODE_LOST = 150  # seconds after which a scheduler must know that a node was lost, and the hub too
# Is an sbatch on this machine waiting for its answer?
SENDING = """
import os, pathlib
for one in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if (one / "comm").read_text().strip() == "sbatch":
            own = {os.readlink(link) for link in (one / "fd").iterdir()}
            rows = [line.split() for line in (one / "net/tcp").read_text().splitlines()[1:]]
            print(*(row[2] for row in rows if row[3] == "01" and f"socket:[{row[9]}]" in own))
    except OSError:
        pass
"""
# The process of the schedd that takes a job's files in says when it has them, sleeps for a second, and ends.
# Stop the next one in its sleep, so that it is sure to meet the restart.
CATCH = """
log=/var/log/condor/SchedLog
lines=$(wc -l <$log)
touch /run/condor/watching
until line=$(tail -n +$((lines + 1)) $log | grep -m 1 'spoolJobFiles.*NAP TIME'); do sleep 0.02; done
child=${line#*(pid:}
kill -s STOP "${child%%)*}"
"""


def killed(one: Hub) -> None:
    """The hub dies without a word, and is back."""
    kill(one.settings, one.cell)
    wait_until(lambda: not one.answers(), timeout=10, what="the hub to be away")
    wait_until(one.answers, timeout=BACK, what="the hub to be back")


@contextmanager
def paused(settings: Settings, *services: str) -> Iterator[None]:
    """Services that take what is sent to them and do nothing."""
    compose.run(settings, "pause", *services)
    try:
        yield
    finally:
        compose.run(settings, "unpause", *services)
        well(settings, *services)


# ---- a hub that dies ---------------------------------------------------------------------------


@pytest.mark.needs("hpc")
@pytest.mark.together("hpc")
def test_a_start_outlives_its_hub_in_the_queue_and_while_its_job_reports(
    own: sessions.Own, settings: Settings
):
    reader, batch = own("alice", "hpc"), Batch(settings, "hpc")
    with sessions.full(batch, "dave") as make_room:
        sessions.start(reader, partition="harvester")
        job = wait_until(lambda: batch.job(reader.person), timeout=sessions.START, what="the job")
        killed(reader)
        assert (reader.server() or {}).get("pending") == "spawn"
        with stopped(settings, reader.cell):
            make_room()
            log = ["cat", f"/home/{reader.person}/.benchtop-session.log"]
            wait_until(
                lambda: b"the hub does not answer yet" in batch.run(reader.person, *log, check=False).stdout,
                timeout=sessions.START,
                what="the job to report to nobody",
            )
    wait_until(reader.ready, timeout=sessions.START, what="the start to come to its end")
    assert [one.number for one in batch.jobs(reader.person)] == [job.number]
    assert reader.open().ok


@pytest.mark.needs("htc")
@pytest.mark.together("htc")
def test_a_start_in_a_full_pool_is_known_to_a_hub_that_was_killed_and_can_be_stopped(
    own: sessions.Own, settings: Settings
):
    usual, batch = own("bob", "htc"), Batch(settings, "htc")
    running = [usual, replace(usual, name="second")]
    for one in running:
        sessions.start(one, cpus=6)  # all that a node has for notebooks
    for one in running:
        wait_until(one.ready, timeout=sessions.START, what=f"the server {one.name or 'without a name'}")
    third = replace(usual, name="third")
    sessions.start(third, cpus=6)
    waiting = wait_until(
        lambda: [job for job in batch.jobs(usual.person) if job.state == "PENDING"],
        timeout=sessions.START,
        what="the third to wait",
    )
    killed(usual)
    assert (third.server() or {}).get("pending") == "spawn"
    assert all(one.ready() for one in running)
    assert third.stop().status_code in {202, 204}
    wait_until(
        lambda: waiting[0].number not in {job.number for job in batch.jobs(usual.person)},
        timeout=sessions.END,
        what="the job that waited to be gone",
    )
    wait_until(
        lambda: not (third.server() or {}).get("pending"), timeout=sessions.END, what="the hub to know"
    )
    assert all(one.ready() for one in running)


def test_a_suspended_session_outlives_its_hub_and_goes_on(own: sessions.Own, settings: Settings):
    """Upstream asks for its page when it starts, and ends it a minute later because there is none."""
    readers = {own("alice", cluster): Batch(settings, cluster) for cluster in CONTROLLER}
    jobs = {}
    for reader, batch in readers.items():
        sessions.begin(reader)
        jobs[batch] = batch.jobs(reader.person)[0].number
    try:
        for reader, batch in readers.items():
            batch.do("suspend", jobs[batch])
            becomes(batch, reader, "SUSPENDED")
        for reader in readers:
            killed(reader)
            assert reader.ready(), "the hub waits for its page"
        stays(lambda: all(reader.ready() for reader in readers), lasting=LOOK + 2, what="a suspended session")
    finally:
        for batch, job in jobs.items():
            batch.do("resume", job)
    for reader, batch in readers.items():
        becomes(batch, reader, "RUNNING")
        assert reader.jupyter("GET", "status").ok


def becomes(batch: Batch, own: Hub, state: str) -> None:
    """Wait until the only job of a person is in a state."""
    wait_until(
        lambda: [job.state for job in batch.jobs(own.person)] == [state],
        timeout=30,
        what=f"{own.person}'s job to be {state}",
    )


# ---- a scheduler that does not answer ----------------------------------------------------------


def test_a_scheduler_that_is_slow_costs_no_session_and_leaves_no_job_that_nobody_owns(
    own: sessions.Own, settings: Settings
):
    """It takes what is sent, and does it when nobody waits for it any more."""
    running = [own("alice", "hpc"), own("bob", "htc")]
    late = [own("erin", "hpc"), own("erin", "htc")]
    lost = own("carol", "hpc")  # of another hub than the rest, which will die
    assert lost.cell not in {running[0].cell, late[0].cell}
    parts = list(CONTROLLER.values())
    for one in running:
        sessions.begin(one)
    taken = {one: latest_job(one) for one in (lost, late[0])}
    with ThreadPoolExecutor(3) as pool:
        # for a moment: a start waits
        knows_the_form(*late)
        with paused(settings, *parts):
            starts = [pool.submit(sessions.start, one) for one in late]
            stays(lambda: all(one.ready() for one in running), lasting=SLOW, what="a session")
        for one, begun in zip(late, starts, strict=True):
            begun.result()
            wait_until(one.ready, timeout=sessions.START, what=f"the start on {one.cluster}")
            sessions.over(one, Batch(settings, one.cluster))
        # for longer: it fails, and a hub dies meanwhile
        knows_the_form(*late, lost)
        with paused(settings, *parts):
            cut = pool.submit(broken_off, lost)
            answers = [pool.submit(one.start, **sessions.SMALL[one.cluster]) for one in late]
            wait_until(lambda: sending(lost), timeout=10, what="the job to be on its way", every=0.05)
            kill(settings, lost.cell)
            for one, answer in zip(late, answers, strict=True):
                assert "The scheduler does not answer." in refusal(one, answer.result())
            stays(lambda: all(one.ready() for one in running), lasting=LOOK, what="a session")
            cut.result()
    wait_until(lost.answers, timeout=BACK, what="the hub that died to be back")
    for one, before in taken.items():
        # Slurm took the job all the same. It ends as soon as it reports, or the hub's reaper ends it.
        wait_until(lambda o=one, b=before: latest_job(o) > b, timeout=sessions.REAPED, what="the late job")  # type: ignore[misc]
    for one in (lost, *late):
        batch = Batch(settings, one.cluster)
        wait_until(
            lambda b=batch, o=one: not b.jobs(o.person), timeout=sessions.REAPED, what="no job to be left"
        )  # type: ignore[misc]
        assert one.server() is None
    assert all(one.jupyter("GET", "status").ok for one in running)


def knows_the_form(*owners: Hub) -> None:
    """Have what they may use looked up, so that a start has nothing to ask but for its job."""
    for one in owners:
        assert one.browser.get(f"{one.base}/hub/spawn", timeout=60).ok


def latest_job(own: Hub) -> int:
    """The number of a person's last job on Slurm, whatever became of it; 0 for none."""
    queue = ["squeue", "--noheader", "--states=all", f"--user={own.person}", "--format=%A"]
    return max(map(int, Batch(own.settings, "hpc").said("erin", *queue).split()), default=0)


def broken_off(own: Hub) -> None:
    """A start whose hub dies while it is asked."""
    with suppress(requests.RequestException):
        own.start(**sessions.SMALL[own.cluster])


def sending(own: Hub) -> str:
    """Has this hub sent a job that is not answered?"""
    said = compose.run(own.settings, "exec", "-T", own.cell, "python3", "-c", SENDING)
    return said.stdout.decode().strip()


def refusal(own: Hub, answer: requests.Response) -> str:
    """What somebody reads whose session does not start."""
    if not answer.ok:
        return answer.text
    wait_until(lambda: own.server() is None, timeout=GIVES_UP, what="the start to fail")
    return own.failure()


@pytest.mark.needs("htc")
@pytest.mark.together("htc")
def test_a_start_that_a_restart_of_the_access_point_cuts_off_says_so_and_leaves_no_job(
    own: sessions.Own, settings: Settings
):
    """The schedd holds a job for a second after it has its files; after a restart it never lets it go."""
    reader, batch = own("bob", "htc"), Batch(settings, "htc")
    at_the_access_point = partial(compose.run, settings, "exec", "-T", "condor-ap")
    with ThreadPoolExecutor(1) as pool:
        caught = pool.submit(at_the_access_point, "sh", "-c", CATCH)
        wait_until(
            lambda: not at_the_access_point("test", "-e", "/run/condor/watching", check=False).returncode,
            timeout=20,
            what="somebody to watch the schedd",
        )
        sessions.start(reader)
        caught.result()
    restart(settings, "condor-ap")
    wait_until(lambda: reader.server() is None, timeout=CUT_OFF, what="the start to fail")
    cut_off = "HTCondor was restarted while it was accepting the job. Start the session again"
    assert cut_off in reader.failure()
    wait_until(lambda: not batch.jobs(reader.person), timeout=sessions.END, what="the job to be gone")
    sessions.begin(reader)


# ---- a node that is lost -----------------------------------------------------------------------


def test_a_session_whose_node_is_lost_can_be_stopped_at_once_and_slurm_tells_why_it_ended(
    own: sessions.Own, settings: Settings
):
    both = {"hpc": own("erin", "hpc"), "htc": own("erin", "htc")}
    sessions.begin(both["hpc"], gpu="pascal:1")  # on gpu-1: commands run on cpu-1
    sessions.begin(both["htc"])
    slurm = Batch(settings, "hpc")
    used = ["squeue", "--noheader", "--user=erin", "--format=%M"]  # 0:22
    wait_until(
        lambda: int(slurm.said(slurm.operator, *used).strip().partition(":")[2]) >= SETTLED,
        timeout=SETTLED + 10,
        what="Slurm to believe in the job",
    )
    for cluster, one in both.items():
        job = Batch(settings, cluster).job(one.person)
        assert job
        kill(settings, job.node)
    hpc, htc = both["hpc"], both["htc"]
    wait_until(lambda: hpc.server() is None, timeout=NODE_LOST, what="the hub to know", every=1)
    assert sessions.told_once(hpc) == "its node failed."
    # HTCondor looks for the job as long as its lease lasts, twenty minutes; nobody has to wait for that
    assert htc.stop().status_code in {202, 204}
    wait_until(lambda: htc.server() is None, timeout=sessions.END, what="the end of the session")
    sessions.begin(htc)
