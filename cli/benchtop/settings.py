"""The facility's settings: `.env` of the checkout, each value overridable by the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from dotenv import dotenv_values

from benchtop import topology
from benchtop.console import Problem

# Host names as a browser and a certificate accept them.
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
# A mail address that stands in HTML, in a link and in a sentence without being quoted
MAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
# An image of this machine's engine; what has a host before its name is a registry's
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9_-]{0,40}(/[a-z0-9][a-z0-9_-]{0,40}){0,2}:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
)
# Compose's own rule for project names.
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Settings:
    """One facility of one checkout on this machine."""

    root: Path
    name: str
    login_name: str
    bind: str
    port: int
    base: str
    project: str
    support: str
    clusters: tuple[str, ...] = topology.CLUSTERS
    cells: int = topology.MOST_CELLS
    egress: bool = True
    engine: bool = True
    engine_images: tuple[str, ...] = ()
    software: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The public address, as a person types it."""
        return f"https://{self.name}:{self.port}"

    @property
    def login_url(self) -> str:
        """Where Keycloak answers."""
        return f"https://{self.login_name}:{self.port}"

    @property
    def cell_names(self) -> tuple[str, ...]:
        """The cells that run here, each by its service's name."""
        return tuple(cell for name in self.clusters for cell in topology.every_cell(name)[: self.cells])

    @property
    def state(self) -> Path:
        """The git-ignored folder that holds everything generated."""
        return self.root / ".benchtop"

    @property
    def live(self) -> Path:
        """The copy of the configuration that services mount, below the same names as in the checkout."""
        return self.state / "live"

    def live_file(self, name: str) -> Path:
        """The live copy of a file of the checkout, or that file as long as there is none."""
        copy = self.live / name
        return copy if copy.exists() else self.root / name

    @classmethod
    def load(cls, root: Path, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings of the checkout at `root`.

        Raises Problem, with a sentence, for a value that cannot work.
        """
        environ = os.environ if environ is None else environ
        values = {**dotenv_values(root / ".env"), **environ}

        def value(key: str) -> str:
            text = (values.get(key) or "").strip()
            if not text:
                raise Problem(f"{key} has no value: give it one in {root / '.env'} or in the environment.")
            return text

        def host(key: str) -> str:
            text = value(key)
            if not _HOST.fullmatch(text):
                raise Problem(
                    f"{key}={text} is not a host name: use lower-case letters, digits, dots and dashes."
                )
            return text

        port = value("BENCHTOP_PORT")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise Problem(f"BENCHTOP_PORT={port} is not a port: choose a number from 1 to 65535.")
        name, login_name = host("BENCHTOP_NAME"), host("BENCHTOP_LOGIN_NAME")
        if name == login_name:
            raise Problem(
                f"BENCHTOP_NAME and BENCHTOP_LOGIN_NAME are both {name}: give Keycloak a name of its own, "
                "because a notebook must not share the origin of the login pages."
            )
        return cls(
            root=root,
            name=name,
            login_name=login_name,
            bind=value("BENCHTOP_BIND"),
            port=int(port),
            base=value("BENCHTOP_BASE"),
            support=_support(value("BENCHTOP_SUPPORT")),
            project=_project(root, values.get("COMPOSE_PROJECT_NAME") or ""),
            clusters=_clusters(value("CLUSTERS")),
            cells=_cells(value("CELLS")),
            egress=_on_or_off("BENCHTOP_EGRESS", values.get("BENCHTOP_EGRESS") or "on"),
            engine=_on_or_off("BENCHTOP_ENGINE", values.get("BENCHTOP_ENGINE") or "on"),
            engine_images=_images(values.get("BENCHTOP_ENGINE_IMAGES") or ""),
            software=_software(value("BENCHTOP_SOFTWARE")),
        )


def _clusters(text: str) -> tuple[str, ...]:
    """The clusters of CLUSTERS, in the order in which the facility names them."""
    words = {word.strip() for word in text.split(",")}
    strangers = sorted(words - set(topology.CLUSTERS))
    if strangers:
        raise Problem(
            f"CLUSTERS={text} names {strangers[0] or 'nothing'}, which is no cluster: "
            f"choose {', '.join(f'{name} ({what})' for name, what in topology.SCHEDULERS.items())} or both."
        )
    return tuple(name for name in topology.CLUSTERS if name in words)


def _cells(text: str) -> int:
    if text not in {str(number) for number in range(1, topology.MOST_CELLS + 1)}:
        raise Problem(
            f"CELLS={text} is no number of cells: a cluster can have 1 to {topology.MOST_CELLS} of them."
        )
    return int(text)


def _on_or_off(key: str, text: str) -> bool:
    if text.strip() not in {"on", "off"}:
        raise Problem(f"{key}={text} is neither on nor off: choose one of them.")
    return text.strip() == "on"


def _software(text: str) -> tuple[str, ...]:
    """The environments of BENCHTOP_SOFTWARE: `none`, `all`, or their names."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if any(not _PROJECT.fullmatch(word) for word in words):
        raise Problem(
            f"BENCHTOP_SOFTWARE={text} is no list of environments: name folders of lab/environments, "
            "separated by commas, or write all or none."
        )
    return () if words == ("none",) else words


def _images(text: str) -> tuple[str, ...]:
    """The images of BENCHTOP_ENGINE_IMAGES, each with its tag, by which a hub's form may offer it."""
    words = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for word in words:
        if not _IMAGE.fullmatch(word):
            raise Problem(
                f"BENCHTOP_ENGINE_IMAGES: {word} is not an image of this machine with its tag: write it like "
                "mine/analysis:1, several separated by commas."
            )
    return words


def _support(text: str) -> str:
    if not MAIL.fullmatch(text):
        raise Problem(
            f"BENCHTOP_SUPPORT={text} is not a mail address: give the one that people may write to."
        )
    return text


def _project(root: Path, chosen: str) -> str:
    """The Compose project: the environment's, else the name that compose.yaml gives itself."""
    if not chosen:
        try:
            chosen = str(yaml.safe_load((root / "compose.yaml").read_text()).get("name") or "benchtop")
        except (OSError, AttributeError, yaml.YAMLError):
            chosen = "benchtop"
    if not _PROJECT.fullmatch(chosen):
        raise Problem(
            f"COMPOSE_PROJECT_NAME={chosen} is not a project name: use lower-case letters, digits, "
            "dashes and underscores, and begin with a letter or digit."
        )
    return chosen
