"""A wheel for other sites: it is built of what lies here, and works where nothing else is installed."""

import json
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "lab/batch"
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import benchtop_batch
names = [name for name in dir(benchtop_batch) if name[0] != "_" and name not in ("importlib", "lazily")]
found, missing = {}, {}
for name in names:
    try:
        found[name] = getattr(benchtop_batch, name).__module__ if name != "TYPE_CHECKING" else ""
    except ModuleNotFoundError as error:
        missing[name] = error.name
json.dump([found, missing, benchtop_batch.__file__], sys.stdout)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if tuple(map(int, version("setuptools").split(".")[:2])) < (70, 1):
        pytest.skip(
            "this setuptools makes no wheels: `make test` installs the one of tests/requirements.lock"
        )
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        SOURCE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    )
    words = ["wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "./source"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (folder / "wheels").glob("*.whl")
    return found


def test_it_has_all_of_the_package_and_nothing_else(wheel: Path):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
        about = {
            name.rpartition("/")[2]: opened.read(name).decode()
            for name in opened.namelist()
            if ".dist-info/" in name
        }
    files = {
        str(file.relative_to(SOURCE)) for file in (SOURCE / "benchtop_batch").rglob("*") if file.is_file()
    }
    assert names == {name for name in files if "__pycache__" not in name}
    assert "benchtop_batch/py.typed" in names
    assert "slurm = benchtop_batch.engines.launchers:SlurmEngines" in about["entry_points.txt"]
    assert {"Requires-Dist: cloudpickle>=3", "Requires-Python: >=3.11"} <= set(about["METADATA"].splitlines())
    extras = {
        line.split()[1] for line in about["METADATA"].splitlines() if line.startswith("Provides-Extra:")
    }
    assert extras == {"dask", "htmap", "ipyparallel", "magics", "parsl", "tables"}
    assert (SOURCE / "README.md").read_text().splitlines()[0] in about["METADATA"]


def test_it_is_imported_where_there_is_the_standard_library_alone(wheel: Path, tmp_path: Path):
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, missing, file = json.loads(done.stdout)
    assert {"slurm", "condor", "collect", "jobs", "Executor", "OutOfMemoryError"} <= found.keys()
    assert missing == {"parsl_config": "parsl"}
    assert Path(file).is_relative_to(tmp_path)
