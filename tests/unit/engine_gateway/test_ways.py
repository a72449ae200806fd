"""Where a container can be reached, and where its connections may go."""

from pathlib import Path

import pytest

from engine_gateway.verdicts import Unavailable
from engine_gateway.ways import Way, Ways

NETWORK = "eth1 10.213.72.2"


def ways(folder: Path, confined: str | None = "* gina 2007\n", network: str | None = NETWORK) -> Ways:
    made = Ways(folder / "confined", folder / "network")
    for path, text in ((made.confined, confined), (made.network, network)):
        if text is not None:
            path.write_text(text)
    return made


def test_a_guests_connections_are_bound_to_the_network_of_containers(tmp_path: Path):
    way = ways(tmp_path).of(2007)
    assert (way.address, way.options) == ("10.213.72.2", ("--outbound-if4", "eth1"))


def test_nobody_elses_are(tmp_path: Path):
    way = ways(tmp_path).of(2001)
    assert (way, way.options) == (Way("10.213.72.2"), ())


@pytest.mark.parametrize("broken", ["gina\n", "* gina\n", "* gina 2007 x\n", "\n"])
def test_of_a_list_with_a_line_that_makes_no_sense_everybody_is_a_guest(tmp_path: Path, broken: str):
    assert ways(tmp_path, broken).of(2001).options == ("--outbound-if4", "eth1")


@pytest.mark.parametrize(
    ("confined", "network"),
    [
        (None, NETWORK),
        ("* gina 2007\n", None),
        ("* gina 2007\n", ""),
        ("* gina 2007\n", "eth1"),
        ("* gina 2007\n", "--help 10.213.72.2"),
        ("* gina 2007\n", "eth1 localhost"),
    ],
)
def test_where_it_cannot_be_known_there_is_no_container(
    tmp_path: Path, confined: str | None, network: str | None
):
    for uid in (2001, 2007):
        with pytest.raises(Unavailable):
            ways(tmp_path, confined, network).of(uid)
