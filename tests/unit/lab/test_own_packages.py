"""Each environment has a folder of its own for what somebody installs into it."""

import subprocess
import sys
from pathlib import Path

import pytest

SITE = Path(__file__).parents[3] / "lab/config/site-packages"
HOME = {"HOME": "/home/alice"}
HEP = "/home/alice/.local/benchtop/hep-py3.13"


@pytest.fixture
def own_packages(monkeypatch: pytest.MonkeyPatch):
    """The module, whose import changes this process's environment where Python is one of the facility's."""
    monkeypatch.syspath_prepend(str(SITE))
    import benchtop_own_packages  # noqa: PLC0415

    return benchtop_own_packages


@pytest.mark.parametrize(
    ("prefix", "before", "after"),
    [
        ("/software/hep/2026.1", None, HEP),
        ("/software/hep/2026.2", None, HEP),
        ("/software/hep/2026.1", "/home/alice/.local/benchtop/ml-py3.13", HEP),
        ("/opt/lab", "/home/alice/.local/benchtop/ml-py3.13", None),
        ("/opt/lab", None, None),
        ("/home/alice/env", None, None),
        ("/software/.building/hep", None, None),
        ("/software/hep", None, None),
        ("/software/hep/2026.1", "/scratch/mine", "/scratch/mine"),
        ("/opt/lab", "/scratch/mine", "/scratch/mine"),
    ],
)
def test_which_folder(own_packages, prefix: str, before: str | None, after: str | None):
    env = HOME | ({"PYTHONUSERBASE": before} if before else {})
    own_packages.settle(env, prefix, (3, 13, 5))
    assert env.get("PYTHONUSERBASE") == after


def test_without_a_home_nothing_is_named(own_packages):
    env: dict[str, str] = {}
    own_packages.settle(env, "/software/hep/2026.1", (3, 13))
    assert env == {}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as the software area has them, elsewhere."""
    place = tmp_path_factory.mktemp("software") / "hep/2026.1"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", place], check=True
    )
    (packages,) = place.glob("lib/python3*/site-packages")
    for file in SITE.iterdir():
        text = file.read_text().replace('"/software/"', f'"{place.parents[1]}/"')
        (packages / file.name).write_text(text)
    return place


def sees(python: Path, home: Path, **more: str) -> str:
    """Which packages of its owner an environment's Python looks for."""
    code = "import site, sys; print([p for p in sys.path if 'benchtop/' in p], site.ENABLE_USER_SITE)"
    env = {"HOME": str(home), **more}
    return subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


def test_python_looks_there_before_anything_of_a_user_is_on_its_path(environment: Path, tmp_path: Path):
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    own = tmp_path / f".local/benchtop/hep-py{version}/lib/python{version}/site-packages"
    own.mkdir(parents=True)
    assert sees(environment / "bin/python", tmp_path) == f"['{own}'] True\n"


def test_without_own_settings_it_does_not(environment: Path, tmp_path: Path):
    assert sees(environment / "bin/python", tmp_path, PYTHONNOUSERSITE="1") == "[] False\n"
