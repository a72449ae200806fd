"""The list of people whose login is disabled."""

from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import pytest

from benchtop_minter.leavers import keep, listed, read
from support.breaks_off import breaks_off


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


@pytest.mark.parametrize("half", [False, True])
def test_a_question_whose_connection_breaks_off_is_asked_again_at_once_and_once(half: bool):
    with breaks_off(1, half=half) as keycloak:
        assert read(keycloak.url, b"") == b"{}"
        assert len(keycloak.asked) == 2
    with breaks_off(3, half=half) as keycloak:
        with pytest.raises((ConnectionError, HTTPException)):
            read(keycloak.url, b"")
        assert len(keycloak.asked) == 2


def test_an_answer_is_an_answer_though_it_is_a_refusal():
    with breaks_off(0, "503 Service Unavailable") as keycloak:
        with pytest.raises(HTTPError, match="503"):
            read(keycloak.url, b"")
        assert len(keycloak.asked) == 1
