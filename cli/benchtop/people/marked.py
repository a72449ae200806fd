"""YAML of which every value remembers its line, so that a mistake can be told with the place to mend.

Only what a list of settings needs: text, whole numbers, true, false, lists and mappings. No aliases,
no tags, no second document, and a key only once: what YAML does with these surprises people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict
from pydantic_core import ErrorDetails

_DEPTH = 12  # our files are five levels deep: more is a mistake, or somebody playing

Place = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Mistake:
    """What is wrong in which line of which file."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        # a name out of the file may hold a line break, and a mistake is one line of a list
        reason = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in self.reason)
        return f"{self.file}:{self.line}: {reason}"


@dataclass(frozen=True)
class Source:
    """One file as written: its values, and the line of each."""

    file: str
    value: object
    lines: Mapping[Place, int]

    def mistake(self, place: Place, reason: str) -> Mistake:
        """A mistake at the line of `place`, or of the nearest thing around it that has one."""
        while place and place not in self.lines:
            place = place[:-1]
        return Mistake(self.file, self.lines.get(place, 1), reason)


class _Unreadable(Exception):  # noqa: N818 - a file without values, not an error of ours
    """Why a file has no values at all, and the line where that shows."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def listed(mistakes: Iterable[Mistake], where: str) -> tuple[str, list[str]]:
    """A Problem's sentence and details. where: in what the mistakes are, and what was left undone for it"""
    found = sorted(set(mistakes))
    what = "is a mistake" if len(found) == 1 else f"are {len(found)} mistakes"
    return f"There {what} in {where}: fix it and try again.", [str(mistake) for mistake in found]


# For models of such files: say what they do not know, and take no text for a number.
STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
# What a list of people must be; other files have their own words.
_A_LIST_OF_PEOPLE = "list people below `people:`"


def parse(path: Path, mistakes: list[Mistake], purpose: str = _A_LIST_OF_PEOPLE) -> Source | None:
    """The values of a YAML file; None, and mistakes, when it has none that we read.

    purpose: what the file must do, for whoever left it empty: a clause after “it must”
    """
    file = _shown(path)
    try:
        text = _text(path)
        foreign = [Mistake(file, line, reason) for line, reason in _foreign(text)]
        mistakes.extend(foreign)
        if foreign:
            return None
        node = _compose(text, purpose)
    except _Unreadable as error:
        mistakes.append(Mistake(file, error.line, str(error)))
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
        mistakes.append(Mistake(file, line, f"this is not YAML: {error.problem or error.context}"))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        mistakes.append(Mistake(file, line, "holds a control character, which no text should"))
        return None
    lines: dict[Place, int] = {}
    return Source(file, _value(node, (), Source(file, None, lines), lines, mistakes), lines)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _Unreadable(1, f"cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(data.count(b"\n", 0, error.start) + 1, "this is not UTF-8 text") from error


def _compose(text: str, purpose: str) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        raise _Unreadable(1, f"is empty: it must {purpose}")
    if not isinstance(node, yaml.MappingNode):
        raise _Unreadable(node.start_mark.line + 1, f"is not a mapping: it must {purpose}")
    return node


def _foreign(text: str) -> Iterator[tuple[int, str]]:
    """What YAML allows and a list of people has no use for."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            yield line, f"anchors and aliases are not used here: write “{event.anchor}” out"
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            yield line, f"tags are not used here: leave “{event.tag}” out"
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > _DEPTH:  # before a parser that recurses meets it
                yield line, "is nested too deeply"
                return
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


def _value(
    node: yaml.Node, place: Place, source: Source, lines: dict[Place, int], mistakes: list[Mistake]
) -> object:
    """The plain value of a node; notes the line of everything on the way."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or not key_node.tag.endswith(":str"):
                shown = f"“{key_node.value}”" if isinstance(key_node, yaml.ScalarNode) else "this"
                reason = f"{shown} is not a name (put it in quotes if it is meant as one)"
                mistakes.append(Mistake(source.file, line, reason))
                continue
            key = key_node.value
            if key in found:
                reason = f"“{key}” is here a second time (first in line {first[key]})"
                mistakes.append(Mistake(source.file, line, reason))
                continue
            first[key] = lines[(*place, key)] = line
            found[key] = _value(value_node, (*place, key), source, lines, mistakes)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*place, i), source, lines, mistakes) for i, item in enumerate(node.value)]
    return _scalar(node.tag, node.value)


def _scalar(tag: str, text: str) -> object:
    """Text, a number, yes or no. Everything else that YAML sees in a word (dates, octals) stays text."""
    if tag.endswith(":null"):
        return None
    if tag.endswith(":bool"):
        return {"true": True, "false": False}.get(text.lower(), text)  # `yes` and `off` are words
    if tag.endswith(":int") and re.fullmatch(r"-?(0|[1-9]\d{0,17})", text, re.ASCII):
        return int(text)
    return text


def _shown(path: Path) -> str:
    """The path as a person at the root of the checkout would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)


def spot(place: Place) -> str:
    """Where in the file, for people: `people.alice.uid: `."""
    words = ".".join(str(word) for word in place)
    return f"{words}: " if words else ""


def reason_of(detail: ErrorDetails) -> str:
    """Pydantic's finding as a sentence for somebody who never heard of it."""
    given: Any = detail["input"]
    context = detail.get("ctx") or {}
    shown = f"“{given}”" if isinstance(given, str | int | float) else "a list or mapping"
    if given is None:
        shown = "nothing"
    sentences = {
        "missing": "is missing",
        "extra_forbidden": "is not known here (a typing error?)",
        "int_type": f"must be a whole number, not {shown}",
        "string_type": f"must be text, not {shown}",
        "bool_type": f"must be true or false, not {shown}",
        "list_type": f"must be a list like [one, two], not {shown}",
        "dict_type": f"must be a mapping, not {shown}",
        "model_type": f"must be a mapping, not {shown}",
        "model_attributes_type": f"must be a mapping, not {shown}",
        "too_short": "must not be empty",
        "value_error": str(context.get("error", "")),
    }
    kind = detail["type"]
    if kind in sentences:
        return sentences[kind]
    if kind == "literal_error":
        return f"{shown} is not one of {str(context['expected']).replace(chr(39), '')}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound, side = next((v, k) for k, v in context.items() if k in {"ge", "le"})
        return f"{shown} is too {'small: at least' if side == 'ge' else 'large: at most'} {bound}"
    return detail["msg"]
