"""Somebody at each place where there are sessions, whose own files a test spoils."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from bs4 import BeautifulSoup

from benchtop.settings import Settings
from support import sessions, traffic
from support.homes import NODES, Home
from support.hub import Hub
from support.wait import wait_until

PLACES = tuple(NODES)
WHO = "ivan"  # who belongs to no other test
TOLD = 60  # seconds in which somebody whose session cannot start reads why
ENDED = 30  # … and in which nothing is left of it
ASKED: dict[str, dict[str, Any]] = {
    "hpc": {"partition": "debug", "runtime": 10},
    "htc": {"runtime": 10},
    "hpc-login": {"where": "login", "runtime": 10},
    "htc-login": {"where": "login", "runtime": 10},
    "hpc-container": {"where": "container", "runtime": 10},
    "htc-container": {"where": "container", "runtime": 10},
}
LOG = ".benchtop-session.log"


@dataclass
class Owner:
    """Somebody at one place, with their home."""

    place: str
    hub: Hub
    home: Home

    def start(self, **more: object) -> requests.Response:
        """Ask for a session there."""
        return self.hub.start(**ASKED[self.place], **more)

    def begin(self, **more: Any) -> None:
        """Start one, wait until it is ready, open it."""
        sessions.begin(self.hub, **ASKED[self.place], **more)

    def fails(self, **more: object) -> str:
        """Start one that must fail; all that its owner is shown, without any HTML."""
        assert self.start(**more).status_code in {201, 202, 500}  # the last one within ten seconds
        wait_until(lambda: self.hub.server() is None, timeout=TOLD, what="the start to fail")
        return BeautifulSoup(f"{self.hub.failure()} {self.hub.last_words()}", "html.parser").get_text(" ")

    def ask(self, path: str) -> dict[str, object]:
        """What the session's server says on an address of the facility's own."""
        answer = self.hub._call(f"{self.hub.lab}lab", f"benchtop/{path}", "GET")
        assert answer.ok, answer.text
        return dict(answer.json())

    def computes(self) -> bool:
        """Does a notebook work?"""
        return traffic.run(self.hub, self.hub.kernel(), "print(6 * 7)") == "42"

    def left(self) -> str:
        """What of theirs still runs there."""
        script = f"pgrep --uid {self.hub.person} --list-full | grep -v pgrep || true"
        return "".join(self.home.run(script, node=node, check=False) for node in NODES[self.place])


@contextmanager
def owners(
    settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Callable[[str], Owner]]:
    """`owner_at("htc")`: somebody without a session there, and without the files that these tests make."""
    known: dict[str, Owner] = {}

    def clear(owner: Owner) -> None:
        owner.home.remove(
            ".jupyter",
            ".local",
            ".ipython",
            ".bashrc",
            ".bash_profile",
            ".profile",
            ".ssh",
            ".pam_environment",
            LOG,
        )
        sessions.end(owner.hub)

    def go(place: str) -> Owner:
        hub = Hub(settings, signed_in(WHO), WHO, place.partition("-")[0])
        owner = known.setdefault(place, Owner(place, hub, Home(settings, WHO)))
        clear(owner)
        return owner

    yield go
    for owner in known.values():
        clear(owner)
