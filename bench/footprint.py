"""What the facility takes of the machine: memory while nobody works, bytes of all images."""

import re

from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import compose
from figures import Figure

GIB, GB = 2**30, 1e9
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
ONLY_FOR_TESTS = {"browser"}
# Instructions of a Dockerfile that say something about an image and put nothing into it
SAYINGS = re.compile(r"(ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|SHELL|STOPSIGNAL|USER|VOLUME)\b")


def measure(settings: Settings) -> list[Figure]:
    """Both, of the services that a person needs."""
    present = compose.containers(settings.project)
    services = [one for one in present if one.service not in ONLY_FOR_TESTS]
    running = [one.id for one in services if one.state == "running"]
    hubs = [one.id for one in services if re.fullmatch(r"h[pt]c-\d", one.service)]
    images = sorted({one.image for one in services})
    total, base = images_size(images), images_size([settings.base])
    return [
        Figure(
            f"idle memory of all {len(running)} services",
            f"{memory(running) / GIB:.2f} GiB",
            f"{memory(hubs) / GIB:.2f} GiB: the {len(hubs)} hubs",
            bar="≤ 2.5 GiB",
            aim="1.2 GiB",
        ),
        Figure(
            f"all {len(images)} images, unique bytes",
            f"{total / GB:.2f} GB",
            f"{base / GB:.2f} GB: the base image",
            bar="≤ 2.6 GB",
            aim="1.5 GB",
        ),
    ]


def memory(ids: list[str]) -> float:
    """Bytes, as the engine counts them: without the page cache."""
    total = 0.0
    for line in _words("stats", "--no-stream", "--format", "{{.MemUsage}}", *ids):
        used = line.split("/")[0].strip()
        unit = used.lstrip("0123456789.")
        total += float(used.removesuffix(unit)) * UNITS[unit]
    return total


def images_size(images: list[str]) -> int:
    """Bytes of all their layers, each counted once."""
    sizes: dict[tuple[str, ...], int] = {}
    for image in images:
        layers = _words("image", "inspect", "--format", '{{join .RootFS.Layers "\\n"}}', image)
        told = _words("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image)
        made = [int(size) for size, _, by in (line.partition(" ") for line in told) if not SAYINGS.match(by)]
        if len(made) != len(layers):
            raise Problem(f"{image} has {len(layers)} layers, and its history tells of {len(made)}.")
        # a layer is what it holds on top of what: so does the engine store it
        for depth, size in enumerate(reversed(made), 1):
            sizes[tuple(layers[:depth])] = size
    return sum(sizes.values())


def _words(*command: str) -> list[str]:
    return compose.docker(*command).stdout.decode().splitlines()
