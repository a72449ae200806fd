"""The list of people whose login is disabled."""

from pathlib import Path

import pytest

from benchtop_minter.leavers import keep, listed


def test_the_list_names_exactly_who_is_disabled_now(tmp_path: Path):
    keep(tmp_path, {"alice", "bob"})
    assert listed("alice", tmp_path)
    keep(tmp_path, {"bob", "carol"})
    assert [listed(name, tmp_path) for name in ("alice", "bob", "carol")] == [False, True, True]


def test_what_changes_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for _ in range(2):
        keep(tmp_path, {"alice"})
    keep(tmp_path, set())
    assert [record.getMessage() for record in caplog.records] == [
        "disabled person=alice",
        "enabled person=alice",
    ]
