"""Everybody has one cell of each cluster, and the tool and Apache agree on which."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchtop import topology
from benchtop.settings import Settings
from benchtop.stack import compose, notices

ROOT = Path(__file__).parents[3]
COUNTS = range(1, topology.MOST_CELLS + 1)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,30}", fullmatch=True)


@given(NAMES)
def test_everybody_has_exactly_one_cell(name):
    for count in COUNTS:
        assert topology.cell_of(name, "hpc", count) in topology.every_cell("hpc")[:count]


@given(NAMES)
def test_both_clusters_divide_people_alike(name):
    hpc, htc = (topology.cell_of(name, cluster, 3) for cluster in ("hpc", "htc"))
    assert hpc.removeprefix("hpc") == htc.removeprefix("htc")


@pytest.mark.parametrize("count", COUNTS)
def test_apache_divides_them_by_the_same_table(count):
    macro = re.search(
        rf"<Macro Cells{count} \$cluster>\n(.*?)</Macro>",
        (ROOT / "apache/conf/shares.conf").read_text(),
        re.DOTALL,
    )
    assert macro
    shares = re.findall(r"Use Cell \$cluster \$cluster-(\d) (\S+)\n", macro[1])
    assert [int(number) for number, _ in shares] == list(range(1, count + 1))
    for (_, share), digits in zip(shares, topology.SHARES[count], strict=True):
        assert {digit for digit in "0123456789abcdef" if re.match(share, digit)} == set(digits)


def test_compose_has_every_cell_that_can_be_asked_for():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for cluster in topology.CLUSTERS:
        for cell in topology.every_cell(cluster):
            for name in topology.services_of(cell):
                assert services[name]["profiles"] == [cell]


def test_what_runs_follows_the_settings(settings: Settings):
    settings = replace(settings, clusters=("htc",), cells=2)
    assert settings.cell_names == ("htc-1", "htc-2")
    assert compose.environment(settings, "test")["COMPOSE_PROFILES"] == "htc,htc-1,htc-2,egress,engine,test"


def test_a_cell_out_of_service_is_left_alone_and_its_text_kept(settings: Settings):
    settings = replace(settings, cells=2)
    notices.folder(settings).mkdir(parents=True)
    notices.notice_file(settings, "hpc-2").write_text("Back at noon.\n")
    assert compose.environment(settings)["COMPOSE_PROFILES"] == "hpc,htc,hpc-1,htc-1,htc-2,egress,engine"
    assert notices.in_maintenance(settings) == {"hpc-2": "Back at noon."}
