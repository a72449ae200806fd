"""The forms' templates, and what their script goes by."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

from benchtop_hub.backends import environments, written
from benchtop_hub.backends.request import Before


class Place(NamedTuple):
    """Where a session can be had, as the form offers it.

    where: the request's word; hint: what it is good for, as a sentence; free: what is free of it, as another
    most: the most of a field that one session may have there, where no scheduler says it
    images: what a container can be started from, each with a line on what is in it
    """

    where: str
    label: str
    hint: str = ""
    free: str = ""
    most: Mapping[str, int] = MappingProxyType({})
    images: Mapping[str, str] = MappingProxyType({})


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


def render(folder: Path, name: str, before: Before, values: Mapping[str, object], **shown: object) -> str:
    """The fields of a form as HTML."""
    asked = str(before.sent.get("environment", before.asked.get("environment") or ""))
    # what somebody had elsewhere before, no scheduler's limits have looked at
    elsewhere = before.asked if before.asked.get("where", "batch") != "batch" else {}
    own = {name: elsewhere[name] for name in ("cpus", "memory", "runtime") if name in elsewhere}
    kept = {"image": before.asked.get("image", ""), **values, **as_written(own)}
    shown["values"] = {**kept, **before.sent}
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


def render_small(folder: Path, before: Before, places: Places, *, message: str = "") -> str:
    """The form where no scheduler is asked: the fields of these places alone, as HTML.

    message: why there is no more to choose from
    """
    places = [place for place in places if place.where != "batch"]  # a scheduler has a form of its own
    empty = dict.fromkeys(("where", "image", "cpus", "memory", "runtime"), "")
    theirs = [place.where for place in places]
    asked = before.asked if before.asked.get("where", *theirs[:1]) in theirs else {}
    values = empty | as_written({**asked, **before.sent})
    return render(folder, "small-form.html", before, message=message, places=places, values=values)
