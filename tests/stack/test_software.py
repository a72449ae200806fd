"""Environments are published whole, tried, and at one moment, or not at all; nodes have them read-only."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/support/environments/tiny"


@dataclass
class Area:
    """A checkout of its own with one recipe, and the software area that it publishes to."""

    root: Path
    project: str
    more: dict[str, str]

    def tool(self, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a verb of the host's tool in that checkout."""
        environment = {**os.environ, **self.more, "COMPOSE_PROJECT_NAME": self.project}
        environment |= {"PYTHONPATH": str(self.root / "cli"), "BENCHTOP_ROOT": str(self.root), **changed}
        words = (sys.executable, "-m", "benchtop", *words)
        return subprocess.run(
            words, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=500
        )

    def publish(self, **changed: str) -> str:
        """`make software`, which must succeed; what it prints."""
        done = self.tool("software", **changed)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refuses(self, **changed: str) -> str:
        """`make software`, which must fail; the sentence and what stands below it."""
        done = self.tool("software", **changed)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def recipe(self, version: str, more: str = "") -> None:
        """Write the recipe anew."""
        text = (TINY / "environment.yaml").read_text().replace("2026.1", version)
        (self.root / "lab/environments/tiny/environment.yaml").write_text(text + more)

    def run(self, script: str, *, user: str = "2001:2000") -> str:
        """What a script prints that looks at /software as a person on a node would."""
        words = [
            "run",
            "--rm",
            "--network=none",
            f"--user={user}",
            f"--volume={self.project}_software:/software",
        ]
        done = compose.docker(*words, Settings.load(ROOT).base, "bash", "-c", script)
        return done.stdout.decode().strip()


