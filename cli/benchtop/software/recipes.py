"""Recipes of environments: one folder each, read and checked before anything is built.

`environment.yaml` says what an environment is and who sees it, `requirements.lock` or a `Dockerfile` what is
in it. A wrong line is answered with its file, its number and a reason, and all wrong lines of all recipes at
once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from benchtop.console import Problem
from benchtop.people.marked import STRICT, Mistake, Source, listed, parse, reason_of, spot
from benchtop.people.roster import Cluster, matching
from benchtop.settings import MAIL
from benchtop.software import lock_file
from benchtop.topology import CLUSTERS

FOLDER = Path("lab/environments")  # of the checkout
FILE, LOCK, DOCKERFILE, LOGO = "environment.yaml", "requirements.lock", "Dockerfile", "logo.svg"
NODES_PYTHON = "3.13"
# Those that can be had beside the node's own: Debian's, of the release that the area's builder knows
PYTHONS = (NODES_PYTHON, "3.11")
# Folders of the area that are no environment, and words that mean something else in its place
RESERVED = {"current", "default", "groups", "modules"}
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 30
_VERSION = re.compile(r"[0-9][0-9a-z]*([._-][0-9a-z]+){0,5}")
_LINE = re.compile(r"[^\W_]([^\x00-\x1f\x7f-\x9f]{0,62}[^\s\x00-\x1f\x7f-\x9f])?")
_SENTENCES = re.compile(r"\S([^\x00-\x1f\x7f-\x9f]{0,398}[^\s\x00-\x1f\x7f-\x9f])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
# The first kernel of an environment that names none, and what the build runs in a Python kernel
_IPYKERNEL = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
_PYTHON_CELL, _PYTHON_OUTPUT = "print(6 * 7)", "42"
CONTAINER_PROGRAM = "/usr/local/bin/benchtop-container"
CONNECTION_FILE, PREFIX = "{connection_file}", "{prefix}"


class Invalid(Problem):
    """Recipes that must not be built; `details` has one `file:line: reason` a mistake."""


def _version(text: str) -> str:
    if len(text) > LONGEST_NAME or not _VERSION.fullmatch(text):
        raise ValueError(f"must be like 2026.1: digits first, then a-z, 0-9, “.”, “_” and “-”, not “{text}”")
    return text


def _python(text: str) -> str:
    if text not in PYTHONS:
        raise ValueError(f"“{text}” cannot be had: choose {' or '.join(PYTHONS)}")
    return text


def _inside(text: str) -> str:
    if text.startswith("/") or ".." in Path(text).parts:
        raise ValueError(
            f"“{text}” leads out of the environment: name a file of it, as in bin/python, "
            f"or a folder as in {PREFIX}/lib"
        )
    return text


def _file_name(text: str) -> str:
    if text != Path(text).name or text[:1] in {"", "."}:
        raise ValueError(f"“{text}” is not a file of the recipe's folder")
    if not text.endswith(".svg"):
        raise ValueError(f"“{text}” is not an SVG file, as logo.svg is")
    return text


def _argv(words: list[str]) -> list[str]:
    _inside(words[0].removeprefix(f"{PREFIX}/"))
    if CONNECTION_FILE not in words:
        raise ValueError(f"has no “{CONNECTION_FILE}”, by which a kernel finds who talks to it")
    return words


def _variables(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"“{name}” is not the name of a variable")
    return variables


_Title = Annotated[str, matching(_LINE, "a short line of text, at most 64 letters")]


class _Strict(BaseModel):
    model_config = STRICT


class Kernel(_Strict):
    """One kernel; what is left out is that of a Python kernel of this environment."""

    name: str
    display_name: _Title | None = None
    language: Annotated[str, matching(re.compile(r"[A-Za-z+#]{1,20}"), "the name of a language")] = "python"
    argv: Annotated[list[str], Field(min_length=2), AfterValidator(_argv)] | None = None
    env: Annotated[dict[str, str], AfterValidator(_variables)] = {}
    logo: Annotated[str, AfterValidator(_file_name)] | None = None
    cell: str | None = None
    output: str | None = None


class Described(_Strict):
    """What environment.yaml says."""

    title: _Title
    description: Annotated[str, matching(_SENTENCES, "a line of text, at most 400 letters")]
    support: Annotated[str, matching(MAIL, "a mail address")] | None = None
    groups: list[str] = []
    clusters: Annotated[list[Cluster], Field(min_length=1)] = list(CLUSTERS)
    kind: Literal["venv", "container"] = "venv"
    version: Annotated[str, AfterValidator(_version)]
    python: Annotated[str, AfterValidator(_python)] | None = None
    kernels: Annotated[list[Kernel], Field(min_length=1)] | None = None


@dataclass(frozen=True)
class Recipe:
    """One environment as its folder describes it, after everything in it was judged."""

    name: str
    folder: Path
    described: Described
    lock: str  # "" for a container
    digest: str
    lines: Mapping[str, int]  # key of environment.yaml → its line

    @property
    def version(self) -> str:
        """The version that the recipe makes."""
        return self.described.version

    @property
    def prefix(self) -> str:
        """Where the version is on every node."""
        return f"/software/{self.name}/{self.version}"

    @property
    def label(self) -> str:
        """`base 2026.1`, as people name it."""
        return f"{self.name} {self.version}"

    @property
    def kernels(self) -> list[Kernel]:
        """Its kernels; where it names none, one of Python that is called as the environment."""
        return self.described.kernels or [Kernel(name=self.name)]

    @property
    def packages(self) -> frozenset[str]:
        """The names in its lock file, normalized."""
        return frozenset(match[0] for match in lock_file.packages(self.lock))

    def line_of(self, key: str) -> str:
        """File and line of a key, as a message names them."""
        return f"{_shown(self.folder / FILE)}:{self.lines.get(key, 1)}"

    def logo(self, kernel: Kernel) -> Path | None:
        """The picture of a kernel: its own, else that of the environment."""
        file = self.folder / (kernel.logo or LOGO)
        return file if file.is_file() else None

    def trial(self, kernel: Kernel) -> dict[str, str]:
        """What the build runs in a kernel, and what that must print."""
        return {"cell": kernel.cell or _PYTHON_CELL, "output": kernel.output or _PYTHON_OUTPUT}

    def kernel_json(self, kernel: Kernel) -> dict[str, object]:
        """The kernel.json, with the paths of this very version: running sessions keep what they have."""
        container = self.described.kind == "container"
        argv = kernel.argv or ["python3" if container else "bin/python", *_IPYKERNEL]
        program, *rest = [word.replace(PREFIX, self.prefix) for word in argv]
        if container:
            words = [CONTAINER_PROGRAM, f"{self.prefix}/rootfs", program, *rest]
        else:
            words = [program if program.startswith("/") else f"{self.prefix}/{program}", *rest]
        env = {name: value.replace(PREFIX, self.prefix) for name, value in kernel.env.items()}
        if not container:  # what a cell calls by name (`!pip`) is the environment's own
            env = {"PATH": f"{self.prefix}/bin:${{PATH}}", **env}
        return {
            "argv": words,
            "display_name": kernel.display_name or self.described.title,
            "language": kernel.language,
            "env": env,
            "metadata": {
                "debugger": kernel.language == "python",
                "benchtop": {
                    "environment": self.name,
                    "version": self.version,
                    "title": self.described.title,
                },
            },
        }

    def environment_json(self, support: str) -> dict[str, object]:
        """What hub and sessions read of it; the exact Python is known when it is built."""
        return {
            "name": self.name,
            "version": self.version,
            "title": self.described.title,
            "description": self.described.description,
            "support": self.described.support or support,
            "groups": self.described.groups,
            "clusters": self.described.clusters,
            "kind": self.described.kind,
            "python": self.described.python or NODES_PYTHON,
            "kernels": [
                {
                    "name": kernel.name,
                    "display_name": kernel.display_name or self.described.title,
                    "language": kernel.language,
                }
                for kernel in self.kernels
            ],
            "session": {"jupyterlab", "jupyterhub"} <= self.packages,
        }


def load(folder: Path, groups: Iterable[str]) -> dict[str, Recipe]:
    """The recipes of `folder`, by name; `groups` are those that exist.

    Raises Invalid with every mistake of all of them. No folder: no recipes.
    """
    mistakes: list[Mistake] = []
    read: dict[str, tuple[Source, Described]] = {}
    folders = sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    for entry in folders:
        if entry.name[0] not in "._":
            _name(entry, mistakes)
            if (found := _described(entry, mistakes)) is not None:
                read[entry.name] = found
    known = sorted(groups)
    for name, (source, described) in read.items():
        _groups(source, described, known, mistakes)
        _kernels(name, source, described, folder / name, mistakes)
        _ingredients(source, described, folder / name, mistakes)
    _unique(read, mistakes)
    if mistakes:
        raise Invalid(*listed(mistakes, "the recipes of environments. Nothing was built"))
    return {name: _recipe(folder / name, described, source) for name, (source, described) in read.items()}


def _recipe(folder: Path, described: Described, source: Source) -> Recipe:
    file = folder / LOCK
    lock = file.read_text() if described.kind == "venv" else ""
    lines = {str(place[0]): line for place, line in source.lines.items() if len(place) == 1}
    return Recipe(folder.name, folder, described, lock, _digest(folder, described, lock), lines)


def _digest(folder: Path, described: Described, lock: str) -> str:
    """One hash over all that decides how an environment comes out: no comment, no blank line."""
    total = hashlib.sha256()
    pinned = [line.strip() for line in lock.splitlines() if line.strip() and line.strip()[0] != "#"]
    total.update(json.dumps([described.model_dump(), pinned], sort_keys=True).encode())
    apart = {FILE, "requirements.in", *([LOCK] if lock else [])}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and str(file.relative_to(folder)) not in apart and file.name[0] != ".":
            content = file.read_bytes()
            total.update(f"{file.relative_to(folder)}\0{len(content)}\0".encode())
            total.update(content)
    return total.hexdigest()


def _described(folder: Path, mistakes: list[Mistake]) -> tuple[Source, Described] | None:
    source = parse(folder / FILE, mistakes, "describe an environment: `title:`, `description:`, `version:` …")
    if source is None:
        return None
    try:
        return source, Described.model_validate(source.value)
    except ValidationError as error:
        for detail in error.errors():
            place = detail["loc"]
            mistakes.append(source.mistake(place, f"{spot(place)}{reason_of(detail)}"))
        return None


def _name(folder: Path, mistakes: list[Mistake]) -> None:
    file, reason = f"{_shown(folder)}/{FILE}", ""
    if not NAME.fullmatch(folder.name) or len(folder.name) > LONGEST_NAME:
        shape = f"a-z first, then a-z, 0-9 and single hyphens, at most {LONGEST_NAME} characters"
        reason = f"“{folder.name}” is not a name of an environment: {shape}"
    elif folder.name in RESERVED:
        reason = f"“{folder.name}” is a folder of the software area itself: choose another name"
    if reason:
        mistakes.append(Mistake(file, 1, reason))
    top = folder.parent.resolve()
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink() and not path.resolve().is_relative_to(top / folder.name):
            mistakes.append(Mistake(_shown(path), 1, "is a link that leads out of the recipe's folder"))


def _groups(source: Source, described: Described, known: list[str], mistakes: list[Mistake]) -> None:
    for i, group in enumerate(described.groups):
        if group not in known:
            there = ", ".join(known) or "none is declared"
            reason = f"groups: there is no group “{group}” in accounts/people.yaml ({there})"
            mistakes.append(source.mistake(("groups", i), reason))


def _kernels(name: str, source: Source, described: Described, folder: Path, mistakes: list[Mistake]) -> None:
    """Kernels are called after their environment, and the build knows how to try each."""
    for i, kernel in enumerate(described.kernels or []):
        place = ("kernels", i)
        suffix = kernel.name.removeprefix(name)
        if not kernel.name.startswith(name) or (suffix and not NAME.fullmatch(f"x{suffix}")):
            reason = (
                f"“{kernel.name}” must be {name} or {name}-SOMETHING, so that no two environments have it"
            )
            mistakes.append(source.mistake((*place, "name"), f"{spot(place)}{reason}"))
        if kernel.language.lower() != "python":
            lacking = [key for key in ("argv", "cell", "output") if not getattr(kernel, key)]
            mistakes.extend(
                source.mistake(
                    place, f"{spot(place)}{key} is missing: a kernel of {kernel.language} has no default"
                )
                for key in lacking
            )
        if kernel.logo and not (folder / kernel.logo).is_file():
            mistakes.append(
                source.mistake((*place, "logo"), f"{spot(place)}there is no {_shown(folder / kernel.logo)}")
            )


def _ingredients(source: Source, described: Described, folder: Path, mistakes: list[Mistake]) -> None:
    """A container has its Dockerfile; a virtual environment a lock file in which each package has a hash."""
    if described.kind == "container":
        if described.python:
            mistakes.append(source.mistake(("python",), "python: is up to the Dockerfile: leave it out"))
        if not (folder / DOCKERFILE).is_file():
            reason = "is missing: a recipe of kind container is built from one"
            mistakes.append(Mistake(_shown(folder / DOCKERFILE), 1, reason))
        return
    file = folder / LOCK
    if not file.is_file():
        reason = "is missing: `make lock` writes it from requirements.in"
        mistakes.append(Mistake(_shown(file), 1, reason))
        return
    mistakes.extend(Mistake(_shown(file), line, reason) for line, reason in lock_file.judge(file.read_text()))
    if not described.kernels and not any(
        name == "ipykernel" for name, _ in lock_file.packages(file.read_text())
    ):
        reason = (
            "has no ipykernel, and a kernel of Python is what the environment has: add it to requirements.in"
        )
        mistakes.append(Mistake(_shown(file), 1, reason))


def _unique(read: Mapping[str, tuple[Source, Described]], mistakes: list[Mistake]) -> None:
    """Two environments of one title, and two kernels of one name, cannot be told apart."""
    titles: dict[str, str] = {}
    kernels: dict[str, str] = {}
    for name, (source, described) in read.items():
        title = described.title.casefold()
        if title in titles:
            reason = f"title: “{described.title}” is the title of {titles[title]} already"
            mistakes.append(source.mistake(("title",), reason))
        titles.setdefault(title, name)
        for i, kernel in enumerate(described.kernels or [Kernel(name=name)]):
            if kernel.name in kernels:
                place = ("kernels", i, "name")
                reason = f"{spot(place)}“{kernel.name}” is a kernel of {kernels[kernel.name]} already"
                mistakes.append(source.mistake(place, reason))
            kernels.setdefault(kernel.name, name)


def _shown(path: Path) -> str:
    """The path as a person at the root of the checkout would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
