"""Twenty rounds of `make soak`: nothing is lost, stuck or doubled, whatever restarts when."""

import secrets
from collections import Counter

import pytest

from benchtop.settings import Settings
from support.soak import OF_ANY, OF_CLUSTER, PEOPLE, Soak, plan

ROUNDS = 20
BOTH = ("hpc", "htc")


def test_a_seed_gives_the_same_rounds_again():
    assert plan("one", 50, BOTH) == plan("one", 50, BOTH) != plan("two", 50, BOTH)


def test_every_kind_of_restart_is_in_twenty_rounds():
    breaks = Counter(one.breaks for one in plan("one", ROUNDS, BOTH) if one.breaks)
    assert set(breaks) == {*OF_ANY, *(part for parts in OF_CLUSTER.values() for part in parts)}


@pytest.mark.parametrize("clusters", [BOTH, ("hpc",), ("htc",)])
def test_nobody_starts_a_session_where_they_may_not(clusters: tuple[str, ...]):
    assert all(
        one.cluster in PEOPLE[one.person] and one.cluster in clusters for one in plan("one", 50, clusters)
    )


def test_no_job_is_unknown_no_server_stuck_and_no_start_double(settings: Settings):
    seed = secrets.token_hex(4)
    result = Soak(settings, seed, print).run(plan(seed, ROUNDS, settings.clusters))
    print(result.table())
    assert result.rounds == ROUNDS
    assert result.up, "the control: sessions came up at all"
    assert (result.unknown, result.stuck, result.double) == ([], [], {}), result.table()
