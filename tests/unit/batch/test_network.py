"""Where workers reach a notebook: by a connection that is really made."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchtop_batch import network, place
from benchtop_batch.network import UnavailableError

SINFO = "cpu-1    6823    \ngpu-1    6821    \n\nn/a n/a\n"
STATUS = "<10.0.0.6:9618?addrs=10.0.0.6-9618&alias=ep-1>\n<[fd00::7]:9618?sock=x>\nundefined\n"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_found", {})
    monkeypatch.delenv(network.CONFINED, raising=False)


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
    assert network.of_slurm(SINFO) == [("cpu-1", 6823), ("gpu-1", 6821)]
    assert network.of_condor(STATUS) == [("10.0.0.6", 9618), ("fd00::7", 9618)]


def test_the_address_is_the_one_that_a_connection_to_a_node_leaves_by(node: socket.socket):
    assert network.address("slurm") == "127.0.0.1"


def test_where_no_node_answers_one_is_told_at_once_and_may_try_again(node: socket.socket, tmp_path: Path):
    told = (tmp_path / "sinfo").read_text()
    (tmp_path / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(
        UnavailableError, match=r"The nodes of Slurm cannot reach this session on .*: start a session"
    ):
        network.address("slurm")
    (tmp_path / "sinfo").write_text(told)
    assert network.address("slurm") == "127.0.0.1"


def test_a_guest_is_told_what_their_jobs_reach(node: socket.socket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(network.CONFINED, "1")
    with pytest.raises(UnavailableError, match="reach nothing but the hub"):
        network.address("slurm")


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
