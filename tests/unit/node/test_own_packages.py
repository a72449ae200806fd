"""Environments and images that are built here have a place for what their users install."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support import image_programs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that opens images, which nodes run with a newer Python than a host may have."""
    for name in ("CLONE_NEWUSER", "CLONE_NEWNS"):
        monkeypatch.setattr(os, name, 0, raising=False)
    return image_programs.load("node/benchtop-container")


@pytest.mark.parametrize(
    ("image", "before", "after"),
    [
        ("/software/atlas/2026.1/rootfs", "", "/home/alice/.local/benchtop/atlas-image"),
        ("/home/alice/images/mine", "", "/home/alice/.local/benchtop/mine-image"),
        (
            "/software/atlas/2026.1/rootfs",
            "/home/alice/.local/benchtop/hep-py3.13",
            "/home/alice/.local/benchtop/atlas-image",
        ),
        ("/software/atlas/2026.1/rootfs", "/scratch/mine", None),
    ],
)
def test_an_image_has_a_folder_of_its_own(container, monkeypatch, image: str, before: str, after: str | None):
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("PYTHONUSERBASE", before)
    assert container.own_packages(Path(image)).get("PYTHONUSERBASE") == after


def test_an_environment_that_is_built_finds_what_its_user_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(ROOT / "images/software"))
    for name in [name for name in sys.modules if name.startswith("software_area")]:
        monkeypatch.delitem(sys.modules, name)
    from software_area import build  # noqa: PLC0415

    monkeypatch.setattr(build, "OWN_PACKAGES", ROOT / "lab/config/site-packages")
    packages = tmp_path / "lib/python3.13/site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.13.5\n"
    )
    build.let_people_add(tmp_path)
    assert "include-system-site-packages = true\n" in (tmp_path / "pyvenv.cfg").read_text()
    assert (packages / "benchtop_own_packages.pth").read_text() == "import benchtop_own_packages\n"
    assert (packages / "benchtop_own_packages.py").is_file()