def checkout(folder: Path, project: str, **more: str) -> Area:
    """A copy of the tracked files whose only recipe is the small one."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(
            ("docs/", "lab/environments/", "lab/groups/", "tests/")
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    shutil.copytree(TINY, folder / "lab/environments/tiny")
    return Area(folder, project, more)


@pytest.fixture(scope="module")
def published(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Area]:
    """An area on which the small environment is published."""
    made = checkout(tmp_path_factory.mktemp("checkout"), f"{settings.project}-area")
    try:
        made.publish()
        yield made
    finally:
        done = made.tool("clean", "--yes", "--images", "--all")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def area(published: Area) -> Iterator[Area]:
    """That area, with the recipe of what is current on it."""
    yield published
    published.recipe(published.run("readlink /software/tiny/current"))


def test_a_person_finds_a_published_environment(area: Area):
    found = json.loads(area.run("cat /software/tiny/current/environment.json"))
    assert found["name"] == "tiny"
    assert found["kernels"] == [{"name": "tiny", "display_name": "Tiny", "language": "python"}]
    spec = json.loads(area.run("cat /software/tiny/current/share/jupyter/kernels/tiny/kernel.json"))
    assert spec["argv"][0] == f"/software/tiny/{found['version']}/bin/python"
    assert area.run("ls /software/modules/tiny").splitlines() == [f"{found['version']}.lua", "default"]


def test_everybody_may_read_it_and_nobody_write(area: Area):
    assert area.run("find /software/tiny/ /software/modules ! -type l ! -perm -o=r -print -quit") == ""
    assert area.run("find /software/tiny/ /software/modules ! -type l -perm /o=w -print -quit") == ""


def test_a_second_run_builds_nothing(area: Area):
    before = area.run("stat -c %Y /software/tiny/*")
    assert "Nothing to build" in area.publish()
    assert area.run("stat -c %Y /software/tiny/*") == before


def test_a_kernel_that_fails_its_cell_is_never_published(area: Area):
    before = area.run("ls -A /software/tiny; readlink /software/tiny/current")
    area.recipe("2026.7", "kernels: [{name: tiny, cell: import nothing_of_this_name}]\n")
    refused = area.refuses()
    assert "tiny 2026.7 was not published" in refused
    assert "No module named 'nothing_of_this_name'" in refused
    assert area.run("ls -A /software/tiny; readlink /software/tiny/current") == before
    assert area.run("ls -A /software/.building", user="0") == ""


def test_a_new_version_becomes_current_and_the_old_one_stays_until_it_is_removed(area: Area):
    old = area.run("readlink /software/tiny/current")
    area.recipe("2026.8")
    area.publish()
    assert area.run("readlink /software/tiny/current") == "2026.8"
    assert area.run(f"ls /software/tiny/{old}/bin/python /software/modules/tiny/{old}.lua")
    assert area.run("readlink /software/modules/tiny/default") == "2026.8.lua"
    assert "tiny/2026.8 is the current version" in area.tool("software", "--remove", "tiny/2026.8").stderr
    # and back again, without building anything
    area.recipe(old)
    area.publish()
    assert area.run("readlink /software/tiny/current") == old
    assert area.tool("software", "--remove", "tiny/2026.8").returncode == 0
    assert "2026.8" not in area.run("ls /software/tiny /software/modules/tiny")
    assert "There is no environment tiny/2026.8" in area.tool("software", "--remove", "tiny/2026.8").stderr


def test_a_version_that_exists_never_changes(area: Area):
    version = area.run("readlink /software/tiny/current")
    area.recipe(version, "support: other@example.org\n")
    refused = area.refuses()
    assert (
        f"lab/environments/tiny/environment.yaml:4: tiny {version} is published with other content" in refused
    )


def test_what_an_interrupted_build_left_goes_with_the_next_run(area: Area):
    area.run("mkdir -p /software/.building/tiny/2026.9/bin", user="1419:1419")
    area.publish()
    assert area.run("ls -A /software/.building", user="0") == ""


def test_an_index_that_is_away_is_said_so(area: Area):
    area.recipe("2026.10")
    (area.root / "lab/environments/tiny/requirements.lock").write_text(
        (TINY / "requirements.lock").read_text()
        + "no-such-package-here==1.0 --hash=sha256:"
        + "0" * 64
        + "\n"
    )
    try:
        refused = area.refuses(UV_DEFAULT_INDEX="http://127.0.0.1:9/simple")
    finally:
        shutil.copy(TINY / "requirements.lock", area.root / "lab/environments/tiny/requirements.lock")
    assert "the package index cannot be reached" in refused


def test_a_full_disk_is_said_and_leaves_nothing_half_made(settings: Settings, tmp_path: Path):
    """On an area of 24 MB: enough for the environment's first files, and not for its packages."""
    override = tmp_path / "small.yaml"
    override.write_text(
        "volumes:\n  software:\n"
        "    driver_opts: {type: tmpfs, device: tmpfs, o: 'size=24m,uid=1419,gid=1419'}\n"
    )
    root, empty = tmp_path / "checkout", tmp_path / "empty"
    empty.mkdir()
    small = checkout(root, f"{settings.project}-small", COMPOSE_FILE=f"{root / 'compose.yaml'}:{override}")
    holder = f"{small.project}-holder"  # what is in memory lasts as long as something has it mounted
    try:
        assert small.tool("software", "--recipes", str(empty)).returncode == 0  # makes the volume
        compose.docker(
            "run", "--detach", "--name", holder, f"--volume={small.project}_software:/software",
            settings.base, "sleep", "600",
        )  # fmt: skip
        refused = small.refuses()
        assert "There is no space left to build tiny 2026.1" in refused
        left = compose.docker("exec", holder, "find", "/software", "-name", "*tiny*").stdout.decode()
        assert left == ""
        building = compose.docker(
            "exec", holder, "find", "/software/.building", "-mindepth", "1"
        ).stdout.decode()
        assert building == ""
    finally:
        compose.docker("rm", "--force", holder, check=False)
        done = small.tool("clean", "--yes", "--images", "--all")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["cpu-1", "hpc-login", "condor-ep-1", "htc-login", "hpc-1", "htc-1"])
def test_the_facility_has_the_area_read_only(name: str, service: Callable[..., Host]):
    host = service(name)
    assert host.run("test -d /software").rc == 0
    refused = host.run("touch /software/x")
    assert "Read-only file system" in refused.stderr
