"""A change that would take a running server from its owner is refused before anything is touched."""

from collections.abc import Callable
from dataclasses import replace
from subprocess import CompletedProcess
from typing import Any

import pytest

from benchtop import topology
from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import cells, compose, notices
from benchtop.stack.compose import Container

ALL = [cell for cluster in topology.CLUSTERS for cell in topology.every_cell(cluster)]
# what the hubs' database says: alice belongs to the second of three cells, dave to the first of any number
ROWS = "hpc-2\tpeople\t4\t\nhpc-2\tserver\talice\t\nhtc-1\tserver\tdave\tsecond\n"


@pytest.fixture
def facility(monkeypatch: pytest.MonkeyPatch, container: Callable[..., Container]) -> Callable[..., None]:
    """A facility that has these services, and servers as in ROWS."""

    def run(settings: Settings, *words: str, **_: Any) -> CompletedProcess[bytes]:
        asked = words[words.index("postgres") + 1 :]
        assert asked[0] == "psql"
        return CompletedProcess(words, 0, ROWS.encode(), b"")

    def make(*names: str) -> None:
        found = [container(service=name, state="running", health="healthy") for name in names]
        monkeypatch.setattr(compose, "containers", lambda project: found)
        monkeypatch.setattr(compose, "run", run)

    return make


def test_what_a_cell_holds_is_read_from_its_database(settings: Settings, facility: Callable[..., None]):
    facility("postgres")
    hpc, htc = cells.look(settings, ["hpc-2", "htc-1"])
    assert (hpc.people, [str(one) for one in hpc.servers]) == (4, ["alice"])
    assert (htc.people, [str(one) for one in htc.servers]) == (0, ["dave/second"])


def test_fewer_cells_are_refused_with_those_who_would_move(settings: Settings, facility: Callable[..., None]):
    facility("postgres", *ALL)
    with pytest.raises(Problem, match="CELLS=2") as problem:
        cells.refuse_moves(replace(settings, cells=2))
    assert problem.value.details == ["alice (hpc-2 → hpc-1)"]


def test_so_is_leaving_a_cluster_out_on_which_servers_run(settings: Settings, facility: Callable[..., None]):
    facility("postgres", *ALL)
    with pytest.raises(Problem, match="CLUSTERS=hpc") as problem:
        cells.refuse_moves(replace(settings, clusters=("hpc",)))
    assert problem.value.details == ["dave/second (htc-1 → none)"]


def test_the_same_settings_are_fine_and_so_is_a_facility_that_is_down(
    settings: Settings, facility: Callable[..., None]
):
    facility("postgres", *ALL)
    cells.refuse_moves(settings)
    facility()
    cells.refuse_moves(replace(settings, cells=1))


@pytest.mark.parametrize("message", ["", "   ", "x" * 501, "bell\a"])
def test_a_message_that_tells_people_nothing_is_refused(settings: Settings, message: str):
    with pytest.raises(Problem, match="Give the message for the people of hpc-1"):
        cells.stop(settings, "hpc-1", message)
    assert not notices.notice_file(settings, "hpc-1").exists()


@pytest.mark.parametrize("cell", ["hpc-4", "hpc", "../hpc-1", ""])
def test_a_cell_that_is_not_there_is_refused_with_those_that_are(settings: Settings, cell: str):
    with pytest.raises(Problem, match=r"Cells: hpc-1, .*htc-3\."):
        cells.stop(settings, cell, "Back at noon.")
    with pytest.raises(Problem, match=r"Cells: hpc-1"):
        cells.start(settings, cell)
