"""Run something on a node as a person, beside whatever jobs they have there."""

from __future__ import annotations


def become(person: str) -> list[str]:
    """The words before a command that make it theirs."""
    return ["setpriv", f"--reuid={person}", "--regid=people", "--init-groups", "--"]


def as_person(person: str, command: str) -> str:
    """Likewise for a command that is one text, as testinfra takes it."""
    return " ".join([*become(person), command])
