"""What a tutorial says of itself, and which version of it a notebook is.

Nothing but the standard library, so that it is tested without a server.
"""

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST = 50 << 20  # bytes of a notebook that is read: a copy with many large outputs stays below
ABOUT = "benchtop"  # of a notebook's metadata
SYSTEMS = {"slurm": "Slurm", "condor": "HTCondor"}


class UnreadableError(Exception):
    """A file is no notebook; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Notebook:
    """One of either kind: of the facility, or somebody's copy.

    cells: kind and source of each
    """

    document: Mapping[str, Any] = field(repr=False)
    cells: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def version(self) -> str:
        """The same for notebooks whose cells say the same, whatever these have shown."""
        return hashlib.sha256(json.dumps(self.cells).encode()).hexdigest()[:16]

    @property
    def about(self) -> Mapping[str, Any]:
        """What the facility has written into its metadata."""
        found = self.document["metadata"].get(ABOUT)
        return found if isinstance(found, dict) else {}

    @property
    def made_from(self) -> str:
        """The version of the tutorial that it was copied from; "" where it does not say."""
        return str(self.about.get("version", ""))

    @property
    def title(self) -> str:
        """Its first heading; "" for none."""
        return next((line[2:].strip() for line in self.lines() if line.startswith("# ")), "")

    def lines(self) -> Iterator[str]:
        """All cells as text, each below a line that says its kind."""
        for kind, source in self.cells:
            yield f"[{kind}]"
            yield from source.splitlines()
            yield ""


def read(file: Path) -> Notebook:
    """A notebook. Raises UnreadableError."""
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableError("is not a file")
        if about.st_size > LARGEST:
            raise UnreadableError(f"is larger than {LARGEST >> 20} MB")
        document = json.loads(file.read_bytes())
        cells = tuple((str(cell["cell_type"]), _text(cell["source"])) for cell in document["cells"])
        document["metadata"].get(ABOUT)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError("is not a notebook") from None
    return Notebook(document, cells)


def _text(source: object) -> str:
    return source if isinstance(source, str) else "".join(map(str, source))  # type: ignore[call-overload] # else a TypeError


def shipped(folder: Path) -> dict[str, Notebook]:
    """The facility's tutorials, by name, in their order; one that cannot be read is left out."""
    found = {}
    for file in sorted(folder.glob("*.ipynb")):
        try:
            found[file.stem] = read(file)
        except UnreadableError:
            continue  # a test reads all of them
    return found


def described(name: str, tutorial: Notebook) -> dict[str, object]:
    """What a list of tutorials says of one."""
    about = tutorial.about
    kernel = tutorial.document["metadata"].get("kernelspec", {})
    return {
        "name": name,
        "title": tutorial.title or name,
        "about": about.get("about", ""),
        "minutes": about.get("minutes"),
        "systems": [SYSTEMS.get(system, system) for system in about.get("systems", ())],
        "kernel": kernel.get("display_name", ""),
    }
