"""Calls and cells of a notebook, with commands that stand for both batch systems."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchtop_batch.calls import watch
from support import batch_stand_in

FUNCTIONS = """
import os, sys, time
def double(x, plus=0): return 2 * x + plus if plus else 2 * x
def fail(x): raise ValueError(f"not {x}")
def leave(x): os._exit(x)
def sleep(x): time.sleep(60)
def size(x, y): return len(x)
def where(x): print("here", x); return os.getpid()
def unsendable(x): return sys.stdout
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somebody's, with modules of their own."""
    own = tmp_path / "home"
    own.mkdir()
    (own / "functions_of_calls.py").write_text(FUNCTIONS)
    # with functions of modules it does what pickle does
    (own / "cloudpickle.py").write_text(
        "import copyreg, pickle\nfrom pickle import *\n"
        "class Pickler(pickle.Pickler): dispatch_table = copyreg.dispatch_table\n"
    )
    monkeypatch.setenv("HOME", str(own))
    monkeypatch.chdir(own)
    monkeypatch.syspath_prepend(str(own))
    yield own
    for name in ("functions_of_calls", "cloudpickle"):
        sys.modules.pop(name, None)


@pytest.fixture(params=["slurm", "condor"])
def cluster(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def batch(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[batch_stand_in.Queue]:
    """Both of them, and a credential for each."""
    folder = tmp_path / "batch"
    monkeypatch.setenv("PATH", f"{batch_stand_in.install(folder)}:{os.environ['PATH']}")
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "token").touch()
    monkeypatch.setenv("SLURM_JWT", "a token")
    monkeypatch.setenv("_CONDOR_SEC_TOKEN_DIRECTORY", str(tokens))
    monkeypatch.setattr(watch, "FIRST", 0.1)
    monkeypatch.setattr(watch, "ASK", ((float("inf"), 0.2),))
    monkeypatch.setattr("benchtop_batch.calls.job.GRACE", 0.2)
    queue = batch_stand_in.Queue(folder)
    yield queue
    for task in queue.all():
        batch_stand_in.kill(queue, task, "CANCELLED")
    for guardian in watch.WATCH._guardians.values():
        guardian.kill()
        guardian.wait()
    watch.WATCH.forked()
