"""What a Dask cluster says and does that takes no Dask: keys, sockets, its workers."""

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchtop_batch.dask import dashboard, keys, worker

# ---- keys and pages -----------------------------------------------------------------------------


def test_pages_listen_where_only_their_owner_may_go(tmp_path: Path):
    folder = keys.session_folder({"BENCHTOP_RUN": str(tmp_path)})
    assert folder is not None
    listening, number = dashboard.listen(folder)
    with listening:
        path = dashboard.socket_at(folder, number)
        assert number == dashboard.FIRST
        assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)
        again, next_number = dashboard.listen(folder)
        again.close()
        assert next_number == number + 1
    anew, same = dashboard.listen(folder)
    anew.close()
    assert same == number, "the socket of a process that is gone is used again"


@pytest.mark.parametrize(
    ("address", "number"), [(":8787", 8787), (8900, 8900), ("0.0.0.0:8888", 8888), (":0", 8787)]
)
def test_the_number_of_pages(address: object, number: int):
    assert dashboard.number_wanted(address) == number


def test_the_keys_of_schedulers_of_other_sessions_are_not_found(tmp_path: Path):
    env = {"BENCHTOP_RUN": str(tmp_path)}
    folder = keys.session_folder(env)
    assert folder is not None
    assert keys.known_by(folder, "tls://192.0.2.1:40000") == folder / "192.0.2.1-40000.pem"
    for address in ("tls://192.0.2.1:40000", "tcp://192.0.2.1:40000", None, object()):
        assert keys.find(address, env) is None
    assert keys.session_folder({}) is None


def test_links_lead_through_the_session(monkeypatch: pytest.MonkeyPatch):
    upstream = "{scheme}://{host}:{port}/status"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/")
    monkeypatch.setenv("BENCHTOP_RUN", "/run/mine")
    assert dashboard.link(upstream) == dashboard.LINK
    assert dashboard.link("mine/{port}") == "mine/{port}", "what a person has set stays"
    monkeypatch.delenv("BENCHTOP_RUN")
    assert dashboard.link(upstream) == "", "nothing leads there from outside of sessions"


# ---- a worker's words ---------------------------------------------------------------------------


def test_a_worker_that_finds_no_scheduler_ends_with_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, worker.__file__, f"tls://127.0.0.1:{port}"],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"No scheduler answers at tls://127.0.0.1:{port} (Connection refused)")
    assert time.monotonic() - began < 60


def test_a_worker_listens_where_it_reaches_its_scheduler():
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        assert worker.reach(f"tls://127.0.0.1:{port}") == "127.0.0.1"


def test_what_only_the_node_knows_is_added():
    given = ["tls://192.0.2.1:40000", "--name", "one"]
    assert worker.arguments(given, "192.0.2.2", {"_CONDOR_SCRATCH_DIR": "/scratch/1"}) == [
        *given, "--host", "192.0.2.2", "--local-directory", "/scratch/1", "--no-dashboard",
    ]  # fmt: skip
    own = [*given, "--interface", "ib0", "--local-directory", "/fast", "--dashboard"]
    assert worker.arguments(own, "192.0.2.2", {}) == own
