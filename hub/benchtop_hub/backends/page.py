"""The forms' templates, and what their script goes by."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

from benchtop_hub.backends import environments, written
from benchtop_hub.backends.request import Before


class Place(NamedTuple):
    """Where a session can be had: the request's word, its label in the form, a sentence beside the choice."""

    where: str
    label: str
    hint: str = ""


Places = Sequence[Place]


@cache
def templates(folder: Path) -> Environment:
    """The templates of a folder, each read and compiled once."""
    return Environment(loader=FileSystemLoader(folder), autoescape=True)


def script_data(data: Mapping[str, Any]) -> str:
    """What the script beside the form goes by; a "<" could end the element that it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def as_written(values: Mapping[str, Any]) -> dict[str, str]:
    """The values of a request's fields as the form shows them: amounts in the units that people use."""
    shown = {"memory": written.size, "disk": written.size, "runtime": written.duration}
    return {
        name: shown[name](value) if name in shown and isinstance(value, int) else str(value)
        for name, value in values.items()
    }


def render(folder: Path, name: str, before: Before, **shown: object) -> str:
    """The fields of a form as HTML."""
    asked = str(before.sent.get("environment", before.asked.get("environment") or ""))
    return (
        templates(folder)
        .get_template(name)
        .render(
            problem=before.problem,
            again=bool(before.asked) and not before.sent,
            duration=written.duration,
            size=written.size,
            environments=environments.shown(asked, before.environments),
            **shown,
        )
    )
