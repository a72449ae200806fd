"""A home in which nobody can live: whoever makes new people meanwhile would make it anew."""

from collections.abc import Callable

import pytest

from support.owners import ENDED, PLACES, Owner
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/ivan", "htc/ivan", "people", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
    pytest.mark.long,
]


@pytest.mark.parametrize("place", PLACES)
def test_a_home_in_which_nobody_can_live_is_a_sentence(owner_at: Callable[[str], Owner], place: str):
    owner = owner_at(place)
    with owner.home.missing():
        assert f"your home folder {owner.home.path} does not exist on" in owner.fails()
    with owner.home.of_somebody_else():
        assert f"your home folder {owner.home.path} belongs to root, not to you" in owner.fails()
    with owner.home.mode("000"):
        shown = owner.fails()
    assert f"the permissions of your home folder {owner.home.path} (mode 0000) do not let you in" in shown
    assert "Traceback" not in shown
    wait_until(lambda: not owner.left(), timeout=ENDED, what="nothing to be left")
