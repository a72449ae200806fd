"""Debian's and Ubuntu's package manager: what its sources say, and installing from them.

Nothing in this repository names a mirror: what the machine already uses is rewritten. Both
formats of apt sources are read, deb822 stanzas and one-line entries.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchtop.console import Problem, log

SOURCES = Path("/etc/apt")


@dataclass(frozen=True)
class Source:
    """One archive in force: where it is, which suites, and who signs it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    options: tuple[tuple[str, str], ...] = field(default=())  # deb822 names: Signed-By, Trusted …


# Fields that say how an archive is trusted or reached. Architectures are left out: they are
# those of the machine, which apt takes by itself.
_KEPT = {"signed-by": "Signed-By", "trusted": "Trusted", "check-valid-until": "Check-Valid-Until"}


def parse(text: str) -> list[Source]:
    """The binary archives that the text of one sources file names, in either format."""
    if re.search(r"^\s*deb(-src)?\s", text, re.MULTILINE):
        return [source for line in text.splitlines() if (source := _one_line(line))]
    stanzas = re.split(r"\n[ \t]*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE))
    return [source for stanza in stanzas for source in _stanza(stanza)]


def _one_line(line: str) -> Source | None:
    """`deb [signed-by=/key.gpg] URI suite component…`"""
    match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
    if not match:
        return None
    options = [option.partition("=") for option in (match[1] or "").split()]
    kept = tuple((_KEPT[key.lower()], value) for key, _, value in options if key.lower() in _KEPT)
    return Source(match[2], (match[3],), tuple(match[4].split()), kept)


def _stanza(text: str) -> list[Source]:
    fields: dict[str, str] = {}
    for name, value in re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", text, re.MULTILINE):
        fields[name.lower()] = value.rstrip()
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
        return []
    kept = tuple((label, fields[key]) for key, label in _KEPT.items() if key in fields)
    suites, components = tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split())
    return [Source(uri, suites, components, kept) for uri in fields.get("uris", "").split()]


def in_force(folder: Path = SOURCES) -> list[Source]:
    """What the machine's own apt uses, in its order."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    return [
        source
        for file in files
        if file.suffix in {".list", ".sources"} and file.is_file()
        for source in parse(file.read_text(errors="replace"))
    ]


def for_suite(sources: Iterable[Source], now: str, wanted: str) -> list[Source]:
    """The archives of release `wanted`, made from those in force for release `now`.

    `bookworm`, `bookworm-updates` and `bookworm-security` become those of `wanted`; archives of
    others (a third party's) and further suites (backports) stay out.
    """
    found: list[Source] = []
    for source in sources:
        kept = [suite for suite in source.suites if suite in {now, f"{now}-updates", f"{now}-security"}]
        if not kept or "main" not in source.components:
            continue
        suites = tuple(wanted + suite.removeprefix(now) for suite in kept)
        known = [(one.uri, suite) for one in found for suite in one.suites]
        suites = tuple(suite for suite in suites if (source.uri, suite) not in known)
        if suites:
            found.append(Source(source.uri, suites, ("main",), source.options))
    return found


def deb822(sources: Iterable[Source]) -> str:
    """The text of a `.sources` file."""
    stanzas = []
    for source in sources:
        lines = ["Types: deb", f"URIs: {source.uri}", f"Suites: {' '.join(source.suites)}"]
        lines += [f"Components: {' '.join(source.components)}"]
        lines += [f"{name}: {value}" for name, value in source.options]
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


def one_line(source: Source) -> list[str]:
    """The same as one-line entries, without options: mmdebstrap gives its own keyring."""
    return [f"deb {source.uri} {suite} {' '.join(source.components)}" for suite in source.suites]


def install(*packages: str) -> None:
    """Install Debian packages as root, after an update of the lists.

    Raises Problem with apt's own last lines.
    """
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # the lists may be missing or old; a dead third-party source must not stop us, so not checked
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=False, capture_output=True)
    words = ["apt-get", "install", "-qqy", "--no-install-recommends", *packages]
    done = subprocess.run(words, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        output = (done.stdout + done.stderr).strip().splitlines()
        log.error("%s exited %d: %s", " ".join(words), done.returncode, " / ".join(output))
        raise Problem(
            f"apt could not install {' '.join(packages)}: see that the package mirror can be reached "
            "(`apt-get update`), then try again.",
            output[-8:],
        )


@dataclass(frozen=True)
class Release:
    """The distribution of this machine, from os-release."""

    id: str = ""
    version: str = ""
    codename: str = ""
    title: str = "this system"

    @property
    def number(self) -> int:
        """The major version; 0 for a rolling one."""
        head = self.version.partition(".")[0]
        return int(head) if head.isdigit() else 0


def release(text: str | None = None) -> Release:
    """Read os-release; an empty Release where there is none (macOS)."""
    if text is None:
        try:
            text = Path("/etc/os-release").read_text()
        except OSError:
            return Release()
    fields = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    values = {key: value.strip().strip("\"'") for key, value in fields.items()}
    return Release(
        values.get("ID", ""),
        values.get("VERSION_ID", ""),
        values.get("VERSION_CODENAME", ""),
        values.get("PRETTY_NAME", "this system"),
    )
