"""A wheel for other sites: it is built of what lies here, and works where nothing else is installed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "lab/batch"
HOW_TO = ROOT / "docs/how-to/use-benchtop-batch-elsewhere.md"
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
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which the commands of the how-to were typed, without an index."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    shutil.copytree(SOURCE, folder / "lab/batch", ignore=ignored)
    commands = re.findall(r"^\$ (.+)$", HOW_TO.read_text(), re.M)
    assert [command.split()[3] for command in commands] == ["wheel", "install"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    env |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_TARGET": "installed"}
    for command in commands:
        words = [sys.executable, *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return folder


def test_it_has_all_of_the_package_and_nothing_else(checkout: Path):
    (wheel,) = (checkout / "dist").glob("*.whl")
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


def test_it_is_imported_where_there_is_the_standard_library_alone(checkout: Path):
    words = [sys.executable, "-I", "-S", "-c", PROGRAM, str(checkout / "installed")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, missing, file = json.loads(done.stdout)
    assert {"slurm", "condor", "collect", "jobs", "Executor", "OutOfMemoryError"} <= found.keys()
    assert missing == {"parsl_config": "parsl"}
    assert Path(file).is_relative_to(checkout)
