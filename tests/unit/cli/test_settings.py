"""Settings come from .env and the environment; one that cannot work is refused with a sentence."""

from pathlib import Path

import pytest

from benchtop.console import Problem, duration
from benchtop.settings import Settings

ROOT = Path(__file__).parents[3]
ENV = """\
BENCHTOP_NAME=jupyter.localhost  # a comment, as Compose allows it
BENCHTOP_LOGIN_NAME=login.jupyter.localhost
BENCHTOP_BIND=127.0.0.1
BENCHTOP_PORT=8443
BENCHTOP_BASE=benchtop-base:trixie
BENCHTOP_SUPPORT=help@site.example
BENCHTOP_SOFTWARE=base
CLUSTERS=hpc,htc
CELLS=3
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / ".env").write_text(ENV)
    (tmp_path / "compose.yaml").write_text("name: facility\n")
    return tmp_path


def test_the_file_is_read(checkout):
    settings = Settings.load(checkout, {})
    assert settings.url == "https://jupyter.localhost:8443"
    assert settings.login_url == "https://login.jupyter.localhost:8443"
    assert settings.project == "facility"


def test_the_environment_wins(checkout):
    settings = Settings.load(checkout, {"BENCHTOP_PORT": "9443", "COMPOSE_PROJECT_NAME": "mine"})
    assert (settings.port, settings.project) == (9443, "mine")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("BENCHTOP_PORT", "0"),
        ("BENCHTOP_PORT", "65536"),
        ("BENCHTOP_PORT", "8443 "[::-1] + "x"),
        ("BENCHTOP_PORT", "²"),
        ("BENCHTOP_NAME", "Not A Host"),
        ("BENCHTOP_NAME", "-a.example"),
        ("BENCHTOP_NAME", ""),
        ("BENCHTOP_LOGIN_NAME", "jupyter.localhost"),
        ("COMPOSE_PROJECT_NAME", "No Such"),
        ("CLUSTERS", "hpc,grid"),
        ("CLUSTERS", ","),
        ("CLUSTERS", ""),
        ("BENCHTOP_SUPPORT", "who knows"),
        ("BENCHTOP_SOFTWARE", "base hep"),
        ("BENCHTOP_SOFTWARE", "../base"),
        ("BENCHTOP_SUPPORT", ""),
        ("BENCHTOP_EGRESS", "maybe"),
        ("BENCHTOP_ENGINE", "maybe"),
        ("BENCHTOP_ENGINE_IMAGES", "analysis"),
        ("BENCHTOP_ENGINE_IMAGES", "mine/analysis:1 ../x:1"),
        ("BENCHTOP_ENGINE_IMAGES", "somewhere.example/analysis:1"),
        ("CELLS", "0"),
        ("CELLS", "4"),
        ("CELLS", "03"),
        ("CELLS", "three"),
    ],
)
def test_a_value_that_cannot_work_is_named(checkout, key, value):
    with pytest.raises(Problem, match=key):
        Settings.load(checkout, {key: value})


@pytest.mark.parametrize(("text", "on"), [("on", True), ("off", False), ("", True)])
def test_the_way_out_is_there_unless_it_is_switched_off(checkout, text, on):
    assert Settings.load(checkout, {"BENCHTOP_EGRESS": text}).egress is on


def test_a_container_engine_is_there_unless_it_is_switched_off(checkout):
    assert Settings.load(checkout, {}).engine
    assert not Settings.load(checkout, {"BENCHTOP_ENGINE": "off"}).engine
    assert Settings.load(checkout, {}).engine_images == ()
    more = Settings.load(checkout, {"BENCHTOP_ENGINE_IMAGES": "mine/analysis:1, other:2.0"})
    assert more.engine_images == ("mine/analysis:1", "other:2.0")


@pytest.mark.parametrize("text", ["htc,hpc", "hpc,htc", " hpc , htc", "hpc,hpc,htc"])
def test_the_order_of_the_clusters_does_not_matter(checkout, text):
    assert Settings.load(checkout, {"CLUSTERS": text}).clusters == ("hpc", "htc")


def test_one_cluster_alone_is_enough(checkout):
    settings = Settings.load(checkout, {"CLUSTERS": "htc", "CELLS": "1"})
    assert (settings.clusters, settings.cells) == (("htc",), 1)


def test_the_checkout_s_own_settings_are_good():
    settings = Settings.load(ROOT, {})
    assert settings.port == 8443


@pytest.mark.parametrize(
    ("text", "names"),
    [("base", ("base",)), ("base, hep", ("base", "hep")), ("all", ("all",)), ("none", ())],
)
def test_which_environments_are_built_at_the_start(checkout, text, names):
    assert Settings.load(checkout, {"BENCHTOP_SOFTWARE": text}).software == names


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (12.4, "12 s"), (119.4, "119 s"), (185, "3 min 5 s"), (119.9, "2 min 0 s")],
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
