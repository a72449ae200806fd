"""What a function takes along of its notebook to a node, beside itself."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchtop_batch import place

# Not all of the environment: the queue shows a job's to everybody
TAKEN_ALONG = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "ROOTSYS",
)


IMAGE = "APPTAINER_CONTAINER"  # of the environment: the image in which this runs


def on_nodes(python: Path, home: Path, env: Mapping[str, str]) -> bool:
    """Is this the interpreter's path on each node, too? Inside an image, another may have the same path."""
    shared = place.settings("nodes").get("shared", "").split()
    return not env.get(IMAGE) or any(python.is_relative_to(folder) for folder in (*shared, str(home)))


def environment(env: Mapping[str, str]) -> str:
    """A job's environment, in the manner of condor_submit."""
    taken = {name: env[name] for name in TAKEN_ALONG if env.get(name)}
    return '"' + " ".join(f"{name}='{_quote(value)}'" for name, value in taken.items()) + '"'


def _quote(value: str) -> str:
    return value.replace("'", "''").replace('"', '""')


def own_path(path: Iterable[str], home: Path) -> list[str]:
    """Where its author's own modules are imported from: its folder, and what they added below the home."""
    found = [Path(entry or ".").absolute() for entry in path]
    return [str(one) for one in dict.fromkeys(found) if one.is_relative_to(home) and one.is_dir()]
