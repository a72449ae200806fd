"""What a job script does when its session ends, however it ends: by bash itself."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchtop_hub.backends import run
from benchtop_hub.backends.condor import description
from benchtop_hub.backends.condor import form as condor_form
from benchtop_hub.backends.slurm import form as slurm_form
from benchtop_hub.backends.slurm import script
from standins import OnCondor, OnSlurm, Pool, Slurm
from standins import session as made
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
AROUND = {"req_prologue": "export GREETING=before", "req_epilogue": "echo after, as $GREETING"}
KINDS = ("command", "slurm", "slurm around", "condor", "condor around")


def text_of(kind: str, python: Path, folder: Path) -> str:
    """A job's script, with what a site has around the session where the kind says so."""
    site = AROUND if "around" in kind else {}
    env = {"HOME": str(folder)}
    given = {"home": str(folder), "log_name": "log", "lab_python": str(python), **site}
    if kind == "command":
        return f"exec {run.command(str(python), [])}\n"
    if kind.startswith("slurm"):
        session = made(OnSlurm, Slurm(), **given)
        of_slurm = slurm_form.Granted("debug", "", "", "", "none", 0, 1, 64, 5)
        return script.of_job(of_slurm, session.launch(env))
    session = made(OnCondor, Pool(), **given)
    of_condor = condor_form.Granted("jupyter", 1, 64, 64, 5)
    return description.script(of_condor, session.launch(env), str(folder / "log"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Whose job it is."""
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path, kind: str) -> Iterator[Start]:
    """`start(program)`: a job whose session is this program of Python."""
    begun = []

    def begin(program: str) -> "subprocess.Popen[bytes]":
        python, reported = tmp_path / "python", tmp_path / "reported"
        words = {"python": sys.executable, "program": program, "reported": str(reported)}
        python.write_text(PYTHON.format(**{name: shlex.quote(word) for name, word in words.items()}))
        python.chmod(0o700)
        (tmp_path / "script").write_text(text_of(kind, python, tmp_path))
        with (tmp_path / "log").open("wb") as log:
            # whoever started the tests may ignore Ctrl-C: a job's own parent does not
            job = subprocess.Popen(
                ["bash", str(tmp_path / "script")], cwd=tmp_path, stdout=log, stderr=log,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
                start_new_session=True,
            )  # fmt: skip
        begun.append(job)
        return job

    yield begin
    for job in begun:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def lines(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


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
    start: Start, tmp_path, kind, program, status
):
    if kind == "slurm around" and status < 0:
        status = 128 - status  # the site's own script: it ends by itself, as a shell says it
    assert start(program).wait(timeout=20) == status
    assert reports(tmp_path) == 1


def test_what_killed_it_is_in_the_log(start: Start, tmp_path: Path):
    start("import os; os.kill(os.getpid(), 9)").wait(timeout=20)
    assert "Killed" in (tmp_path / "log").read_text()


def test_a_python_that_is_not_there_ends_the_job_and_is_in_the_log(kind: str, tmp_path: Path):
    (tmp_path / "script").write_text(text_of(kind, Path("/nowhere/python"), tmp_path))
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(["bash", tmp_path / "script"], stdout=log, stderr=log, check=False)
    assert done.returncode == 127
    assert "/nowhere/python" in (tmp_path / "log").read_text()


def test_a_session_that_ends_well_has_nothing_to_explain(start: Start, tmp_path: Path):
    assert start("print('fine')").wait(timeout=20) == 0
    assert reports(tmp_path) == 0
    assert "fine" in (tmp_path / "log").read_text()


# however often it is told
SAVES = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
open("up", "w")
signal.sigwait([signal.SIGTERM])
print("saved")
sys.exit(4)
"""


def test_a_job_that_is_told_to_end_tells_its_session_and_waits_for_it(start: Start, tmp_path: Path):
    job = start(SAVES)
    wait_until((tmp_path / "up").exists, timeout=20, what="the session")
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=20) == 4
    assert "saved" in (tmp_path / "log").read_text()
    assert reports(tmp_path) == 0, "whoever stopped it knows"


def test_a_session_can_be_interrupted_and_what_it_starts_as_well(start: Start, tmp_path: Path):
    """Bash has what it starts in the background ignore it, and a terminal's Ctrl-C would do nothing."""
    start("import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)").wait(20)
    assert lines(tmp_path)[0] == "True"


@pytest.mark.parametrize("kind", ["slurm around", "condor around"], indirect=True)
@pytest.mark.parametrize("program", ["print('session')", "print('session'); raise SystemExit(3)"])
def test_what_a_site_has_around_it_runs_before_and_after(start: Start, tmp_path: Path, program: str):
    start(f"import os; print(os.environ['GREETING'], flush=True); {program}").wait(20)
    assert lines(tmp_path) == ["before", "session", "after, as before"]


@pytest.mark.parametrize("tell", [os.kill, os.killpg], ids=["its first process", "all of it"])
@pytest.mark.parametrize("kind", ["slurm around", "condor around"], indirect=True)
def test_what_comes_after_does_so_when_the_job_is_told_to_end(
    start: Start, tell: Callable[[int, int], None], tmp_path: Path
):
    job = start(SAVES)
    wait_until((tmp_path / "up").exists, timeout=20, what="the session")
    tell(job.pid, signal.SIGTERM)
    job.wait(timeout=20)
    assert lines(tmp_path)[-2:] == ["saved", "after, as before"]


def test_its_arguments_reach_jupyterlab_as_they_are():
    words = ["--LabApp.collaborative=True", "it's", "$(id)", "a b", '"']
    say = run.command("/python", words).replace("/python -I -m benchtop_lab.session", 'printf "%s\\n"')
    done = subprocess.run(["bash"], input=say, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words


def test_a_wrapper_can_start_it():
    """As srun does: the command is words, and the first of them a program."""
    say = run.command("/bin/true", []).replace("/bin/true -I -m benchtop_lab.session", "echo $WRAPPED")
    job = f"env WRAPPED=yes {say}"
    done = subprocess.run(["bash"], input=job, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "yes"
