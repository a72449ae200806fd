"""The facility's tutorials: what they say of themselves, and the copies in a home, in every state."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchtop_lab.tutorials import copies, notebooks
from benchtop_lab.tutorials.copies import NoCopyError
from benchtop_lab.tutorials.notebooks import Notebook, read
from benchtop_lab.tutorials.shelf import Shelf

LAB = Path(__file__).parents[3] / "lab"
NAME = "01-first-steps"


def put(file: Path, *sources: str, **metadata: object) -> Path:
    """A notebook with these cells."""
    file.parent.mkdir(exist_ok=True)
    cells = [
        {"cell_type": "code", "id": str(number), "metadata": {}, "source": source.splitlines(keepends=True),
            "outputs": [], "execution_count": None}
        for number, source in enumerate(sources)
    ]  # fmt: skip
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    file.write_text(json.dumps(document))
    return file


@pytest.fixture
def tutorial(tmp_path: Path) -> Notebook:
    """The facility's."""
    return read(put(tmp_path / "shipped" / f"{NAME}.ipynb", "# One\nprint(1)", "print(2)"))


@pytest.fixture
def newer(tmp_path: Path) -> Notebook:
    """… after it was changed."""
    return read(put(tmp_path / "newer" / f"{NAME}.ipynb", "# One\nprint(1)", "print(2, 'new')"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the copies; it is not there yet."""
    return tmp_path / "tutorials"


def edit(file: Path, source: str) -> str:
    """What a person does in JupyterLab: another cell, its output, and all metadata kept. The new text."""
    document = json.loads(file.read_text())
    document["cells"][0] |= {"source": source, "outputs": [{"output_type": "stream"}], "execution_count": 7}
    file.write_text(json.dumps(document))
    return file.read_text()


# ---- what the facility ships ---------------------------------------------------------------------------


def test_each_tutorial_says_what_a_list_of_them_needs():
    found = notebooks.shipped(LAB / "tutorials")
    assert [name[:2] for name in found] == [f"{number:02}" for number in range(1, 10)]
    for name, tutorial in found.items():
        told = notebooks.described(name, tutorial)
        assert told["title"] != name, f"{name} begins with a heading"
        assert str(told["about"]).endswith("."), f"{name} says in a sentence what it is about"
        assert told["kernel"], name
        assert set(tutorial.about["systems"]) <= set(notebooks.SYSTEMS), name
        assert 1 <= tutorial.about["minutes"] <= 3, f"{name} takes three minutes at most"


def test_a_tutorial_is_shipped_without_outputs_and_with_ids_of_its_cells():
    for file in (LAB / "tutorials").glob("*.ipynb"):
        cells: list[dict[str, Any]] = json.loads(file.read_text())["cells"]
        assert len({cell["id"] for cell in cells}) == len(cells), file.name
        ran = [
            cell
            for cell in cells
            if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"])
        ]
        assert not ran, file.name


# ---- copies --------------------------------------------------------------------------------------------


def test_the_first_opening_makes_a_copy_that_says_what_it_was_made_from(folder: Path, tutorial: Notebook):
    assert copies.look(folder, NAME, tutorial).file is None
    file = copies.make(folder, NAME, tutorial)
    assert file == folder / f"{NAME}.ipynb"
    copy = read(file)
    assert (copy.cells, copy.made_from) == (tutorial.cells, tutorial.version)
    state = copies.look(folder, NAME, tutorial)
    assert (state.file, state.newer, state.edited) == (file, False, False)


def test_a_copy_that_was_changed_and_run_is_opened_again_as_it_is(folder: Path, tutorial: Notebook):
    file = copies.make(folder, NAME, tutorial)
    mine = edit(file, "mine")
    state = copies.look(folder, NAME, tutorial)
    assert (state.file, state.newer, state.edited) == (file, False, True)
    assert file.read_text() == mine


def test_a_newer_version_is_offered_beside_a_changed_copy_with_what_differs(
    folder: Path, tutorial: Notebook, newer: Notebook
):
    file = copies.make(folder, NAME, tutorial)
    mine = edit(file, "# One\nprint('mine')")
    state = copies.look(folder, NAME, newer)
    assert (state.file, state.newer, state.edited) == (file, True, True)
    lines = copies.difference(read(file), newer)
    assert [line for line in lines if line[0] in "+-"] == [
        "-print('mine')", "+print(1)", "-print(2)", "+print(2, 'new')"
    ]  # fmt: skip
    taken = copies.make(folder, NAME, newer)
    assert taken.name == f"{NAME}-2.ipynb"
    assert file.read_text() == mine
    assert copies.look(folder, NAME, newer).file == taken, "the facility's own version is opened from now on"
    third = copies.make(folder, NAME, newer)
    assert third.name == f"{NAME}-3.ipynb"


def test_a_copy_that_nobody_changed_is_told_from_one_that_somebody_did(
    folder: Path, tutorial: Notebook, newer: Notebook
):
    copies.make(folder, NAME, tutorial)
    state = copies.look(folder, NAME, newer)
    assert (state.newer, state.edited) == (True, False)


def test_a_notebook_that_was_put_there_by_hand_counts_by_what_is_in_it(folder: Path, tutorial: Notebook):
    put(folder / f"{NAME}.ipynb", *(source for _, source in tutorial.cells))
    assert not copies.look(folder, NAME, tutorial).newer
    put(folder / f"{NAME}.ipynb", "something else")
    state = copies.look(folder, NAME, tutorial)
    assert (state.newer, state.edited) == (True, True)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"cells": 1, "metadata": {}}', "[" * 100_000])
def test_what_is_no_notebook_stays_and_a_copy_is_made_beside_it(
    folder: Path, tutorial: Notebook, content: str
):
    folder.mkdir()
    broken = folder / f"{NAME}.ipynb"
    broken.write_text(content)
    state = copies.look(folder, NAME, tutorial)
    assert (state.file, state.unreadable) == (None, {broken.name: "is not a notebook"})
    assert copies.make(folder, NAME, tutorial).name == f"{NAME}-2.ipynb"
    assert broken.read_text() == content


def test_a_name_that_a_pipe_a_folder_or_a_link_to_nothing_has_is_passed_over(
    folder: Path, tutorial: Notebook
):
    folder.mkdir()
    os.mkfifo(folder / f"{NAME}.ipynb")
    (folder / f"{NAME}-2.ipynb").mkdir()
    (folder / f"{NAME}-3.ipynb").symlink_to("nothing")
    state = copies.look(folder, NAME, tutorial)
    assert (state.file, len(state.unreadable)) == (None, 3)
    assert copies.make(folder, NAME, tutorial).name == f"{NAME}-4.ipynb"
    assert not (folder / "nothing").exists()


def test_a_full_home_is_told_in_a_sentence_and_leaves_no_half_of_a_copy(
    folder: Path, tutorial: Notebook, monkeypatch: pytest.MonkeyPatch
):
    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(NoCopyError, match="no room in your home folder"):
        copies.make(folder, NAME, tutorial)
    assert list(folder.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_told_in_a_sentence(folder: Path, tutorial: Notebook):
    folder.write_text("mine")
    with pytest.raises(NoCopyError, match="~/tutorials, which is there and is no folder"):
        copies.make(folder, NAME, tutorial)
    assert copies.look(folder, NAME, tutorial).file is None
    assert folder.read_text() == "mine"


def test_other_files_of_the_folder_are_no_copies(folder: Path, tutorial: Notebook):
    for name in (f"{NAME}-copy.ipynb", f"{NAME}-0.ipynb", f"{NAME}.ipynb.bak", f"x{NAME}.ipynb"):
        put(folder / name, "x")
    assert copies.look(folder, NAME, tutorial).file is None


def test_large_notebooks_are_compared_as_far_as_it_takes_no_time(folder: Path, tutorial: Notebook):
    large = read(put(folder / "large.ipynb", "\n".join(f"line {n}" for n in range(100_000))))
    lines = copies.difference(large, tutorial)
    assert len(lines) <= copies.MOST + 2
    assert lines[-1] == f" Only the first {copies.MOST} lines were compared."


# ---- as the list shows them ----------------------------------------------------------------------------


def test_the_list_goes_from_a_first_copy_to_a_newer_version_beside_it(
    tmp_path: Path, folder: Path, tutorial: Notebook, newer: Notebook
):
    def told(shelf: Shelf) -> tuple[object, object, object]:
        (one,) = shelf.listed()
        return one["path"], one["newer"], one["edited"]

    before, now = (Shelf(tmp_path / version, folder) for version in ("shipped", "newer"))
    assert told(before) == ("", False, False)
    assert before.open(NAME, new=False) == {"path": f"tutorials/{NAME}.ipynb", "message": ""}
    edit(folder / f"{NAME}.ipynb", "mine")
    assert told(before) == (f"tutorials/{NAME}.ipynb", False, True)
    assert told(now) == (f"tutorials/{NAME}.ipynb", True, True)
    assert "-mine" in now.difference(NAME)["lines"]  # type: ignore[operator]
    assert now.open(NAME, new=False)["path"] == f"tutorials/{NAME}.ipynb", "it is opened as it is"
    assert now.open(NAME, new=True)["path"] == f"tutorials/{NAME}-2.ipynb"
    assert told(now) == (f"tutorials/{NAME}-2.ipynb", False, False)


def test_what_there_is_none_of_is_told_as_such(tmp_path: Path, folder: Path, tutorial: Notebook):
    shelf = Shelf(tmp_path / "shipped", folder)
    for ask in (lambda: shelf.open("no-such-one", new=True), lambda: shelf.difference(NAME)):
        with pytest.raises(KeyError):
            ask()
    assert not folder.exists()
    assert Shelf(tmp_path / "nowhere", folder).listed() == []
