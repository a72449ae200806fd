"""Whom the minter would act for, and what its tokens say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from benchtop_minter.grants import Grant, Person, Refused, check, slurm_token

KEY = bytes(range(32))
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KNOWN = {
    "root": Person("root", 0, frozenset({"root", "cluster-hpc"})),
    "slurm": Person("slurm", 64030, frozenset({"slurm"})),
    "hub": Person("hub", 1410, frozenset({"cluster-hpc"})),
    "alice": Person("alice", 2001, frozenset({"people", "cluster-hpc"})),
    "bob": Person("bob", 2002, frozenset({"people", "cluster-htc"})),
}


def ask(name: str, lifetime: int = 600) -> Grant:
    return check(name, lifetime, group="cluster-hpc", lookup=KNOWN.get)


def test_a_person_of_the_cluster_is_granted():
    assert ask("alice") == Grant(KNOWN["alice"], timedelta(minutes=10))


@pytest.mark.parametrize("name", ["root", "hub"])
def test_an_account_of_the_system_is_refused_even_in_the_right_group(name: str):
    with pytest.raises(Refused, match="system account"):
        ask(name)


def test_slurm_itself_is_refused():
    """Its uid is above the limit: the group is what keeps it out."""
    with pytest.raises(Refused, match="not in the group"):
        ask("slurm")


def test_a_person_whose_login_is_disabled_is_refused():
    """The directory, and so the group, may not know."""
    alice = replace(KNOWN["alice"], disabled=True)
    with pytest.raises(Refused, match="The login of alice is disabled"):
        check("alice", 60, group="cluster-hpc", lookup=lambda name: alice)


def test_a_person_of_another_cluster_is_refused():
    with pytest.raises(Refused, match="bob is not in the group cluster-hpc"):
        ask("bob")


@pytest.mark.parametrize(
    "name", ["mallory", "", "Alice", "alice ", "alice\n", "2001", "../alice", "a" * 32, "älice", "alice\0"]
)
def test_a_name_that_nobody_has_is_refused(name: str):
    with pytest.raises(Refused, match="has no user"):
        ask(name)


def test_a_directory_that_folds_case_does_not_widen_the_answer():
    with pytest.raises(Refused, match="has no user"):
        check(
            "alice",
            60,
            group="cluster-hpc",
            lookup=lambda name: Person("ALICE", 2001, frozenset({"cluster-hpc"})),
        )


@pytest.mark.parametrize("lifetime", [0, -1, 601, 10**30])
def test_a_life_outside_the_limits_is_refused(lifetime: int):
    with pytest.raises(Refused, match="ask for 1 to 600 s"):
        ask("alice", lifetime)


@pytest.mark.parametrize("lifetime", [1, 600])
def test_the_limits_themselves_are_granted(lifetime: int):
    assert ask("alice", lifetime).life == timedelta(seconds=lifetime)


def test_a_slurm_token_names_the_person_and_ends_when_it_should():
    token = slurm_token(KEY)(ask("alice", 90), NOW)
    claims = jwt.decode(token, KEY, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert claims == {"sun": "alice", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 90}


def test_another_key_does_not_verify_it():
    token = slurm_token(KEY)(ask("alice"), NOW)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, bytes(32), algorithms=["HS256"])
