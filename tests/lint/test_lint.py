"""Every file keeps the house style: each linter finds nothing at all."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


def tracked(*patterns: str) -> list[str]:
    """Files that git knows or would add, by pathspec."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in dict.fromkeys(listing.stdout.splitlines()) if (ROOT / name).is_file()]


def shell_scripts() -> list[str]:
    """Files whose first line names a shell, whatever they are called; hub/jobs has templates of such."""
    return [name for name in tracked(":!hub/jobs") if first_line(ROOT / name).endswith((b"bash", b"/sh"))]


def python_scripts() -> list[str]:
    """Programs without `.py`: mypy and ruff do not find them by themselves."""
    return [name for name in tracked(":!*.py") if b"python3" in first_line(ROOT / name)]


def first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        line = file.readline(200).strip()
    return line if line.startswith(b"#!") else b""


def clean(tool: str, *arguments: str, files: Sequence[str] = ()) -> None:
    """Run a linter of the test environment from the repository's root; its output is the failure."""
    done = subprocess.run(
        [str(TOOLS / tool), *arguments, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{tool}:\n{done.stdout}{done.stderr}"


def test_python_follows_the_rules_of_ruff():
    clean("ruff", "check", "--quiet", ".", files=python_scripts())


def test_python_is_formatted():
    clean("ruff", "format", "--check", ".", files=python_scripts())


def test_python_is_typed():
    packages = (
        "cli/benchtop",
        "hub/benchtop_hub",
        "lab/batch/benchtop_batch",
        "lab/benchtop_lab",
        "minter/benchtop_minter",
    )
    for package in (*packages, "images/slurm/slurm_people", "images/software/software_area", "tests/support"):
        clean("mypy", package)
    clean("mypy", "images/engine-gateway/engine_gateway")


def test_programs_in_images_are_typed():
    for program in python_scripts():
        clean("mypy", "--scripts-are-modules", program)


def test_shell_is_what_shellcheck_wants():
    scripts = shell_scripts()
    assert scripts
    clean("shellcheck", files=scripts)


def test_dockerfiles_are_what_hadolint_wants():
    dockerfiles = tracked("*Dockerfile")
    assert dockerfiles
    clean("hadolint", files=dockerfiles)


def test_yaml_is_what_yamllint_wants():
    clean("yamllint", "--strict", ".", files=[])


def test_compose_has_no_critical_or_high_finding():
    clean("compose-lint", "compose.yaml")


def test_no_file_names_a_package_registry_by_its_host():
    """A mirror, a proxy or another country must work: clients keep their own defaults."""
    hosts = r"https?://[a-z0-9.-]*(debian|pypi|pythonhosted|npmjs|maven)\.[a-z.]*[a-z]"
    found = subprocess.run(
        ["git", "grep", "-nIE", hosts, "--", ".", ":!tests/unit"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stdout
