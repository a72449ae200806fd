"""On a site's own clusters, without anything of this facility around it."""

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchtop_batch import network, place
from benchtop_batch.calls import function, job
from benchtop_batch.network import UnavailableError
from support import batch_stand_in

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "lab/batch"
COMMON = {"debug", "default", "external", "normal"}  # words that every site has


def names() -> Iterator[str]:
    """Of people, groups, hosts, clusters, partitions, kinds of GPUs and folders that are this facility's."""
    people = yaml.safe_load((ROOT / "accounts/people.yaml").read_text())
    yield from (*people["people"], *people["groups"], *people["slurm"]["qos"], *people["slurm"]["accounts"])
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    yield from (name for name in services if "-" in name)
    yield from ("hpc", "htc", "/software", "/opt/lab", "jupyter.localhost", "demo.test", "jh-")
    partitions, gpus = ((ROOT / "slurm" / name).read_text() for name in ("partitions.conf", "gres.conf"))
    yield from re.findall(r"^PartitionName=(?!DEFAULT)(\S+)", partitions, re.M)
    yield from re.findall(r"\bType=(\S+)", gpus)


def test_no_name_of_this_facility_is_in_its_code():
    known = sorted(set(names()) - COMMON)
    assert {"alice", "gpu-1", "scavenger", "tesla", "tier3"} <= set(known)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, known))})(?![\w])")
    files = [file for file in PACKAGE.rglob("*") if file.suffix in {".py", ".md", ".toml"}]
    assert len(files) > 40
    found = [
        f"{file.relative_to(ROOT)}:{number}: {match[0]}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert not found, "\n".join(found)
    assert pattern.search("on gpu-1: `--partition=scavenger`")


def test_each_setting_of_a_site_is_explained():
    ours = configparser.ConfigParser(interpolation=None)
    ours.read(ROOT / "lab/config/batch.ini")
    text = (PACKAGE / "README.md").read_text()
    code = "".join(file.read_text() for file in PACKAGE.rglob("*.py"))
    explained = set(re.findall(r"\| `(\w+)` \| ", text.partition("What a site may set")[2]))
    assert explained == {"partition", "minutes", "tasks", "mpi", "memory", "sessions", "shared"}
    for section in ours.sections():
        assert f"`[{section}]`" in text
        assert explained >= set(ours[section])
    assert all(re.search(rf'(said|settings\(.*\))\.get\("{name}"', code) for name in explained)


@pytest.fixture
def commands(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both batch systems' commands, which need no credential of anybody's; and no settings of a site."""
    programs = batch_stand_in.install(tmp_path / "batch")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    for name in (place.CREDENTIALS, place.CONFINED, place.OWN, "SLURM_JOB_ID", "SLURM_JWT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(place.settings, "__defaults__", (tmp_path / "none.ini",))
    return programs


def test_what_is_installed_can_be_used(commands: Path, monkeypatch: pytest.MonkeyPatch):
    assert place.clusters() == ["condor", "slurm"]
    assert network.choose("slurm") == "slurm"
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # a notebook in a job of Slurm
    assert network.choose(None) == "slurm"
    (commands / "sbatch").unlink()
    assert place.clusters() == ["condor"]
    with pytest.raises(
        UnavailableError, match=r"^No jobs can be sent to Slurm from here\. Its commands are not"
    ):
        network.choose("slurm")


def test_in_a_session_that_keeps_credentials_a_command_is_not_enough(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(place.CREDENTIALS, str(tmp_path))
    assert place.clusters() == []
    (tmp_path / "slurm.jwt").touch()
    assert place.clusters() == ["slurm"]


def test_a_job_asks_for_what_the_batch_system_gives_by_itself(commands: Path, cluster: str, tmp_path: Path):
    asked = job.with_defaults(cluster, {})
    facts = job.Facts(cluster, "name", "title", 1, asked=asked)
    if cluster == "slurm":
        options = {word.partition("=")[0] for word in job.slurm_words(tmp_path, facts)}
        assert options == {
            "sbatch",
            "--parsable",
            "--job-name",
            "--comment",
            "--chdir",
            "--ntasks",
            "--output",
        }
    else:
        assert "request_memory = 512" in job.condor_lines(tmp_path, facts)
    assert function._decorator(cluster, pow, False, {}).__wrapped__(2, 3) == 8
