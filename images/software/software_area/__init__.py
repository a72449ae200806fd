"""Makes and publishes environments on the software area; runs in the build container alone.

The volume of /software is mounted at /area. What is built lies in /area/.building/NAME/VERSION, and /software
is a link to that folder here: so each path that an installer writes down is the one that nodes will see.
"""

import json
import os
from pathlib import Path
from typing import Any

AREA = Path(os.environ.get("BENCHTOP_AREA", "/area"))
BUILDING = AREA / ".building"
CACHE = AREA / ".cache"  # of uv; on the area, so that its files are linked and not copied
RECIPES = Path(os.environ.get("BENCHTOP_RECIPES", "/recipes"))
SOFTWARE = Path("/software")
# What a version's folder keeps of its recipe: whether it is still the same, and how its kernels are tried
RECIPE = "recipe.json"
ENVIRONMENT = "environment.json"
FULL = 28  # exit code of a build that found no space (errno ENOSPC)


class Failure(Exception):  # noqa: N818 - a sentence for the admin, not a programming error
    """Why an environment was not built: a sentence, and lines that explain it."""

    def __init__(self, message: str, lines: list[str] | None = None) -> None:
        super().__init__(message)
        self.lines = lines or []


def read(path: Path) -> dict[str, Any]:
    """The content of a JSON file that the host's tool wrote."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def replace(path: Path, content: str) -> None:
    """Write a file that is there whole, old or new, at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    half.write_text(content)
    half.replace(path)


def version_of(name: str) -> str:
    """The version that the recipe of an environment makes."""
    return str(read(RECIPES / name / "files" / ENVIRONMENT)["version"])
