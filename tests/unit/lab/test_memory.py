"""A kernel that takes too much ends, and the session does not; why a kernel died is said in words."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from benchtop_lab.session import memory
from benchtop_lab.session.deaths import Deaths, explain_death

TAKES = (
    "import sys, time\nheld = bytearray(int(sys.argv[1]) << 20)\n"
    "print(len(held), flush=True)\ntime.sleep(600)"
)


@pytest.fixture(autouse=True)
def nothing_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is this process and what it starts: whoever runs the tests has more on this machine."""
    monkeypatch.setattr(memory, "root_of", lambda pid, _: pid)


@pytest.fixture
def program() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Programs that hold memory, started beneath this process."""
    begun: list[subprocess.Popen[bytes]] = []
    yield begun
    for one in begun:
        one.kill()
        one.wait()


def take(begun: list[subprocess.Popen[bytes]], megabytes: int) -> subprocess.Popen[bytes]:
    one = subprocess.Popen([sys.executable, "-c", TAKES, str(megabytes)], stdout=subprocess.PIPE)
    begun.append(one)
    assert one.stdout
    assert one.stdout.readline()
    return one


def watch(granted: int) -> tuple[memory.Watch, list[Mapping[str, object]]]:
    """Of this process, and what it tells of those that it ends."""
    told: list[Mapping[str, object]] = []
    return memory.Watch(granted, os.getpid(), told.append), told


def more_than_own() -> int:
    """Megabytes that are more than this process has: who takes less than JupyterLab itself is let alone."""
    return 200 + (memory.resident(os.getpid()) >> 20)


def with_terminal(begun: list[subprocess.Popen[bytes]], lines: str) -> subprocess.Popen[bytes]:
    """A shell that has a terminal, as JupyterLab's have; returned when a line was printed."""
    controlling, terminal = pty.openpty()
    shell = subprocess.Popen(
        ["/usr/bin/setsid", "--ctty", "/bin/bash", "-c", lines], stdin=terminal, stdout=subprocess.PIPE
    )
    os.close(terminal)
    begun.append(shell)
    assert shell.stdout
    assert shell.stdout.readline()
    os.set_inheritable(controlling, False)
    return shell


def test_the_greatest_kernel_ends_and_nobody_else(program):
    small, great = take(program, 20), take(program, more_than_own())
    watching, told = watch(0)
    watching.look_around()
    watching.granted = sum(memory.resident(pid) for pid in watching._job) - (100 << 20)
    watching.look()
    assert great.wait(10) == -signal.SIGKILL
    assert small.poll() is None
    (seen,) = told
    assert seen["ended"] == [great.pid]
    assert cast("int", seen["used"]) > watching.granted


def test_within_what_was_granted_nothing_ends(program):
    one = take(program, 50)
    watching, told = watch(1 << 40)
    watching.look_around()
    watching.look()
    assert one.poll() is None
    assert watching.used > 50 << 20
    assert told == []


def test_of_a_terminal_the_program_ends_and_its_shell_stays(program):
    lines = f"{sys.executable} -c '{TAKES}' {more_than_own()}; sleep 600"
    shell = with_terminal(program, lines)
    watching, told = watch(0)
    watching.look_around()
    watching.granted = sum(memory.resident(pid) for pid in watching._job) - (100 << 20)
    watching.look()
    (ended,) = cast("list[int]", told[0]["ended"])
    assert ended != shell.pid
    assert shell.poll() is None


def test_nobody_goes_for_jupyterlab_itself(program, monkeypatch):
    one = take(program, 100)
    monkeypatch.setattr(memory, "resident", lambda pid: 900 << 20 if pid == os.getpid() else 100 << 20)
    watching, told = watch(500 << 20)
    watching.look_around()
    watching.look()
    assert watching.used > watching.granted
    assert (one.poll(), told) == (None, [])


def test_the_program_that_looks_ends_with_whoever_started_it(program):
    one = subprocess.Popen(
        memory.command(1 << 40, shared_once=False), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    program.append(one)
    assert one.stdin
    assert one.stdout
    assert json.loads(one.stdout.readline())["used"] > 0
    one.stdin.close()
    assert one.wait(10) == 0


def test_the_kernel_of_the_system_is_told_whom_to_end_first(program):
    one = take(program, 1)
    watching, _ = watch(1 << 40)
    watching.look_around()
    kernel, own = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (one.pid, os.getpid()))
    assert kernel == own + memory.FIRST_TO_GO


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-11, "it crashed (signal 11, segmentation fault)."),
        (-6, "it crashed (signal 6, aborted)."),
        (-9, "it was killed (signal 9), most likely because there was not enough memory."),
        (3, "it ended with exit code 3."),
        (0, "it ended by itself."),
        (None, "it ended by itself."),
    ],
)
def test_why_a_kernel_died(code, words):
    assert explain_death(code).startswith(words)


def test_for_want_of_memory_with_both_figures_and_what_to_do():
    words = explain_death(-9, used=1400 << 20, granted=900 << 20)
    assert words.startswith("the session needed more memory than requested (900 MB; it had taken 1400 MB).")
    assert "Start a session with more memory" in words


def test_a_death_is_known_until_the_next_one_of_that_kernel():
    deaths = Deaths()
    deaths.note("a", "it crashed.", memory=False)
    deaths.note("a", "it was killed.", memory=True)
    found = deaths.of("a")
    assert found
    assert found["reason"] == "it was killed."
    assert deaths.of("b") is None
