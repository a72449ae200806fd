"""Where workers reach a notebook: by a connection that is really made."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchtop_batch import network, place
from benchtop_batch.network import UnavailableError

SINFO = "cpu-1    6823    \ngpu-1    6821    \n\nn/a n/a\n"
STATUS = "<10.0.0.6:9618?addrs=10.0.0.6-9618&alias=ep-1> ep-1\n<[fd00::7]:9618?sock=x> ep-2\nundefined x\n"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_found", {})
    monkeypatch.delenv(place.CONFINED, raising=False)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A node of Slurm that listens, behind one that does not."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        lines = "".join(f"127.0.0.1 {held.getsockname()[1]}\\n" for held in (closed, listening))
        (tmp_path / "sinfo").write_text(f"#!/bin/sh\nprintf '{lines}'\n")
        (tmp_path / "sinfo").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        yield listening


def test_nodes_are_read_of_what_each_batch_system_says():
    assert network.of_slurm(SINFO) == [(("cpu-1",), 6823), (("gpu-1",), 6821)]
    assert network.of_condor(STATUS) == [(("10.0.0.6", "ep-1"), 9618), (("fd00::7", "ep-2"), 9618)]


def test_the_address_is_the_one_that_a_connection_to_a_node_leaves_by(node: socket.socket):
    assert network.address("slurm") == "127.0.0.1"


def test_outside_of_the_pools_own_network_a_node_is_reached_by_its_name(node: socket.socket, tmp_path: Path):
    port = node.getsockname()[1]
    (tmp_path / "condor_status").write_text(f"#!/bin/sh\necho '<0.0.0.1:{port}?sock=x> localhost'\n")
    (tmp_path / "condor_status").chmod(0o755)
    assert network.address("condor") == "127.0.0.1"


def test_of_a_host_itself_is_asked_last_by_which_address_it_is_reached(
    node: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sinfo").write_text("#!/bin/sh\nprintf 'cpu-1 1\\ngpu-1 2\\ngpu-2 3\\n'\n")
    monkeypatch.setattr(socket, "gethostname", lambda: "cpu-1.example.org")
    assert [host for (host,), _ in network._nodes("slurm")] == ["gpu-1", "gpu-2", "cpu-1"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("echo 127.0.0.1 1", r"The nodes of Slurm cannot reach this session on .*: start a session"),
        ("exit 1", "Slurm names no node that answers"),
        ("true", "Slurm names no node that answers"),
    ],
)
def test_where_no_node_answers_one_is_told_at_once_and_may_try_again(
    node: socket.socket, tmp_path: Path, answer: str, words: str
):
    told = (tmp_path / "sinfo").read_text()
    (tmp_path / "sinfo").write_text(f"#!/bin/sh\n{answer}\n")
    with pytest.raises(UnavailableError, match=words):
        network.address("slurm")
    (tmp_path / "sinfo").write_text(told)
    assert network.address("slurm") == "127.0.0.1"


def test_a_guest_is_told_what_their_jobs_reach(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(place, "clusters", lambda: ["slurm"])
    assert network.choose("slurm") == "slurm"
    monkeypatch.setenv(place.CONFINED, "1")
    with pytest.raises(UnavailableError, match="reach nothing but the hub and the internet proxy"):
        network.choose("slurm")


def test_the_nearest_batch_system_is_chosen_or_the_one_that_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(place, "clusters", lambda: ["condor", "slurm"])
    assert network.choose(None) == "condor"
    assert network.choose("slurm") == "slurm"


@pytest.mark.parametrize(
    ("there", "asked", "words"),
    [
        ([], None, r"No jobs can be sent to a batch system from here\. You are disabled\."),
        (
            ["condor"],
            "slurm",
            r"to Slurm from here\. You are disabled\. From here you can use HTCondor: “condor”\.",
        ),
        (["condor"], "pbs", r"no batch system “pbs”: choose slurm or condor"),
    ],
)
def test_without_a_way_to_submit_the_reason_is_said(
    there: list[str], asked: str | None, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(place, "clusters", lambda: there)
    monkeypatch.setattr(place, "reason", lambda: "You are disabled.")
    with pytest.raises(UnavailableError, match=words):
        network.choose(asked)  # type: ignore[arg-type]


def test_the_other_batch_system_is_named_as_the_library_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sbatch").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JWT", "x")
    spelled = {"slurm": "SLURMCluster()", "condor": "HTCondorCluster()"}
    assert network.choose("slurm", spelled) == "slurm"
    with pytest.raises(UnavailableError, match=r"From here you can use Slurm: SLURMCluster\(\)\.$"):
        network.choose("condor", spelled)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("condor", r"sent to HTCondor from here\. Your account was disabled\.$"),
        (
            None,
            r"to a batch system from here\. Slurm: the hub is away\. HTCondor: Your account was disabled\.$",
        ),
    ],
)
def test_of_one_batch_system_is_said_what_the_session_knows_of_that_one(
    tmp_path: Path, asked: str | None, words: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "why").write_text("Slurm: the hub is away.\nHTCondor: Your account was disabled.\n")
    monkeypatch.setattr(place, "clusters", lambda: [])
    monkeypatch.setenv(place.CREDENTIALS, str(tmp_path))
    with pytest.raises(UnavailableError, match=words):
        network.choose(asked)  # type: ignore[arg-type]


def test_a_notebook_shows_the_sentence_alone():
    assert UnavailableError("Why.")._render_traceback_() == ["UnavailableError: Why."]
