"""A part of the configuration: which files it is, and what each of them can do.

A module of this room says for one part how it is checked, what people are told, how it is made live and
how it is undone; apply.py knows their order and nothing else of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from benchtop.config import restart
from benchtop.people.roster import People
from benchtop.settings import Settings


@dataclass
class Plan:
    """A change that was checked: the files that differ, what people notice of it, and what makes it live."""

    part: Part
    files: list[str]
    notice: str
    make_live: Callable[[], None]


@dataclass(frozen=True)
class Part(ABC):
    """Files of the checkout that are checked and made live together.

    paths: files and folders; `folder` among them is seen by containers at `mount`
    cluster: the one without which there is nothing to configure; empty: every facility has it
    takes_along: the part whose new files were checked against those of this one, and go live with them
    """

    name: str
    paths: tuple[str, ...]
    folder: str = ""
    mount: str = ""
    cluster: str = ""
    takes_along: str = ""

    @abstractmethod
    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """Have the new files judged, touching nothing that runs; raises Problem with `file:line: reason`."""

    def go_back(self, settings: Settings, plan: Plan) -> None:
        """Have the services take up the former files, which are in place again."""
        fallen = restart.readers(settings, self.folder) & restart.unwell(settings)
        if fallen:
            restart.restart(settings, sorted(fallen))
        plan.make_live()
