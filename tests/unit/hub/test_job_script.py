"""What a job script does when its session ends, however it ends: by bash itself."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchtop_hub.backends.job_script import RUN
from support.wait import wait_until

# The Python of a job: told to run the session, it runs the test's program; told to report, it notes that.
PYTHON = """\
#!/bin/bash
case $3 in
benchtop_lab.session) exec {python} -c {program} ;;
benchtop_lab.report) echo "$@" >>{reported} ;;
esac
"""
Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(program)`: a job whose session is this program of Python."""
    begun = []

    def run(program: str) -> "subprocess.Popen[bytes]":
        python, reported = tmp_path / "python", tmp_path / "reported"
        words = {"python": sys.executable, "program": program, "reported": str(reported)}
        python.write_text(PYTHON.format(**{name: shlex.quote(word) for name, word in words.items()}))
        python.chmod(0o700)
        (tmp_path / "script").write_text(RUN.format(python=python))
        with (tmp_path / "log").open("wb") as log:
            # whoever started the tests may ignore Ctrl-C: a job's own parent does not
            job = subprocess.Popen(
                ["bash", str(tmp_path / "script")], cwd=tmp_path, stdout=log, stderr=log,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )  # fmt: skip
        begun.append(job)
        return job

    yield run
    for job in begun:
        job.kill()
        job.wait()


def reports(folder: Path) -> int:
    file = folder / "reported"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("1 / 0", 1),
        ("raise SystemExit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.kill(os.getpid(), 11)", -11),
    ],
)
def test_a_session_that_fails_is_told_once_and_its_status_is_the_jobs(
    start: Start, tmp_path, program, status
):
    assert start(program).wait(timeout=20) == status
    assert reports(tmp_path) == 1


def test_what_killed_it_is_in_the_log(start: Start, tmp_path: Path):
    start("import os; os.kill(os.getpid(), 9)").wait(timeout=20)
    assert "Killed" in (tmp_path / "log").read_text()


def test_a_python_that_is_not_there_ends_the_job_and_is_in_the_log(tmp_path: Path):
    done = subprocess.run(
        ["bash"], input=RUN.format(python="/nowhere/python"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert "/nowhere/python" in done.stderr


def test_a_session_that_ends_well_has_nothing_to_explain(start: Start, tmp_path: Path):
    assert start("print('fine')").wait(timeout=20) == 0
    assert reports(tmp_path) == 0
    assert "fine" in (tmp_path / "log").read_text()


def test_a_job_that_is_told_to_end_tells_its_session_and_waits_for_it(start: Start, tmp_path: Path):
    job = start(
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(4)));"
        "open('up', 'w'); time.sleep(60)"
    )
    wait_until((tmp_path / "up").exists, timeout=20, what="the session")
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=20) == 4
    assert "saved" in (tmp_path / "log").read_text()
    assert reports(tmp_path) == 0, "whoever stopped it knows"


def test_a_session_can_be_interrupted_and_what_it_starts_as_well(start: Start, tmp_path: Path):
    """Bash has what it starts in the background ignore it, and a terminal's Ctrl-C would do nothing."""
    start("import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)").wait(20)
    assert (tmp_path / "log").read_text().strip() == "True"
