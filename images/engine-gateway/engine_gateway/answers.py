"""What a hub is told: of what the engine says, the parts that are about its own sessions.

Left out is what a session's environment holds, and what says how the engine is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .creation import CELL, MARK, OWNER, PORT, Limits, Room
from .images import Image

HOST = "engine"  # by that name a cell reaches the ports of sessions
VERSION = {"Version": "1", "ApiVersion": "1.41", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
_STATE = (
    "Status",
    "Running",
    "Paused",
    "Restarting",
    "OOMKilled",
    "Dead",
    "ExitCode",
    "Error",
    "StartedAt",
    "FinishedAt",
)
_LISTED = ("Id", "Names", "Created", "State", "Status")


def container(found: Mapping[str, Any], image: str) -> dict[str, Any]:
    """One container. image: what its digest is called here, or the digest."""
    host = found["HostConfig"]
    ports = (found.get("NetworkSettings") or {}).get("Ports") or {}
    published = [
        {"HostIp": HOST, "HostPort": str(entry["HostPort"])} for entry in ports.get(f"{PORT}/tcp") or []
    ]
    return {
        "Id": found["Id"],
        "Name": found["Name"],
        "Created": found["Created"],
        "Image": found["Image"],
        "State": {key: found["State"][key] for key in _STATE if key in found["State"]},
        "Config": {
            "Image": image,
            "Labels": _labels(found["Config"]["Labels"]),
            "User": found["Config"]["User"],
            "Tty": False,  # by which Docker's client knows how to read its log
        },
        "HostConfig": {"Memory": host.get("Memory", 0), "NetworkMode": "default"},
        "NetworkSettings": {"Ports": {f"{PORT}/tcp": published or None}, "Networks": {}, "IPAddress": ""},
    }


def listed(
    found: Iterable[Mapping[str, Any]], cell: str, owner: str, *, stopped: bool
) -> list[dict[str, Any]]:
    """A cell's containers; owner: whose, if not everybody's; stopped: also those that do not run."""
    return [
        {
            **{key: entry[key] for key in _LISTED},
            "Labels": _labels(entry["Labels"]),
            "Image": entry.get("ImageID", ""),
        }
        for entry in found
        if (entry["Labels"] or {}).get(CELL) == cell
        and owner in {"", entry["Labels"].get(OWNER)}
        and (stopped or entry["State"] == "running")
    ]


def image(one: Image) -> dict[str, Any]:
    """An image of the list."""
    return {
        "Id": one.digest, "RepoTags": [one.name], "RepoDigests": [], "Os": "linux", "Default": one.default,
        "Config": {"Env": [], "Cmd": None, "Entrypoint": None, "Labels": {}, "WorkingDir": "", "User": ""},
    }  # fmt: skip


def info(room: Room, free: Room, limits: Limits) -> dict[str, Any]:
    """How much there is for all cells together, and how much of it is free. Memory in MB."""
    return {
        "ContainersRunning": room.places - free.places,
        "Benchtop": {
            "places": room.places, "free": free.places, "memory": free.memory >> 20,
            "longest_memory": limits.memory >> 20, "most_cpus": limits.cpus,
        },
    }  # fmt: skip


def _labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (labels or {}).items() if key in {CELL, OWNER, MARK}}
