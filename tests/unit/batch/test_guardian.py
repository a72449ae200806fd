"""What is started for a notebook ends with it: with real processes, and commands that note their words."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchtop_batch import guardian
from support.wait import wait_until

SOON = 20  # seconds, on a busy machine


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of both batch systems that write down what they are told; nothing is in the queue."""
    said, queued = tmp_path / "said", tmp_path / "queued"
    for name in ("scancel", "squeue", "condor_rm", "condor_q"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        does = {"scancel": f"rm -f {queued}", "squeue": f"cat {queued} 2>/dev/null || :"}.get(name, "")
        command.write_text(f'#!/bin/sh\necho "{name} $*" >>{said}\n{does}\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return said


@pytest.fixture
def kernel() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a kernel."""
    with subprocess.Popen(["sleep", "600"]) as running:
        yield running
        running.kill()


@pytest.fixture
def guard(
    kernel: subprocess.Popen[bytes], tmp_path: Path
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """`guard(SCRIPT)`: a program of the shell under the guardian's eyes."""
    started = []

    def start(script: str) -> subprocess.Popen[bytes]:
        remove = [str(tmp_path / "folder"), str(tmp_path / "file"), str(tmp_path / "not there")]
        words = guardian.command(kernel.pid, "slurm", "the name", remove, ["/bin/sh", "-c", script])
        started.append(subprocess.Popen([sys.executable, *words[1:]]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def runs(pid: int) -> bool:
    return guardian.alive_by_number(pid)


def written(file: Path) -> int:
    """A number that a program has written."""
    return int(
        wait_until(lambda: file.exists() and file.read_text().strip(), timeout=SOON, what=f"{file.name}")
    )


def test_a_killed_kernel_takes_program_helpers_jobs_and_files_with_it(
    guard: Callable[[str], subprocess.Popen[bytes]],
    kernel: subprocess.Popen[bytes],
    batch: Path,
    tmp_path: Path,
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/key").touch()
    (tmp_path / "file").touch()
    (tmp_path / "queued").write_text("17\n")
    helper = f"(trap '' TERM; echo $$ >{tmp_path}/own; exec sleep 600) & echo $! >{tmp_path}/helper; wait"
    process = guard(helper)
    pids = [written(tmp_path / "helper"), written(tmp_path / "own")]
    assert all(map(runs, pids))
    kernel.kill()
    kernel.wait()
    process.wait(SOON)
    assert not any(map(runs, pids))
    assert f"scancel --user={guardian.user()} --name=the name\n" in batch.read_text()
    assert not (tmp_path / "folder").exists()
    assert not (tmp_path / "file").exists()


def test_a_program_that_crashes_takes_its_jobs_with_it_and_leaves_the_files(
    guard: Callable[[str], subprocess.Popen[bytes]], batch: Path, tmp_path: Path
):
    (tmp_path / "folder").mkdir()
    assert guard("exit 3").wait(SOON) == 3
    assert "scancel" in batch.read_text()
    assert (tmp_path / "folder").exists(), "the notebook lives, and may want to read what is there"


def test_what_the_kernel_itself_ends_costs_no_question_to_the_batch_system(batch: Path, tmp_path: Path):
    script = (
        "import os, signal, subprocess, sys, time\n"
        "from benchtop_batch import guardian\n"
        f"words = ['/bin/sh', '-c', 'echo $$ >{tmp_path}/own; exec sleep 600']\n"
        "run = subprocess.Popen(guardian.command(os.getpid(), 'slurm', 'x', [], words))\n"
        f"while not os.path.exists('{tmp_path}/own'): time.sleep(0.05)\n"
        "run.terminate()\n"
        "print(run.wait(20))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(guardian.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == str(128 + signal.SIGTERM)
    assert not runs(int((tmp_path / "own").read_text()))
    assert not batch.exists()


def test_what_anybody_else_ends_is_cleaned_up_after(
    guard: Callable[[str], subprocess.Popen[bytes]],
    kernel: subprocess.Popen[bytes],
    batch: Path,
    tmp_path: Path,
):
    (tmp_path / "file").touch()
    process = guard(f"echo $$ >{tmp_path}/own; exec sleep 600")
    written(tmp_path / "own")
    process.terminate()  # by this process, as the batch system that ends a session does
    wait_until(lambda: batch.exists() and "squeue" in batch.read_text(), timeout=SOON, what="the jobs' end")
    assert (tmp_path / "file").exists(), "the kernel lives"
    kernel.kill()  # a moment later
    kernel.wait()
    process.wait(SOON)
    assert not (tmp_path / "file").exists()


ALONE = """
import os, signal, subprocess, time
from benchtop_batch import guardian
started = guardian.begin("slurm", "the name", [{file!r}])
if {fork}:
    child = os.fork()
    if child == 0:
        signal.pause()
    open({child!r}, "w").write(str(child))
time.sleep(1)
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
started.terminate()
started.wait(20)
"""


@pytest.mark.parametrize(("killed", "fork"), [(True, False), (True, True), (False, False)])
def test_jobs_without_a_program_behind_them_end_when_the_kernel_is_killed(
    batch: Path, tmp_path: Path, killed: bool, fork: bool
):
    key, child = tmp_path / "a key.pem", tmp_path / "child"
    key.touch()
    code = ALONE.format(file=str(key), fork=fork, child=str(child), killed=killed)
    env = {**os.environ, "PYTHONPATH": str(Path(guardian.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], env=env, check=False)
    if killed:
        assert ended.returncode == -signal.SIGKILL
        wait_until(lambda: not key.exists(), timeout=SOON, what="the end of the key")
        assert f"scancel --user={guardian.user()} --name=the name\n" in batch.read_text()
    else:
        assert key.exists()
        assert not batch.exists(), "what the kernel ends, it cleans up after"
    if fork:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_a_program_does_not_outlive_a_guardian_that_is_killed(
    guard: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
):
    process = guard(f"echo $$ >{tmp_path}/own; exec sleep 600")
    pid = written(tmp_path / "own")
    process.kill()
    wait_until(lambda: not runs(pid), timeout=SOON, what="the program's end")


def test_a_job_that_stays_in_the_queue_is_cancelled_again(batch: Path, tmp_path: Path):
    (tmp_path / "bin/scancel").write_text(f"#!/bin/sh\necho scancel >>{batch}\n")
    (tmp_path / "queued").write_text("17\n")
    assert not guardian.cancel("slurm", "x", patience=1.5)
    assert batch.read_text().count("scancel") > 1
    (tmp_path / "queued").unlink()
    assert guardian.cancel("slurm", "x", patience=1.5)


def test_without_a_batch_system_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not guardian.cancel("condor", "x")


def test_it_is_not_in_the_kernels_group_which_is_killed_as_a_whole(
    guard: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
):
    process = guard(f"echo $$ >{tmp_path}/own; exec sleep 600")
    program = written(tmp_path / "own")
    assert len({os.getpgid(pid) for pid in (os.getpid(), process.pid, program)}) == 3
