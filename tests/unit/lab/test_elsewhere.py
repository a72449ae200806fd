"""What is open in one session is known in the person's others, for as long as it is."""

from pathlib import Path

from benchtop_lab.session.elsewhere import FRESH, Board
from benchtop_lab.session.names import in_words, own_name

NOW = 1_800_000_000.0


def test_a_document_that_another_session_shows_is_named_with_that_session(tmp_path: Path):
    here, there = Board(tmp_path, "hpc"), Board(tmp_path, "htc-gpu")
    there.shown("page", ["a.ipynb", "b.ipynb"], NOW)
    there.write([], NOW)
    here.shown("page", ["b.ipynb", "c.ipynb"], NOW)
    here.write([], NOW)
    assert here.others(["b.ipynb", "c.ipynb"], NOW) == {"b.ipynb": ["htc-gpu"]}
    assert there.others(["a.ipynb", "b.ipynb"], NOW) == {"b.ipynb": ["hpc"]}


def test_what_a_page_does_not_show_any_more_is_not_named(tmp_path: Path):
    here, there = Board(tmp_path, "hpc"), Board(tmp_path, "htc")
    there.shown("page", ["a.ipynb"], NOW)
    there.write([], NOW)
    assert here.others(["a.ipynb"], NOW + 1)
    there.shown("page", [], NOW + 2)
    there.write([], NOW + 2)
    assert here.others(["a.ipynb"], NOW + 3) == {}


def test_a_page_that_is_gone_is_forgotten_and_a_notebook_whose_kernel_runs_is_not(tmp_path: Path):
    here, there = Board(tmp_path, "hpc"), Board(tmp_path, "htc")
    there.shown("page", ["a.ipynb", "b.ipynb"], NOW)
    later = NOW + FRESH + 1
    there.write(["b.ipynb"], later)
    assert here.others(["a.ipynb", "b.ipynb"], later) == {"b.ipynb": ["htc"]}


def test_a_session_that_ended_without_a_word_is_not_named_for_long(tmp_path: Path):
    here, there = Board(tmp_path, "hpc"), Board(tmp_path, "htc")
    there.shown("page", ["a.ipynb"], NOW)
    there.write([], NOW)
    assert here.others(["a.ipynb"], NOW + FRESH + 1) == {}


def test_a_home_that_takes_nothing_or_holds_nonsense_costs_no_more_than_the_warning(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.touch()
    board = Board(blocked, "hpc")
    board.shown("page", ["a.ipynb"], NOW)
    board.write([], NOW)
    assert board.others(["a.ipynb"], NOW) == {}
    here = Board(tmp_path, "hpc")
    here.folder.mkdir(parents=True)
    for name, content in (("x", "{"), ("y", "[]"), ("z", '{"at": "now", "paths": 3}')):
        (here.folder / f"{name}.json").write_text(content)
    assert here.others(["a.ipynb"], NOW) == {}


def test_each_server_of_a_person_has_a_name_of_its_own():
    names = [
        own_name({"BENCHTOP_CLUSTER": cluster, "JUPYTERHUB_SERVER_NAME": server})
        for cluster in ("hpc", "htc")
        for server in ("", "gpu-test")
    ]
    assert names == ["hpc", "hpc-gpu-test", "htc", "htc-gpu-test"]
    assert [in_words(name) for name in names] == ["HPC", "HPC (gpu-test)", "HTC", "HTC (gpu-test)"]
