"""The environments that the facility ships are what the documentation says, and what a session needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RECIPES = sorted(file.parent for file in (ROOT / "lab/environments").glob("*/environment.yaml"))
SESSION = {"ipykernel", "jupyterhub", "jupyterlab"}


def locked(file: Path) -> dict[str, str]:
    """Package → version."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", file.read_text(), flags=re.MULTILINE))


def described(recipe: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((recipe / "environment.yaml").read_text())
    return found


def test_the_documentation_lists_each_with_its_version_its_kernels_and_what_it_is_for():
    page = (ROOT / "docs/reference/environments.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    wanted = []
    for recipe in RECIPES:
        about = described(recipe)
        names = [kernel["name"] for kernel in about.get("kernels", [{"name": recipe.name}])]
        kernels = ", ".join(f"`{name}`" for name in names)
        wanted.append(f"| `{recipe.name}` | {about['version']} | {kernels} | {about['description']} |")
    assert rows == wanted


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_each_holds_what_a_session_needs_in_the_versions_of_the_facility(recipe: Path):
    ours, theirs = locked(ROOT / "lab/requirements.lock"), locked(recipe / "requirements.lock")
    assert {name: theirs.get(name) for name in SESSION} == {name: ours[name] for name in SESSION}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_each_has_every_package_that_it_asks_for_and_nothing_for_gpus(recipe: Path):
    asked = re.findall(r"^([a-z0-9-]+)", (recipe / "requirements.in").read_text(), flags=re.MULTILINE)
    names = set(locked(recipe / "requirements.lock"))
    assert set(asked) - {"-r"} <= names
    assert not [name for name in names if "cuda" in name or "nvidia" in name]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_its_lock_names_no_place_to_get_packages_from(recipe: Path):
    text = (recipe / "requirements.lock").read_text()
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_each_has_a_logo(recipe: Path):
    assert (recipe / "logo.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
