# ruff: noqa: D102  # stand-ins: their names say it
"""A session reports until it is heard, and ends when nobody wants it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchtop_lab import report
from benchtop_lab.session import start
from support.breaks_off import breaks_off

LAB = Path(__file__).parents[3] / "lab"


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def until_taken(send, patience=60.0):
    time = Time()
    report.until_taken(send, patience=patience, sleep=time.sleep, clock=lambda: time.now)
    return time


def failing(times):
    left = [OSError("connection refused")] * times

    def send():
        if left:
            raise left.pop()

    return send


def test_a_hub_that_answers_is_asked_once():
    assert until_taken(failing(0)).pauses == []


def test_a_hub_that_is_away_for_a_minute_is_waited_for():
    assert 45 < until_taken(failing(14)).now < 60


def test_nobody_waits_for_ever():
    with pytest.raises(OSError, match="refused"):
        until_taken(failing(10**6))


def test_a_hub_that_says_no_is_not_asked_again():
    asked = []

    def send():
        asked.append(1)
        raise report.Unwanted("403")

    with pytest.raises(report.Unwanted):
        until_taken(send)
    assert len(asked) == 1


def test_the_tail_of_a_log_fits_into_a_report(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"x" * 50_000 + "\n…é\xff last".encode("utf-8", "surrogatepass") + b"\xff")
    tail = report.tail(log)
    assert len(tail) <= report.CHARACTERS
    assert tail.endswith("last\ufffd")


def test_only_the_last_lines_are_told(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {n}" for n in range(100)))
    assert report.tail(log).splitlines()[0] == f"line {100 - report.LINES}"


def test_the_program_tells_the_end_of_its_own_log_with_the_token_of_the_environment(listening_hub, tmp_path):
    log = tmp_path / "log"
    environment = {**os.environ, **listening_hub.environment, "PYTHONPATH": str(LAB)}
    with log.open("w") as errors:
        errors.write("no space left\n")
        errors.flush()
        subprocess.run(
            [sys.executable, "-m", "benchtop_lab.report", "1"], env=environment, stderr=errors, check=True
        )
    assert listening_hub.heard == [
        ("/hub/api/session/last-words", "token its-own-token", {"log": "no space left"})
    ]


def test_a_report_whose_connection_breaks_off_is_sent_again_at_once():
    with breaks_off(1) as hub:
        report.post(f"{hub.url}/port", "x", {"port": 45678})
        assert hub.asked == ["POST /port HTTP/1.1"] * 2
    with breaks_off(9) as hub:
        with pytest.raises(OSError, match="closed connection"):
            report.post(hub.url, "x", {"port": 45678})
        assert len(hub.asked) == 2


def test_a_hub_that_is_away_holds_up_nobody(tmp_path):
    environment = {"JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api", "JUPYTERHUB_API_TOKEN": "x"}
    (tmp_path / "log").touch()
    with pytest.raises(OSError, match="refused"):
        report.last_words(environment, tmp_path / "log", 1)


def test_the_port_is_taken_before_it_is_told():
    listening = start.listen("127.0.0.1")
    port = listening.getsockname()[1]
    with pytest.raises(OSError, match="in use"), socket.socket() as other:
        other.bind(("127.0.0.1", port))
    socket.create_connection(("127.0.0.1", port)).close()


def test_connections_are_sent_without_delay():
    listening = start.listen("127.0.0.1")
    listening.setblocking(True)
    with socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_only_the_port_of_the_address_changes_and_that_it_is_tls():
    assert start.with_port("http://0.0.0.0:0/jupyterhub/hpc/user/alice/", 45678) == (
        "https://0.0.0.0:45678/jupyterhub/hpc/user/alice/"
    )
