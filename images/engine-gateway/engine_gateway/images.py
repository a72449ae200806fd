"""Which images there are for sessions: `make up` writes the list, with the digest of each.

A name stands for the digest in the list, whatever the engine calls by that name: a tag that moved moves
nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .verdicts import Missing, Unavailable

_NAME = re.compile(r"[a-z0-9][a-z0-9._/-]{0,129}:[A-Za-z0-9_.-]{1,64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Image:
    """One that sessions may run in."""

    name: str  # NAME:TAG
    digest: str
    default: bool = False


class Images:
    """The list, read anew when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[Image, ...] = ()
        self._stamp = (0, 0)

    def all(self) -> tuple[Image, ...]:
        """The images, the default one first. Raises Unavailable where there is no list that can be read."""
        try:
            state = self._path.stat()
            if (state.st_mtime_ns, state.st_ino) != self._stamp:
                self._read = _parse(self._path.read_text())
                self._stamp = (state.st_mtime_ns, state.st_ino)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable("There is no list of images for containers: `make up` writes it.") from error
        return self._read

    def find(self, wanted: str) -> Image:
        """By a name, with its tag or without (then the default first), or by digest. Raises Missing."""
        for image in self.all():
            short = image.name.partition(":")[0]
            if wanted in {
                image.name,
                image.digest,
                short,
                f"{short}@{image.digest}",
                f"{image.name}@{image.digest}",
            }:
                return image
        offered = ", ".join(image.name for image in self.all())
        raise Missing(f"There is no image {wanted!a:.120} for sessions. There is: {offered}.")


def _parse(text: str) -> tuple[Image, ...]:
    """The images of a list. Raises ValueError, KeyError or TypeError for what is none."""
    found = [(str(entry["name"]), str(entry["digest"])) for entry in json.loads(text)["images"]]
    if not found or not all(_NAME.fullmatch(name) and _DIGEST.fullmatch(digest) for name, digest in found):
        raise ValueError("not a list of names and digests")
    return tuple(Image(name, digest, default=number == 0) for number, (name, digest) in enumerate(found))
