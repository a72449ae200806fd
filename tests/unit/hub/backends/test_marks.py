"""A mark is made by one cell, for one person, and by nobody else."""

import pytest

from benchtop_hub.backends.marks import is_ours, mark, owner_of

SECRET = b"0" * 32


def test_a_cell_knows_its_own():
    assert is_ours(mark(SECRET, "hpc-1", "alice"), SECRET, "hpc-1", "alice")


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (mark(SECRET, "hpc-1", "alice"), "bob"),  # whoever reads it puts it on a job of theirs
        (mark(SECRET, "hpc-2", "alice"), "alice"),
        (mark(b"1" * 32, "hpc-1", "alice"), "alice"),  # another facility, with cells of the same names
        ("hpc-1:alice:" + "0" * 32, "alice"),
        (mark(SECRET, "hpc-1", "bob").replace("bob", "alice"), "alice"),
        ("(null)", "alice"),
        ("", "alice"),
        ("é", "alice"),
    ],
)
def test_it_takes_no_other(found, owner):
    assert not is_ours(found, SECRET, "hpc-1", owner)


def test_it_says_whose_session_it_is():
    assert owner_of(mark(SECRET, "hpc-1", "alice")) == "alice"


@pytest.mark.parametrize("found", ["(null)", "", "a comment", "one: two", "1:2:3:4"])
def test_no_mark_says_nothing(found):
    assert owner_of(found) == ""
