"""In what a session may be started: the facility's own JupyterLab, an environment, or a folder of one's own.

A request says "" for the facility's own, the name of an environment of the software area, or the path of a
virtual environment in the home of whoever asks. The form offers what the area has for their groups on this
cluster, and the same is checked again of whatever was sent. What is in a home, no hub can see: the session
itself looks (lab/benchtop_lab/session/chosen.py).

A version is chosen when a session is started, and kept: `current` may lead to another one a moment later.
"""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Sequence
from logging import Logger
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from benchtop_hub.backends.request import OWN, Problem, Refused
from benchtop_hub.wording import listed, quote

FIELD = "environment"
FACILITY, OF_ONES_OWN = "facility", "own"  # what is counted as such: of people's folders, nobody counts each
REMEMBER = 10.0  # seconds: as long may what is new in the area take to reach the form
PATIENCE = 2.0  # seconds for an area that may be on a file system of the network
LARGEST = 1 << 20  # bytes of what an environment says of itself
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Kernel(BaseModel):
    """What the Launcher shows of a kernel."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    language: str


class Environment(BaseModel):
    """One version of an environment, as its build describes it. groups: none means everybody"""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    title: str
    description: str = ""
    support: str = ""
    groups: frozenset[str] = frozenset()
    clusters: frozenset[str]
    kind: Literal["venv", "container"]
    python: str = ""
    kernels: tuple[Kernel, ...] = ()
    session: bool

    @property
    def label(self) -> str:
        """As the form's choice."""
        return f"{self.title} ({self.version})"

    @property
    def summary(self) -> str:
        """What it is for and what is in it, beside the choice."""
        kernels = listed(kernel.display_name for kernel in self.kernels)
        about = self.description.strip()
        about += "." if about and about[-1] not in ".!?" else ""
        return " ".join(filter(None, (about, f"Kernels: {kernels}." if kernels else "")))

    def is_for(self, groups: Collection[str], cluster: str) -> bool:
        """May somebody of these groups use it on this cluster? cluster: "" for any"""
        return (not self.groups or bool(self.groups & set(groups))) and cluster in {"", *self.clusters}


def read(root: Path) -> tuple[list[Environment], list[str]]:
    """The current version of each environment of an area, by name; and what is wrong with the others."""
    found, wrong = [], []
    try:
        links = sorted(entry / "current" for entry in root.iterdir() if NAME.fullmatch(entry.name))
    except OSError:  # this site has no area
        return [], []
    for link in links:
        if link.is_symlink():  # not so in a folder of modules
            try:
                found.append(_read(link))
            except (OSError, ValueError) as error:
                wrong.append(f"{link.parent.name}: {' '.join(str(error).split())[:300]}")
    return found, wrong


def _read(link: Path) -> Environment:
    name, version = link.parent.name, link.readlink().name
    with Path(link.parent, version, "environment.json").open("rb") as file:
        environment = Environment.model_validate_json(file.read(LARGEST))
    if (environment.name, environment.version) != (name, version):
        raise ValueError(f"it says that it is {environment.name}/{environment.version}")
    return environment


class Area:
    """The software area, as one hub sees it."""

    def __init__(
        self, root: Path, cluster: str, log: Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.root, self.cluster, self.log, self._clock = root, cluster, log, clock
        self._known: list[Environment] = []
        self._wrong: list[str] = []
        self._at = self._began = float("-inf")
        self._reading: asyncio.Future[tuple[list[Environment], list[str]]] | None = None

    async def offered(self, groups: Collection[str], *, max_age: float = REMEMBER) -> list[Environment]:
        """What somebody of these groups may choose, by what was there at most `max_age` seconds ago.

        Of an area that does not answer, what was known before: other people's pages do not wait for it.
        """
        needed = self._clock() - max_age
        while self._at < needed:  # what somebody else is reading now may have begun too early
            if self._reading is None or self._reading.done():
                self._began = self._clock()
                self._reading = asyncio.ensure_future(asyncio.to_thread(read, self.root))
            reading, began = self._reading, self._began
            try:
                known, wrong = await asyncio.wait_for(asyncio.shield(reading), PATIENCE)
            except TimeoutError:
                self.log.warning("software area silent path=%s", self.root)
                break
            for fault in set(wrong) - set(self._wrong):
                self.log.warning("environment left out: %s", fault)
            self._known, self._wrong, self._at = known, wrong, began
        return [environment for environment in self._known if environment.is_for(groups, self.cluster)]

    async def find(self, asked: str, groups: Collection[str], *, home: str, support: str) -> str:
        """What a session is to be started in: "", NAME/VERSION, or the path of a folder in `home`.

        Raises Refused for what is not theirs to choose, or gone.
        """
        if not asked:
            return ""
        if asked.startswith(("~", "/")):
            return own_folder(asked, home)
        for age in (1.0, 0.0):  # it may be new
            offered = await self.offered(groups, max_age=age)
            found = next((environment for environment in offered if environment.name == asked), None)
            if found:
                return f"{found.name}/{found.version}"
        names = listed(environment.name for environment in offered)
        sentence = (
            f"Environment: “{quote(asked)}” is not available to you on this cluster, or not any more. "
            f"Choose {f'{names}, or ' if names else ''}the facility's JupyterLab, or ask {support}."
        )
        raise Refused(Problem(FIELD, quote(asked), "environments", sentence))


def own_folder(asked: str, home: str) -> str:
    """The path of a virtual environment in a home. Raises Refused for one that is elsewhere."""
    path = PurePosixPath(home, asked[2:]) if asked.startswith("~/") else PurePosixPath(asked)
    if ".." in path.parts or PurePosixPath(home) not in path.parents:
        sentence = (
            f"Environment: “{quote(asked)}” is not a folder in your home. "
            "Enter the folder of your virtual environment, for example ~/my-env."
        )
        raise Refused(Problem(FIELD, quote(asked), "home", sentence))
    return str(path)


def counted_as(environment: str) -> str:
    """By what a session is counted. environment: as Area.find has it"""
    if not environment:
        return FACILITY
    return OF_ONES_OWN if environment.startswith("/") else environment


def shown(asked: str, offered: Sequence[Environment]) -> dict[str, Any]:
    """What the form's field goes by. asked: before, or by a link; it may be gone."""
    own = asked.startswith(("~", "/"))
    names = {environment.name for environment in offered}
    gone = bool(asked) and not own and asked not in names
    return {
        "choices": offered,
        "chosen": OWN if own else "" if gone else asked,
        "path": asked if own and asked != OWN else "",
        "gone": quote(asked) if gone else "",
    }
