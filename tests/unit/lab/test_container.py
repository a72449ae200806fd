"""The first process of a session's container, for real: what it starts, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from support.wait import wait_until

ROOT = Path(__file__).parents[3]
SLEEP = "import time; time.sleep(600)"
# As `python -m benchtop_lab.container`, but what it starts is a program of the test's
_FIRST = """
import sys
from benchtop_lab import container
from benchtop_lab.login_node import keeper
keeper.PROGRAM = (sys.executable, sys.argv[1])
keeper.EVERY, keeper.GRACE = 0.1, 1.0
container.run()
"""


@pytest.fixture
def first(tmp_path):
    """Start such a process, which runs some Python; limits: what else the hub says."""
    begun = []

    def start(text, **limits):
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(text))
        asked = {
            "log": str(tmp_path / "log"), "runtime": 600, "memory": 200, "cpu": 600, "processes": 4096,
            "files": 256, "group": "cluster-hpc", **limits,
        }  # fmt: skip
        env = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lab"), "HOME": str(tmp_path),
            "USER": "alice", "BENCHTOP_CONTAINER": json.dumps(asked),
        }  # fmt: skip
        process = subprocess.Popen([sys.executable, "-c", _FIRST, str(program)], env=env)
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.wait()


def test_it_runs_the_session_which_learns_nothing_of_its_limits_but_the_end(first, tmp_path):
    told = "import json, os; json.dump(dict(os.environ), open('told', 'w'))"
    before = time.time()
    assert first(told, runtime=900).wait(timeout=20) == 0
    env = json.loads((tmp_path / "told").read_text())
    assert "BENCHTOP_CONTAINER" not in env
    assert env["USER"] == "alice", "the control: the rest is there"
    assert before - 1 <= int(env["BENCHTOP_ENDS"]) - 900 <= time.time() + 1


@pytest.mark.parametrize(
    ("text", "limits", "status"),
    [
        (SLEEP, {"runtime": 1}, 124),
        ("held = [bytearray(1 << 20) for _ in range(300)]\n" + SLEEP, {}, 125),
        ("raise SystemExit(3)", {}, 3),
        ("raise SystemExit(0)", {}, 0),
    ],
)
def test_how_it_ended_is_its_exit_status(first, text, limits, status):
    assert first(text, **limits).wait(timeout=30) == status


def test_it_lets_a_session_save_its_work_when_it_is_stopped(first, tmp_path):
    saves = """
        import signal, sys, time
        def save(*_):
            open("saved", "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        open("ready", "w").close()
        time.sleep(600)
    """
    process = first(saves)
    wait_until((tmp_path / "ready").exists, timeout=20, what="the session")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert (tmp_path / "saved").exists()
