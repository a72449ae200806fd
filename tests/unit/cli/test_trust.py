"""make trust: says how, and installs only where it was asked to."""

import stat
from pathlib import Path

import pytest

from benchtop.console import Problem
from benchtop.host import engine
from benchtop.host import trust as trusting
from benchtop.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A checkout whose CA exists, and a person who is not root and has no tools."""
    (tmp_path / "compose.yaml").write_text("name: trusted\n")
    (tmp_path / ".env").write_text((ROOT / ".env").read_text())
    (tmp_path / ".benchtop/ca").mkdir(parents=True)
    (tmp_path / ".benchtop/ca/ca.pem").write_text("the CA")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(engine, "is_root", lambda: False)
    return Settings.load(tmp_path, {})


def certutil(tmp_path: Path) -> Path:
    """A certutil that only writes down how it was called."""
    calls = tmp_path / "calls"
    tool = tmp_path / "bin" / "certutil"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return calls


def test_it_says_where_the_ca_is_and_changes_nothing(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    calls = certutil(tmp_path)
    trusting.trust(settings, install=False)
    shown = capsys.readouterr().out
    assert "ca.pem" in shown
    for system in ("Chrome and Edge on Windows", "Safari on macOS", "Chromium and Edge on Linux", "Firefox"):
        assert system in shown
    assert not calls.exists()
    assert not (tmp_path / "home").exists()


def test_install_gives_chromiums_store_the_ca(settings: Settings, tmp_path: Path):
    calls = certutil(tmp_path)
    trusting.trust(settings, install=True)
    assert f"-i {settings.state}/ca/ca.pem" in calls.read_text().splitlines()[-1]


def test_install_without_any_tool_says_what_to_install(settings: Settings):
    with pytest.raises(Problem, match="libnss3-tools"):
        trusting.trust(settings, install=True)


def test_without_a_ca_it_says_what_makes_one(settings: Settings):
    (settings.state / "ca/ca.pem").unlink()
    with pytest.raises(Problem, match="make up"):
        trusting.trust(settings, install=False)
