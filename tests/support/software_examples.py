"""A software area with every kind of entry, and who sees what of it: each reader of it is tested by this."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SOUND: Mapping[str, Mapping[str, Any]] = {
    "base/2026.1": {"title": "Base (old)"},
    "base/2026.2": {"title": "Base"},
    "hep/2026.1": {"title": "HEP", "groups": ["usatlas"]},
    "image/1": {"title": "Image", "kind": "container", "clusters": ["htc"], "session": False},
    "root/6.40": {
        "title": "ROOT",
        "kernels": [
            {"name": "root", "display_name": "ROOT (Python)", "language": "python"},
            {"name": "root-cpp", "display_name": "ROOT (C++)", "language": "c++"},
        ],
    },
}
# Left out by every reader
BROKEN: Mapping[str, str] = {
    "cut-off/1": '{"name": "cut-off"',
    "empty/1": "",
    "liar/1": '{"name": "base", "version": "1"}',
    "list/1": "[]",
    "no-title/1": json.dumps({"name": "no-title", "version": "1"}),
}
CURRENT = {"base": "2026.2", "hep": "2026.1", "image": "1", "root": "6.40"} | {
    path.partition("/")[0]: path.partition("/")[2] for path in BROKEN
}
# Whose groups, and on which cluster → what they see
SEEN: Mapping[tuple[frozenset[str], str], list[str]] = {
    (frozenset(), "hpc"): ["base", "root"],
    (frozenset(), "htc"): ["base", "image", "root"],
    (frozenset({"people", "usatlas"}), "hpc"): ["base", "hep", "root"],
    (frozenset({"people", "usatlas"}), "htc"): ["base", "hep", "image", "root"],
}


def about(path: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """environment.json of a version, by its path in the area: what the build writes."""
    name, _, version = path.partition("/")
    return {
        "name": name, "version": version, "title": name.title(), "description": f"What {name} is for.",
        "support": "software@example.org", "groups": [], "clusters": ["hpc", "htc"], "kind": "venv",
        "python": "3.13.5", "session": True,
        "kernels": [{"name": name, "display_name": name.title(), "language": "python"}], **more,
    }  # fmt: skip


def make(root: Path) -> Path:
    """Write the area below a folder, and give that back."""
    for path, more in SOUND.items():
        content = about(path, more)
        put(root / path / "environment.json", json.dumps(content))
        for kernel in content["kernels"]:
            spec = {"argv": [f"/software/{path}/bin/python", "-m", "ipykernel_launcher"], **kernel}
            put(root / path / "share/jupyter/kernels" / kernel["name"] / "kernel.json", json.dumps(spec))
    for path, text in BROKEN.items():
        put(root / path / "environment.json", text)
    for name, version in CURRENT.items():
        (root / name / "current").symlink_to(version)
    put(root / "half/1/environment.json", "{}")  # never switched to
    (root / ".building/base").mkdir(parents=True)  # what a build is at work on
    (root / "modules/base").mkdir(parents=True)
    (root / "groups/usatlas").mkdir(parents=True)
    (root / "dangling").mkdir()
    (root / "dangling/current").symlink_to("gone")
    return root


def put(path: Path, text: str) -> Path:
    """A file with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
