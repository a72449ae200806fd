"""Whoever waits on HTCondor reads why, and a start that somebody puts on hold ends with the reason."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests
from testinfra.host import Host

from benchtop.settings import Settings
from support.hub import Hub
from support.wait import wait_until

pytestmark = pytest.mark.needs("condor", "htc/bob", "htc/dave")

START = 60  # seconds; a start takes about four
QUICK = 15  # seconds in which a session that is stopped must be gone, and a reason on the page
LOOKED_AT = 60  # seconds until HTCondor has looked at a job in vain, and the hub has asked why
ENDS = 5  # seconds after which a start whose job died must have ended
HERE = "Waiting in the queue of the Jupyter slots: "
BUSY = "all suitable slots are busy (it needs 1 CPU; the most that is free in one is 0)."
# Through the spool, as a session: no folder is shared.
SUBMIT = "d=$(mktemp -d); cd $d; printf %%s %s > job; condor-as %s condor_submit -spool -terse job; rm -r $d"
JOBS = """
executable = /bin/sleep
transfer_executable = false
arguments = 600
transfer_output_files = ""
should_transfer_files = YES
leave_in_queue = false
request_cpus = 1
request_memory = 16
request_disk = 1M
My.IsJupyter = true
queue {count}
"""
CPUS = "condor_status -constraint 'PartitionableSlot && IsJupyterSlot' -autoformat TotalSlotCpus"
USED = "condor_q -allusers -constraint 'JobStatus == 2 && IsJupyter' -autoformat RequestCpus"


@dataclass
class Pool:
    """HTCondor, as its admin sees it on the access point."""

    access_point: Host

    def said(self, who: str, command: str, *words: str) -> str:
        """One command as a person."""
        return str(self.access_point.check_output(f"condor-as %s {command}", who, *words))

    def used(self) -> int:
        """How many CPUs for notebooks are in use."""
        return sum(int(cpus) for cpus in self.said("condor", USED).split())

    def idle(self, owner: str) -> str:
        """A person's job that waits; "" while there is none."""
        ask = "condor_q -allusers -constraint %s -autoformat ClusterId"
        return self.said("condor", ask, f'Owner == "{owner}" && JobStatus == 1').strip()

    def of(self, owner: str) -> str:
        """All jobs of a person."""
        return self.said(
            "condor", "condor_q -allusers -constraint %s -autoformat ClusterId", f'Owner == "{owner}"'
        )


@pytest.fixture
def pool(service: Callable[..., Host]) -> Pool:
    for name in ("condor-cm", "condor-ep-1"):
        service(name)  # for their logs, should the test fail
    return Pool(service("condor-ap", user="root"))


@pytest.fixture
def held(pool: Pool) -> Iterator[Callable[[], None]]:
    """Dave's jobs hold every place for notebooks, until what is given here is called."""

    def free() -> None:
        if pool.of("dave"):
            pool.said("dave", "condor_rm dave")
            wait_until(lambda: not pool.of("dave"), timeout=30, what="the end of dave's jobs")

    total = sum(int(cpus) for cpus in pool.said("condor", CPUS).split())
    assert pool.access_point.run(SUBMIT, JOBS.format(count=total), "dave").rc == 0
    try:
        # by the queue: the central manager hears of it a little later
        wait_until(lambda: pool.used() >= total, timeout=START, what="the slots to be full")
        yield free
    finally:
        free()


@pytest.fixture
def bob(
    settings: Settings,
    service: Callable[..., Host],
    signed_in: Callable[[str], requests.Session],
    pool: Pool,
    held: Callable[[], None],
) -> Iterator[tuple[Hub, str]]:
    """Bob's session, which finds no place, and its job."""
    own = Hub(settings, signed_in("bob"), "bob", "htc")
    service(own.cell)  # likewise

    def over() -> bool:
        own.stop()
        return own.server() is None and not pool.of("bob")

    wait_until(over, timeout=START, what="bob's former session to end")
    with ThreadPoolExecutor(1) as threads:
        try:
            threads.submit(own.start, cpus=1, memory=64, runtime=10)
            yield own, wait_until(lambda: pool.idle("bob"), timeout=START, what="bob's session to queue")
        finally:
            wait_until(over, timeout=START, what="bob's session to end")


def test_who_waits_for_a_busy_pool_reads_how_much_is_free_and_starts_when_it_is_enough(
    bob: tuple[Hub, str], held: Callable[[], None]
):
    own, _ = bob
    wait_until(lambda: own.stage() == HERE + BUSY, timeout=QUICK, what="the reason on the page")
    held()
    wait_until(own.ready, timeout=START, what="bob's session")


def test_who_waits_for_what_no_machine_has_reads_which_requirement_that_is(bob: tuple[Hub, str], pool: Pool):
    own, job = bob
    pool.said("bob", "condor_qedit %s Requirements %s", job, "TARGET.HasUnicorn =?= true")
    sentence = HERE + "no machine meets its requirement “HasUnicorn is true”."
    wait_until(lambda: own.stage() == sentence, timeout=LOOKED_AT, what="the requirement on the page")


@pytest.mark.parametrize(
    ("by", "reason", "told"),
    [
        ("condor", ("-reason", "the disks are changed"), ": the disks are changed (by user condor)."),
        ("bob", (), " (by user bob)."),
    ],
)
def test_a_start_whose_job_is_put_on_hold_ends_with_the_reason(
    bob: tuple[Hub, str], pool: Pool, by: str, reason: tuple[str, ...], told: str
):
    own, job = bob
    pool.said(by, "condor_hold" + " %s" * len(reason) + " %s", *reason, job)
    wait_until(lambda: own.server() is None, timeout=ENDS, what="the start to end")
    assert f"Job {job} ended before JupyterLab could start: it was put on hold{told}" in own.failure()
    wait_until(lambda: job not in pool.of("bob"), timeout=QUICK, what="the job to be removed")
