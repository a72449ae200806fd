"""A component of a map as a node runs it: by a Python of its own, in a folder of its own."""

import gzip
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchtop_batch.maps import component

# The functions' module lies in the notebook's folder, as its author's own modules do
FUNCTIONS = """
import os, pathlib
def double(x): return 2 * x
def fail(x): raise ValueError(f"not {x}")
def unpicklable(x): return open(os.devnull)
def leave(x): os._exit(x)
def write(x):
    pathlib.Path("made.txt").write_text(str(x))
    os.rename("made.txt", f"_htmap_user_transfer/{os.environ['HTMAP_COMPONENT']}/made.txt")
def count(x):
    seen = pathlib.Path("seen.txt")
    kept = pathlib.Path("_htmap_transfer/_htmap_current_checkpoint")
    if seen.exists():
        return seen.read_text()
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "seen.txt").write_text("before")
    os._exit(9)
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


class Folders:
    """A map's, and a node's."""

    def __init__(self, tmp_path: Path) -> None:
        self.map, self.node, self.notebook = (tmp_path / name for name in ("map", "node", "notebook"))
        for folder in (
            self.map / "inputs",
            self.map / "outputs",
            self.map / "output_files",
            self.node,
            self.notebook,
        ):
            folder.mkdir(parents=True)
        (self.notebook / "functions.py").write_text(FUNCTIONS)
        # cloudpickle comes with HTMap; of modules it does what pickle does
        (self.notebook / "cloudpickle.py").write_text("from pickle import *\n")
        (self.map / "sys_path").write_text(str(self.notebook))

    def run(self, name: str, argument: Any, *, brought: bool = False) -> subprocess.CompletedProcess[str]:
        """As the starter runs it; brought: by HTCondor, to the node's folder."""
        where = self.node if brought else self.map
        self.save(where / "func", f"functions.{name}")
        put = where / "3.in" if brought else where / "inputs/3.in"
        with gzip.open(put, "wb") as file:
            pickle.dump(((argument,), {}), file)
        if brought:
            (self.node / "sys_path").write_text(str(self.notebook))
        words = [sys.executable, component.__file__, "3", *([] if brought else [str(self.map)])]
        env = {**os.environ, "_CONDOR_SCRATCH_DIR": str(self.node)}
        return subprocess.run(words, cwd=self.node, env=env, capture_output=True, text=True, check=False)

    @staticmethod
    def save(path: Path, name: str) -> None:
        """A function by its name, as pickle writes it."""
        module, _, function = name.partition(".")
        with gzip.open(path, "wb") as file:
            file.write(f"c{module}\n{function}\n.".encode())

    def result(self, *, brought: bool = False) -> list[Any]:
        """What HTMap reads of it."""
        file = self.node / "_htmap_transfer/3.out" if brought else self.map / "outputs/3.out"
        with gzip.open(file) as read:
            return [Reader(read).load(), Reader(read).load()]


class Reader(pickle.Unpickler):
    """The report of a failure is of a class of the node's program."""

    def find_class(self, module: str, name: str) -> Any:
        """Ours in place of the program's."""
        return component.ExecutionError if name == "ExecutionError" else super().find_class(module, name)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.mark.parametrize("brought", [False, True], ids=["in the home", "brought by HTCondor"])
def test_a_result_is_put_where_the_map_looks_for_it(folders: Folders, brought: bool):
    done = folders.run("double", 21, brought=brought)
    assert done.returncode == 0, done.stderr
    assert folders.result(brought=brought) == ["OK", 42]


def test_a_large_input_and_a_large_result_arrive_whole(folders: Folders):
    """They are unpacked and packed piece by piece; dice do not compress."""
    large = random.Random(1).randbytes(3 * component.LARGE)  # noqa: S311 - no secret
    assert folders.run("double", list(large)).returncode == 0
    assert folders.result() == ["OK", 2 * list(large)]


def test_a_failure_is_told_with_its_traceback(folders: Folders):
    done = folders.run("fail", 1)
    assert done.returncode == 0
    state, error = folders.result()
    assert (state, error.exception_msg) == ("ERR", "ValueError: not 1")
    assert [frame.name for frame in error.stack_summary] == ["fail"]
    assert "ValueError: not 1" in done.stderr


def test_a_result_that_cannot_be_pickled_is_a_failure_of_the_component(folders: Folders):
    assert folders.run("unpicklable", 1).returncode == 0
    state, error = folders.result()
    assert state == "ERR"
    assert "TextIOWrapper" in error.exception_msg


def test_what_ends_without_a_result_leaves_none(folders: Folders):
    assert folders.run("leave", 3).returncode == 3
    assert not list((folders.map / "outputs").iterdir())


def test_files_that_a_function_gives_come_into_the_map(folders: Folders):
    assert folders.run("write", 5).returncode == 0
    assert (folders.map / "output_files/3/made.txt").read_text() == "5"


def test_what_was_kept_is_there_at_the_next_try_and_gone_afterwards(folders: Folders):
    assert folders.run("count", 1).returncode == 9
    again = Folders.run(folders, "count", 1)
    assert again.returncode == 0, again.stderr
    assert folders.result() == ["OK", "before"]
    assert not (folders.map / "checkpoints/3").exists()


def test_a_folder_that_cannot_be_written_is_no_success(folders: Folders):
    (folders.map / "outputs").rmdir()
    assert folders.run("double", 1).returncode not in {0, component.NO_SPACE}


def test_no_space_has_an_exit_code_of_its_own(folders: Folders):
    (folders.map / "outputs/3.out.new").symlink_to("/dev/full")
    assert folders.run("double", "x" * 10_000_000).returncode == component.NO_SPACE
