"""A kernel that takes too much ends, and the session does not; why a kernel died is said in words."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchtop_lab.session import memory
from benchtop_lab.session.deaths import Deaths, explain_death
from support.wait import wait_until

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


def more_than_own() -> int:
    """Megabytes that are more than this process has: who takes less than JupyterLab itself is let alone."""
    return 200 + (memory.resident(os.getpid()) >> 20)


def watch(kernels: dict[int, str], granted: int) -> tuple[memory.Watch, list[str]]:
    said: list[str] = []
    return memory.Watch(granted, lambda: kernels, said.append), said


def test_the_greatest_kernel_ends_and_nobody_else(program):
    small, great = take(program, 20), take(program, more_than_own())
    watching, said = watch({small.pid: "small", great.pid: "great"}, 0)
    watching.look_around()
    watching.granted = sum(memory.resident(pid) for pid in watching._job) - (100 << 20)
    watching.look()
    assert great.wait(10) == -signal.SIGKILL
    assert small.poll() is None
    assert watching.ended[great.pid] > watching.granted
    assert "the kernel great was ended" in said[0]


def test_within_what_was_granted_nothing_ends(program):
    one = take(program, 50)
    watching, said = watch({one.pid: "one"}, 1 << 40)
    watching.look_around()
    watching.look()
    assert one.poll() is None
    assert watching.used > 50 << 20
    assert said == []


def test_of_a_terminal_the_program_ends_and_its_shell_stays(program):
    lines = f"{sys.executable} -c '{TAKES}' {more_than_own()}; sleep 600"
    shell = subprocess.Popen(["/bin/bash", "-c", lines], stdout=subprocess.PIPE)
    program.append(shell)
    assert shell.stdout
    assert shell.stdout.readline()
    watching, said = watch({}, 0)
    watching.look_around()
    watching.granted = sum(memory.resident(pid) for pid in watching._job) - (100 << 20)
    watching.look()
    wait_until(lambda: said, timeout=10, what="the program to end")
    assert "the process" in said[0]
    assert shell.poll() is None


def test_nobody_goes_for_jupyterlab_itself(program, monkeypatch):
    one = take(program, 100)
    monkeypatch.setattr(memory, "resident", lambda pid: 900 << 20 if pid == os.getpid() else 100 << 20)
    watching, said = watch({one.pid: "one"}, 500 << 20)
    watching.look_around()
    watching.look()
    assert watching.used > watching.granted
    assert (one.poll(), said) == (None, [])


def test_the_kernel_of_the_system_is_told_whom_to_end_first(program):
    one = take(program, 1)
    watching, _ = watch({}, 1 << 40)
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
