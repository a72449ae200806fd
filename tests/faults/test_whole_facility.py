"""The facility is taken down and brought back: what people own is there again."""

import time
from collections.abc import Callable

from benchtop.people import accounts, enrol, keycloak
from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.checkout import made
from support.hub import Hub
from support.wait import wait_until

FORGOTTEN = 60  # seconds after which a hub must know that a session ended with the facility


def test_homes_second_factors_and_accounting_outlive_the_facility(
    hub: Callable[[str, str], Hub], settings: Settings
):
    people = [name for name, person in accounts.load(settings).people.items() if person.enrolled]
    works = [hub("alice", "hpc"), hub("bob", "htc")]
    mark = f"mark-{time.time_ns()}"
    for work in works:
        sessions.begin_anew(work)
        said = work.jupyter(
            "PUT", f"contents/{mark}.txt", {"type": "file", "format": "text", "content": mark}
        )
        assert said.status_code == 201, said.text
    factors = keycloak.second_factors(settings, people)
    ((slurm,), (condor,)) = running(settings)

    made(settings, "down")
    assert not at_work(settings)
    made(settings, "up")
    made(settings, "status")
    before = at_work(settings)
    made(settings, "up")
    assert at_work(settings) == before, "a start that has nothing to do has done something"

    assert keycloak.second_factors(settings, people) == factors
    for name, node in (("alice", "cpu-1"), ("bob", "condor-ep-1")):
        read = compose.run(settings, "exec", "-T", node, "cat", f"/home/{name}/{mark}.txt")
        assert read.stdout.decode() == mark
        compose.run(settings, "exec", "-T", node, "rm", f"/home/{name}/{mark}.txt")
    for name in ("alice", "bob"):
        enrol.login(settings, name)  # with the second factor of before
    wait_until(
        lambda: recorded(settings, slurm, condor), timeout=60, what="both jobs in the accounting", every=2
    )
    for work in (hub("alice", "hpc"), hub("bob", "htc")):
        starts_anew(work)


def at_work(settings: Settings) -> set[tuple[str, str]]:
    """Each container that runs, and since when."""
    found = compose.containers(settings.project)
    return {(one.id, one.started) for one in found if one.state == "running"}


def starts_anew(own: Hub) -> None:
    """The hub knows that the session of before is over, and starts another one."""
    wait_until(lambda: own.server() is None, timeout=FORGOTTEN, what="the hub to know", every=1)
    try:
        sessions.begin_anew(own)
    finally:
        sessions.end(own)


def running(settings: Settings) -> tuple[list[str], list[str]]:
    """The numbers of alice's job on Slurm and of bob's on HTCondor, by the schedulers themselves."""
    slurm = compose.run(
        settings, "exec", "-T", "slurmctld", "squeue", "--noheader", "--user=alice", "--format=%A"
    )
    condor = compose.run(
        settings, "exec", "-T", "condor-ap", "condor-as", "condor",
        "condor_q", "-allusers", "-constraint", 'Owner == "bob"', "-autoformat", "ClusterId",
    )  # fmt: skip
    return slurm.stdout.decode().split(), condor.stdout.decode().split()


def recorded(settings: Settings, slurm: str, condor: str) -> bool:
    """Both jobs are over, and both schedulers can still tell of them."""
    sacct = compose.run(
        settings, "exec", "-T", "slurmctld",
        "sacct", "--noheader", "--allocations", f"--jobs={slurm}", "--format=User,State", "--parsable2",
    )  # fmt: skip
    history = compose.run(
        settings, "exec", "-T", "condor-ap",
        "condor-as", "condor", "condor_history", condor, "-autoformat", "Owner", check=False,
    )  # fmt: skip
    who, _, state = sacct.stdout.decode().strip().partition("|")
    over = who == "alice" and not state.startswith(("RUNNING", "PENDING", "COMPLETING"))
    return over and history.stdout.decode().split() == ["bob"]
