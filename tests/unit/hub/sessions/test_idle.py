"""A session that nobody uses ends."""

import os
import signal
import subprocess
from pathlib import Path

from benchtop_hub.sessions import idle
from support.wait import wait_until


def test_the_culler_waits_until_each_session_may_have_reported_twice():
    command = idle.culler(7200, 60, 0, 60)
    assert command[:2] == ["/bin/sh", "-c"]
    assert "; sleep 135 &" in command[2]
    assert command[-3:] == ["--timeout=7200", "--cull-every=60", "--max-age=0"]


def test_the_culler_ends_at_once_when_its_hub_does():
    """A hub that is told to end tells it by SIGINT, and waits."""
    # whoever runs the tests in the background has them ignore SIGINT, and a shell keeps to that
    command = ["env", "--default-signal=INT", *idle.culler(7200, 60, 0, 60)]
    with subprocess.Popen(command, start_new_session=True) as waiting:
        children = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children")
        try:
            wait_until(children.read_text, timeout=10, what="the pause to begin")
            waiting.send_signal(signal.SIGINT)
            waiting.wait(timeout=5)
        finally:
            os.killpg(waiting.pid, signal.SIGKILL)


def test_a_time_of_nought_is_never():
    assert "--timeout=1000000000" in idle.culler(0, 60, 0, 60)  # decades
