"""How soon HTCondor starts a session's job: when nobody works, and when the Standard pool is full.

floor: until condor_submit has handed the job over; a job cannot start sooner
"""

import time
from statistics import median

from benchtop.settings import Settings
from benchtop.stack import compose
from figures import Figure, until

SESSION, BATCH = "alice", "bob"
AP, NODE = "condor-ap", "condor-ep-1"
# Says when it began and when the job was handed over: the way into the container is nobody's wait.
FOLDER = (
    'd=$(mktemp -d); trap "rm -rf $d" EXIT; cd "$d"; cat >job; '
    "date +%s.%N; condor_submit -spool -terse job >/dev/null && date +%s.%N"
)
JOB = """
executable = /bin/sh
transfer_executable = false
arguments = "-c '{script}'"
transfer_output_files = ""
should_transfer_files = YES
leave_in_queue = false
request_cpus = 1
request_memory = 16
request_disk = 1M
My.IsJupyter = {jupyter}
queue {count}
"""
FREE = "condor_status -constraint 'PartitionableSlot && IsJupyterSlot =?= false' -autoformat Cpus"
MORE_THAN_FIT = 40


def measure(settings: Settings, rounds: int) -> list[Figure]:
    """Idle first, then full."""
    idle = [start(settings) for _ in range(rounds)]
    submit(settings, BATCH, "exec sleep 900", jupyter=False, count=MORE_THAN_FIT)
    try:
        until(lambda: set(as_person(settings, BATCH, FREE).split()) == {"0"}, "the Standard pool to be full")
        full = [start(settings) for _ in range(rounds)]
    finally:
        as_person(settings, BATCH, f"condor_rm {BATCH}")
    return [
        Figure(f"HTCondor: submit → start, {state}", describe(0, times), describe(1, times), bar="≤ 2 s")
        for state, times in (("idle", idle), ("Standard pool full", full))
    ]


def describe(which: int, times: list[tuple[float, float]]) -> str:
    """One of the two figures of each start, and the worst of them."""
    values = [pair[which] for pair in times]
    return f"{median(values):.2f} s (max {max(values):.2f})"


def start(settings: Settings) -> tuple[float, float]:
    """Seconds until the job's first line ran, and until it was handed over."""
    mark = f"/home/{SESSION}/.bench-{time.time_ns()}"
    script = f"date +%s.%N >{mark}.new; mv {mark}.new {mark}"
    began, handed_over = submit(settings, SESSION, script, jupyter=True)
    until(lambda: on_node(settings, f"cat {mark}"), "a job to start", timeout=60)
    ran = float(on_node(settings, f"cat {mark}; rm {mark}"))
    return ran - began, handed_over - began


def submit(
    settings: Settings, who: str, script: str, *, jupyter: bool, count: int = 1
) -> tuple[float, float]:
    """Hand a job over, as a hub does: with that person's token, its files in the spool. From when to when.

    (The clock is the host's, in every container.)
    """
    text = JOB.format(script=script, jupyter=str(jupyter).lower(), count=count)
    began, handed_over = as_person(settings, who, FOLDER, text).split()
    return float(began), float(handed_over)


def as_person(settings: Settings, who: str, script: str, given: str = "") -> str:
    """Run commands of HTCondor as somebody, where the keys of tokens are."""
    words = ("exec", "-T", AP, "condor-as", who, "sh", "-c", script)
    return compose.run(settings, *words, input=given.encode()).stdout.decode()


def on_node(settings: Settings, script: str) -> str:
    """Look into a home."""
    return compose.run(settings, "exec", "-T", NODE, "sh", "-c", script, check=False).stdout.decode()
