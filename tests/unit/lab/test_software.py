"""The software area as sessions read it."""

from collections.abc import Collection
from pathlib import Path

import pytest

from benchtop_lab import software
from support import software_examples as examples


@pytest.mark.parametrize(("groups", "cluster"), examples.SEEN)
def test_everybody_sees_what_is_for_them_on_their_cluster(
    tmp_path: Path, groups: Collection[str], cluster: str
):
    area = examples.make(tmp_path)
    found = software.environments(area, groups=groups, cluster=cluster)
    assert [known.name for known in found] == examples.SEEN[frozenset(groups), cluster]


def test_an_environment_is_its_current_version_by_a_folder_that_stays(tmp_path: Path):
    known = software.find("base", root=examples.make(tmp_path))
    assert known
    assert (known.version, known.title) == ("2026.2", "Base")
    assert known.folder == tmp_path / "base/2026.2"
    old = software.find("base", "2026.1", root=tmp_path)
    assert old
    assert old.title == "Base (old)"


def test_what_is_published_is_found_at_the_next_look(tmp_path: Path):
    area = examples.make(tmp_path)
    assert "new" not in [known.name for known in software.environments(area, groups=(), cluster="hpc")]
    examples.put(area / "new/1/environment.json", examples.json.dumps(examples.about("new/1", {})))
    (area / "new/current").symlink_to("1")
    assert "new" in [known.name for known in software.environments(area, groups=(), cluster="hpc")]


def test_a_broken_entry_is_named_in_the_log_and_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    assert software.environments(examples.make(tmp_path), groups=(), cluster="")
    for path in examples.BROKEN:
        assert f"environment {path.partition('/')[0]} left out" in caplog.text


@pytest.mark.parametrize("name", ["", "..", "../base", "base/2026.1", ".building", "nowhere", "dangling"])
def test_no_name_leads_elsewhere(tmp_path: Path, name: str):
    assert software.find(name, root=examples.make(tmp_path)) is None


def test_without_an_area_there_is_nothing(tmp_path: Path):
    assert software.environments(tmp_path / "none", groups=(), cluster="") == []


def test_a_folder_of_the_builders_that_nobody_else_may_open_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    area = examples.make(tmp_path)
    before = software.environments(area, groups=(), cluster="")
    assert before
    (area / ".cache").mkdir(mode=0o700)
    is_symlink = Path.is_symlink

    def closed(path: Path) -> bool:  # as for somebody who is not root
        if path.parent.name == ".cache":
            raise PermissionError
        return is_symlink(path)

    monkeypatch.setattr(Path, "is_symlink", closed)
    assert software.environments(area, groups=(), cluster="") == before
