"""Every command that the documentation tells somebody to type does what it says."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from benchtop.settings import Settings
from benchtop.stack import compose

pytestmark = [pytest.mark.needs("checkout"), pytest.mark.shares("people", "services")]

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
TABLE = re.compile(r"^\|(.*?)\|", re.MULTILINE)  # the first column of a table of commands
# What would start, stop, remove or test the facility that this test runs in, and who does it instead.
ELSEWHERE = {
    "make up": ".ci/run",
    "make test": ".ci/run",
    "make down": "tests/faults/test_whole_facility.py",
    "make clean": ".ci/run",
    "make clean ALL=1": ".ci/run",
    "COMPOSE_PROJECT_NAME=second BENCHTOP_PORT=9443 make up": ".ci/run",
    "make bench": ".github/workflows/nightly.yml",
    'make cell-stop CELL=htc-3 MESSAGE="New disks: back at 14:00."': "tests/stack/test_cells_stopped.py",
    "make cell-start CELL=htc-3": "tests/stack/test_cells_stopped.py",
    'make cell-stop CELL=hpc-2 MESSAGE="Back at noon."': "tests/stack/test_cells_stopped.py",
    "make cell-start CELL=hpc-2": "tests/stack/test_cells_stopped.py",
    'make announce MESSAGE="Slurm is down on Friday."': "tests/stack/test_announcement.py",
    'make announce MESSAGE="Slurm is down on Friday from 8 to 10."': "tests/stack/test_announcement.py",
    "make announce-clear": "tests/stack/test_announcement.py",
    "make dev CELL=hpc-1": "tests/stack/test_dev.py",
    "make test-long": ".github/workflows/nightly.yml",
    "make soak": "tests/faults/test_soak.py",
    "make software": "tests/stack/test_software.py",
    "make software ENV=base": "tests/stack/test_software.py",
    "make software ENV=hep": "tests/stack/test_software.py",
    "make software-remove ENV=base/2026.1": "tests/stack/test_software.py",
    "make trust INSTALL=1": "tests/unit/cli/test_trust.py",
    "make lint": "tests/lint/test_lint.py",
    "python3 -m pip wheel --no-deps --wheel-dir dist ./lab/batch": "tests/unit/batch/test_wheel.py",
    'python3 -m pip install --find-links dist "benchtop-batch[magics,tables]"': (
        "tests/unit/batch/test_wheel.py"
    ),
    "make screenshots": "tests/browser/conftest.py",
}


def commands() -> list[str]:
    """Each command once, in the order of the pages."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text()
        for block in CONSOLE.findall(text):
            found += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        for cell in TABLE.findall(text):
            found += [words for words in re.findall(r"`([^`]+)`", cell) if words.startswith("make ")]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("command", [each for each in commands() if each not in ELSEWHERE])
def test_a_command_of_the_documentation_works(command: str, settings: Settings):
    words = shlex.split(command)
    if words[:3] == ["docker", "compose", "exec"]:
        words.insert(3, "--no-TTY")  # there is no terminal here; a reader has one
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=compose.environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("command", [each for each in commands() if each in ELSEWHERE])
def test_a_command_that_cannot_run_here_is_run_elsewhere(command: str):
    """The place exists and holds the verb and each setting of the command."""
    place = ELSEWHERE[command]
    verb_and_settings = re.findall(r"[A-Za-z_]+", command.partition("make ")[2].split("=")[0])
    text = (ROOT / place).read_text()
    assert all(word.lower() in text.lower() for word in verb_and_settings), f"{command} is not run by {place}"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
