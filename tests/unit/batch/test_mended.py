"""What HTMap gets of the facility and of its user, without HTMap and HTCondor themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchtop_batch import place
from benchtop_batch.maps import mended, notebook

ROOT = Path(__file__).parents[3]
BATCH = ROOT / "lab/batch"
BEGIN = (
    f"import sys\nsys.path[:0] = [{str(BATCH)!r}]\nfrom benchtop_batch import at_import\nat_import.begin()\n"
)


def python(program: str, folder: Path, name: str = "notebook.py") -> subprocess.CompletedProcess[str]:
    file = folder / name
    file.write_text(BEGIN + program)
    env = {**os.environ, "PYTHONPATH": str(folder / "lib")}
    return subprocess.run([sys.executable, str(file)], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def without_bindings(tmp_path: Path) -> Path:
    (tmp_path / "lib/htmap").mkdir(parents=True)
    (tmp_path / "lib/htmap/__init__.py").write_text("import htcondor\n")
    return tmp_path


def test_an_environment_without_htcondor_s_python_says_so(without_bindings: Path):
    said = python(
        "try:\n    import htmap\nexcept ImportError as error:\n    print(error)\n", without_bindings
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert said.stdout.startswith("HTMap does not work in this environment"), said.stderr
    assert f"this is Python {version}" in said.stdout
    assert "Choose an environment with Python 3.13" in said.stdout


def test_so_does_the_command_and_without_a_traceback(without_bindings: Path):
    said = python("import htmap\n", without_bindings, "htmap")
    assert said.returncode == 1
    assert said.stderr.startswith("HTMap does not work in this environment")
    assert "Traceback" not in said.stderr


def test_what_a_site_sets_wins_over_ours_and_leaves_the_rest(tmp_path: Path):
    site = tmp_path / "htmap.toml"
    site.write_text('WAIT_TIME = 2\n[MAP_OPTIONS]\nrequest_memory = "1GB"\n')
    assert mended.site_settings(site) == {
        **mended.DEFAULTS,
        "WAIT_TIME": 2,
        "MAP_OPTIONS": {**mended.DEFAULTS["MAP_OPTIONS"], "request_memory": "1GB"},
    }
    assert mended.site_settings(tmp_path / "none") == mended.DEFAULTS


def test_a_file_of_the_site_that_is_cut_off_keeps_nobody_from_mapping(tmp_path: Path):
    site = tmp_path / "htmap.toml"
    site.write_text("WAIT_TIME = [")
    assert mended.site_settings(site) == mended.DEFAULTS


def test_a_job_knows_of_the_environment_what_it_needs_and_no_secret():
    env = {"PATH": "/bin", "HOME": "/home/alice", "LANG": """it's "x" """, "JUPYTERHUB_API_TOKEN": "secret"}
    assert notebook.environment(env) == """"HOME='/home/alice' LANG='it''s ""x"" ' PATH='/bin'\""""


def test_own_modules_are_found_where_the_notebook_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own, elsewhere = tmp_path / "home/analysis", tmp_path / "site-packages"
    for folder in (own, elsewhere):
        folder.mkdir(parents=True)
    monkeypatch.chdir(own)
    path = ["", str(elsewhere), str(own), str(tmp_path / "home/gone"), "/usr/lib/python313.zip"]
    assert notebook.own_path(path, tmp_path / "home") == [str(own)]


@pytest.mark.parametrize(
    ("python", "image", "there"),
    [
        ("/usr/bin/python3", "", True),
        ("/usr/bin/python3", "/software/container/1/rootfs", False),
        ("/opt/lab/bin/python", "/software/container/1/rootfs", True),
        ("/home/alice/venv/bin/python", "/software/container/1/rootfs", True),
    ],
)
def test_a_python_of_an_image_is_not_on_the_nodes(
    python: str, image: str, there: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(place.settings, "__defaults__", (ROOT / "lab/config/batch.ini",))
    env = {notebook.IMAGE: image} if image else {}
    assert notebook.on_nodes(Path(python), Path("/home/alice"), env) is there
