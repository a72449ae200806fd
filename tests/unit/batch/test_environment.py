"""What jobs are given of a notebook's environment, and what they are told where there is no room."""

import errno
import os
import subprocess
from pathlib import Path

from benchtop_batch import environment, place


def test_a_job_gets_what_programs_need_and_nothing_of_the_session():
    session = {
        "PATH": "/software/base/bin:/usr/bin", "PYTHONPATH": "/home/a/lib", "LANG": "C.UTF-8",
        "BENCHTOP_OWN": "OMP_NUM_THREADS", "OMP_NUM_THREADS": "2", "TMPDIR": "/x", "SLURM_JOB_ID": "7",
        "JUPYTERHUB_API_TOKEN": "secret", "BENCHTOP_CREDENTIALS": "/run/x", "JPY_PARENT_PID": "1",
        "_CONDOR_SCRATCH_DIR": "/x", "GITHUB_TOKEN": "secret", "AWS_SECRET_ACCESS_KEY": "secret",
        "BASH_FUNC_module%%": "() { :; }",
    }  # fmt: skip
    given = environment.of_jobs(session)
    assert set(given) == {"PATH", "PYTHONPATH", "LANG"}
    first, package = given["PYTHONPATH"].split(":")
    assert first == "/home/a/lib"
    assert Path(package, "benchtop_batch").is_dir()


def test_its_script_runs_a_command_with_just_that(tmp_path: Path):
    script = tmp_path / "script"
    script.write_text(environment.script({"TEXT": "it's $HOME\nand `more`"}, ["printenv", "TEXT"]))
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, check=True)
    assert done.stdout == "it's $HOME\nand `more`\n"


def test_jobs_begin_where_the_notebook_is_if_nodes_have_that_folder(tmp_path: Path):
    home, below = tmp_path / "home", tmp_path / "home/project"
    below.mkdir(parents=True)
    assert environment.work_folder(below, home) == below
    assert environment.work_folder(tmp_path, home) == home


def test_a_full_home_is_told_with_what_to_do(tmp_path: Path):
    told = place.no_room(OSError(errno.ENOSPC, "No space left on device", str(tmp_path)))
    assert "no space left" in told
    assert "du -xh" in told
    told = place.no_room(OSError(errno.EACCES, "Permission denied", "/home/a/.local"))
    assert told == "Files of jobs cannot be written in your home: Permission denied (/home/a/.local)."


def test_a_folder_with_room_is_left_empty(tmp_path: Path):
    assert place.with_room(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_the_facility_has_jobs_ask_for_is_read(tmp_path: Path):
    file = tmp_path / "batch.ini"
    file.write_text("[slurm]\npartition = long\nminutes = 360  \n")
    assert place.settings("slurm", file) == {"partition": "long", "minutes": "360"}
    assert place.settings("condor", file) == {}
    assert place.settings("slurm", tmp_path / "none") == {}
    file.write_text("nonsense")
    assert place.settings("slurm", file) == {}


def test_folders_that_nobody_removed_go_after_a_week(tmp_path: Path):
    old, new, other = (place.scratch(name, tmp_path) for name in ("x", "x", "y"))
    for folder in (old, other):
        os.utime(folder, (0, 0))
    place.remove_old("x", tmp_path)
    assert not old.exists()
    assert new.exists()
    assert other.exists()
