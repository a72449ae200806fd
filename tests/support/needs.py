"""What a test has for itself while it runs: side_by_side.py keeps apart what would disturb each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

EVERYTHING = "everything"
WITHOUT_FACILITY = ("tests/lint/", "tests/unit/")


@dataclass(frozen=True)
class Needs:
    """What tests have for themselves, and what they share with others, each with all that it is a part of."""

    own: frozenset[str]
    shared: frozenset[str]

    @classmethod
    def of(cls, items: Iterable[pytest.Item]) -> Needs:
        """What all of these need together."""
        own: set[str] = set()
        shared: set[str] = set()
        for item in items:
            if not item.nodeid.startswith(WITHOUT_FACILITY):
                shared.add(EVERYTHING)
            own.update(thing for marker in item.iter_markers("needs") for thing in marker.args)
            shared.update(thing for marker in item.iter_markers("shares") for thing in marker.args)
            if item.get_closest_marker("alone"):
                own.add(EVERYTHING)
        for thing in own | shared:
            parts = thing.split("/")
            shared.update("/".join(parts[:count]) for count in range(1, len(parts)))
        return cls(frozenset(own), frozenset(shared - own))

    def disturb(self, other: Needs) -> bool:
        """Whether the two cannot be had at the same time."""
        return bool(self.own & (other.own | other.shared) or other.own & self.shared)

    def hold(self, thing: str) -> bool:
        """Is this, or what it is a part of, had by nobody else meanwhile?"""
        parts = thing.split("/")
        return bool(self.own & {EVERYTHING, *("/".join(parts[: count + 1]) for count in range(len(parts)))})


held: Needs | None = None  # of the test that runs; None where nothing keeps tests apart, as in a benchmark


def check_held(thing: str) -> None:
    """Fail a test that changes what it has not asked for: one that runs beside it would fail, some day.

    Raises AssertionError.
    """
    assert held is None or held.hold(thing), f"this changes {thing}: mark the test needs({thing!r})"
