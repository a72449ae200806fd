"""Run-time files are in a folder of a short path, which nobody else may enter and which does not stay."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchtop_lab import runtime
from benchtop_lab.session import start

SOCKET = 107  # bytes of a unix socket's path
OF_A_KERNEL = "/kernel-00000000-0000-0000-0000-000000000000-ipc-5"


def test_a_kernels_socket_fits_whatever_the_home_is_called(tmp_path: Path):
    scratch = tmp_path / ("x" * 90)
    scratch.mkdir()
    for env in ({}, {"_CONDOR_SCRATCH_DIR": str(scratch)}, {"_CONDOR_SCRATCH_DIR": "/nowhere"}):
        folder = runtime.make_folder(env)
        assert len(f"{folder}{OF_A_KERNEL}") <= SOCKET
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.rmdir()


def test_it_is_in_the_jobs_own_folder_where_that_has_a_short_path(monkeypatch: pytest.MonkeyPatch):
    scratch = Path("/tmp", f"dir_{os.getpid()}")  # noqa: S108 as HTCondor has it: short
    scratch.mkdir()
    try:
        folder = runtime.make_folder({"_CONDOR_SCRATCH_DIR": str(scratch)})
        assert folder.parent == scratch
        folder.rmdir()
    finally:
        scratch.rmdir()


def test_what_a_session_left_that_was_killed_goes_and_what_is_in_use_stays(tmp_path: Path):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = tmp_path / f"jupyter-{int(gone.stdout)}-abc"
    alive, other = tmp_path / f"jupyter-{os.getpid()}-abc", tmp_path / "jupyter-notes"
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "kernel.json").touch()
    runtime.remove_left(tmp_path)
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()


def test_jupyter_has_it_while_the_session_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(runtime.VARIABLE, raising=False)
    with start.own_runtime_folder():
        folder = Path(os.environ[runtime.VARIABLE])
        assert folder.is_dir()
    assert not folder.exists()
    monkeypatch.delenv(runtime.VARIABLE)


def test_where_a_site_says_it_stays_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(runtime.VARIABLE, "/somewhere")
    with start.own_runtime_folder():
        assert os.environ[runtime.VARIABLE] == "/somewhere"


def test_nothing_leaves_a_core_file():
    program = (
        "import os, resource, signal; from benchtop_lab.session import limits; limits.no_core_files();"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    lab = str(Path(start.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": lab}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(0, 0)"
