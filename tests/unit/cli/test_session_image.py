"""The images of sessions in containers: handed over when they changed, and known to the gateway by digest."""

import dataclasses
import json
import stat
from typing import Any

import pytest

from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import compose, session_image


class Engines:
    """Both engines: what this machine has, and what was handed over."""

    def __init__(self) -> None:
        self.built = {"benchtop/session": "sha256:" + "1" * 64, "mine/analysis:1": "sha256:" + "2" * 64}
        self.there: list[str] = []
        self.streamed: list[str] = []

    def stream(self, _: Settings, tag: str, name: str) -> str:
        """Hand one over."""
        self.streamed.append(f"{tag} as {name}")
        self.there.append(self.built[tag].replace("sha256:", "sha256:d")[:71])
        return self.there[-1]

    def tool(self, _: Settings, *words: str) -> str:
        """The other engine's own program."""
        if words[0] == "keep":
            self.there = [digest for digest in self.there if digest in words]
        return "\n".join(self.there)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    found = Engines()

    def image_ids(tags: dict[str, Any]) -> dict[str, str]:
        return {tag: found.built.get(tag, "") for tag in tags}

    monkeypatch.setattr(session_image.images, "image_ids", image_ids)
    monkeypatch.setattr(session_image, "_stream", found.stream)
    monkeypatch.setattr(session_image, "_tool", found.tool)
    return found


@pytest.fixture
def settings(settings: Settings) -> Settings:
    session_image.prepare(settings)
    return settings


def listed(settings: Settings) -> dict[str, str]:
    """What the gateway reads."""
    path = settings.state / "engine/images.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    return {one["name"]: one["digest"] for one in json.loads(path.read_text())["images"]}


def test_an_image_is_handed_over_once(settings: Settings, engines: Engines):
    assert session_image.hand_over(settings)
    assert engines.streamed == ["benchtop/session as benchtop/session:111111111111"]
    assert list(listed(settings).values()) == engines.there
    assert not session_image.hand_over(settings)
    assert len(engines.streamed) == 1


def test_a_new_one_takes_the_place_of_the_old(settings: Settings, engines: Engines):
    session_image.hand_over(settings)
    engines.built["benchtop/session"] = "sha256:" + "3" * 64
    assert session_image.hand_over(settings)
    assert list(listed(settings)) == ["benchtop/session:333333333333"]
    assert len(engines.there) == 1


def test_an_engine_that_has_lost_its_images_is_given_them_again(settings: Settings, engines: Engines):
    session_image.hand_over(settings)
    engines.there.clear()
    assert session_image.hand_over(settings)
    assert len(engines.streamed) == 2


def test_a_sites_own_images_come_behind_the_facilitys(settings: Settings, engines: Engines):
    session_image.hand_over(settings)
    more = dataclasses.replace(settings, engine_images=("mine/analysis:1",))
    assert session_image.hand_over(more)
    assert list(listed(settings)) == ["benchtop/session:111111111111", "mine/analysis:1"]
    assert len(engines.streamed) == 2, "only what was not there"
    assert session_image.hand_over(settings), "taken off the list, it goes"
    assert len(engines.there) == 1


def test_a_tag_that_moved_is_handed_over_again(settings: Settings, engines: Engines):
    more = dataclasses.replace(settings, engine_images=("mine/analysis:1",))
    session_image.hand_over(more)
    before = listed(settings)["mine/analysis:1"]
    engines.built["mine/analysis:1"] = "sha256:" + "4" * 64
    session_image.hand_over(more)
    assert listed(settings)["mine/analysis:1"] != before


def test_an_image_that_nobody_built_is_named(settings: Settings, engines: Engines):
    more = dataclasses.replace(settings, engine_images=("mine/other:1",))
    with pytest.raises(Problem, match="mine/other:1"):
        session_image.hand_over(more)
    assert engines.streamed == []


def test_what_goes_wrong_is_told_at_the_end(settings: Settings, engines: Engines):
    engines.built.clear()
    finish = session_image.begin(settings)
    with pytest.raises(Problem, match="benchtop/session"):
        finish()


def test_where_there_is_no_engine_nothing_is_built_or_handed_over(settings: Settings, engines: Engines):
    off = dataclasses.replace(settings, engine=False)
    session_image.begin(off)()
    assert (session_image.profiles(off), engines.streamed) == ((), [])
    assert session_image.profiles(settings) == ("session",)
    assert "engine" not in compose.environment(off)["COMPOSE_PROFILES"].split(",")
    assert compose.environment(off)["BENCHTOP_ENGINE"] == "off"
