"""Which call of Docker's API a request is, if it is one of those that a session needs.

The request's target is compared as it came, byte by byte, with what is allowed: nothing is decoded, folded or
put together first, so that no second spelling of an address exists here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from .verdicts import Malformed, Refused

LONGEST_TARGET = 2048  # bytes
LONGEST_WAIT = 60  # seconds that a container may be given to end by itself
MOST_LINES = 1000  # of a log
NAME = r"bt-[a-z0-9][a-z0-9_-]{0,99}"
IMAGE = r"[a-z0-9][a-z0-9._/-]{0,129}(?::[A-Za-z0-9_.-]{1,64})?|sha256:[0-9a-f]{64}"

_VERSION = r"(?:/v1\.[1-9][0-9])?"
_CONTAINER = rf"(?P<container>[0-9a-f]{{12,64}}|{NAME})"
_YES_NO = r"[Tt]rue|[Ff]alse|[01]"
_NO = r"[Ff]alse|0"
_NUMBER = r"[0-9]{1,10}"


@dataclass(frozen=True)
class Kind:
    """A call: how it is written, and what may stand behind the question mark."""

    name: str
    methods: tuple[str, ...]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)  # name → what its value must look like
    body: bool = False


KINDS: Sequence[Kind] = (
    Kind("ping", ("GET", "HEAD"), "/_ping"),
    Kind("version", ("GET",), "/version"),
    Kind("info", ("GET",), "/info"),
    Kind("images", ("GET",), "/images/json", {"all": _YES_NO, "only_ids": _NO}),
    Kind("image", ("GET",), rf"/images/(?P<image>{IMAGE})/json"),
    Kind(
        "list",
        ("GET",),
        "/containers/json",
        {
            "all": _YES_NO,
            "filters": r"(?s).{0,1024}",
            "limit": "-1",
            "size": _NO,
            "trunc_cmd": _YES_NO,
        },
    ),
    Kind("create", ("POST",), "/containers/create", {"name": NAME}, body=True),
    Kind("inspect", ("GET",), rf"/containers/{_CONTAINER}/json", {"size": _NO}),
    Kind("start", ("POST",), rf"/containers/{_CONTAINER}/start"),
    Kind("stop", ("POST",), rf"/containers/{_CONTAINER}/stop", {"t": _NUMBER}),
    Kind(
        "kill",
        ("POST",),
        rf"/containers/{_CONTAINER}/kill",
        {"signal": r"(SIG)?(TERM|KILL|INT|HUP|QUIT)|9|15"},
    ),
    Kind("wait", ("POST",), rf"/containers/{_CONTAINER}/wait", {"condition": "not-running|next-exit"}),
    Kind(
        "logs",
        ("GET",),
        rf"/containers/{_CONTAINER}/logs",
        {
            "stdout": _YES_NO,
            "stderr": _YES_NO,
            "timestamps": _YES_NO,
            "follow": _NO,
            "tail": rf"{_NUMBER}|all",
            "since": _NUMBER,
            "until": _NUMBER,
        },
    ),
    Kind("remove", ("DELETE",), rf"/containers/{_CONTAINER}", {"force": _YES_NO, "v": _YES_NO, "link": _NO}),
)
_PATHS = [(kind, re.compile(_VERSION + kind.path)) for kind in KINDS]
# What Docker's API has besides: refused by name, so that the log says what was tried
_NEVER = {
    "attach": r".*/attach(/ws)?", "archive": r".*/archive", "auth": r"/auth", "build": r"/(build|session).*",
    "commit": r"/commit", "configs": r"/configs.*", "copy": r".*/copy", "distribution": r"/distribution.*",
    "events": r"/events", "exec": r".*/exec(/.*)?", "export": r".*/(export|get)", "load": r"/images/load",
    "networks": r"/networks.*", "nodes": r"/nodes.*", "plugins": r"/plugins.*", "prune": r".*/prune",
    "pull": r"/images/create", "push": r".*/push", "rename": r".*/rename", "resize": r".*/resize",
    "secrets": r"/secrets.*", "services": r"/services.*", "stats": r".*/stats", "swarm": r"/swarm.*",
    "system": r"/system.*", "tag": r".*/tag", "tasks": r"/tasks.*", "update": r".*/update",
    "volumes": r"/volumes.*", "libpod": r".*/libpod.*",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A call that is allowed as far as its address says."""

    kind: Kind
    container: str = ""  # an id, the beginning of one, or a name
    image: str = ""
    query: Mapping[str, str] = field(default_factory=dict)

    def yes(self, name: str) -> bool:
        """Whether a part of the query says yes."""
        return self.query.get(name, "") in {"true", "True", "1"}

    def seconds(self, name: str, usual: int) -> int:
        """A part of the query that is a time; `usual` where there is none. Raises Refused for a long one."""
        value = int(self.query.get(name, usual))
        if value > LONGEST_WAIT:
            raise Refused(f"{name}={value} is too long: at most {LONGEST_WAIT} seconds.")
        return value


def read_target(method: str, target: str) -> Call:
    """The call that the first line of a request makes.

    Raises Refused for what is none of ours, and Malformed for what no client of Docker's writes.
    """
    if len(target) > LONGEST_TARGET:
        raise Malformed(f"The address is longer than {LONGEST_TARGET} bytes.")
    path, mark, query = target.partition("?")
    if not re.fullmatch(r"/[A-Za-z0-9_.:/-]*", path) or "//" in path or "/." in path:
        raise Malformed(
            f"Not an address of this API: {target!a:.120}. Write it plainly, with nothing encoded in it."
        )
    for kind, pattern in _PATHS:
        found = pattern.fullmatch(path)
        if found and method in kind.methods:
            named = found.groupdict()
            return Call(
                kind, named.get("container") or "", named.get("image") or "", _read_query(kind, query, mark)
            )
    rest = re.sub(r"^/v[0-9.]+(?=/)", "", path)
    what = next((name for name, pattern in _NEVER.items() if re.fullmatch(pattern, rest)), "")
    never = f"“{what}” is not for hubs" if what else "there is no such call here"
    raise Refused(
        f"{method!a:.12} {path!a:.120}: {never}. A hub may start, see and end sessions of its own people."
    )


def _read_query(kind: Kind, query: str, mark: str) -> dict[str, str]:
    values: dict[str, str] = {}
    if mark and not query:
        return values
    for part in query.split("&") if query else []:
        name, equals, raw = part.partition("=")
        if name not in kind.query or not equals:
            raise Refused(f"{kind.name} takes no {name!a:.40} behind the question mark.")
        if name in values:
            raise Malformed(f"{name} is there twice: which one counts?")
        value = _decode(raw)
        if not re.fullmatch(kind.query[name], value):
            raise Refused(f"{kind.name}: {name}={value!a:.80} is not possible.")
        values[name] = value
    return values


def _decode(raw: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", raw) or not re.fullmatch(r"[!-~]*", raw):
        raise Malformed("A value behind the question mark is not encoded as it should be.")
    try:
        text = unquote_to_bytes(raw.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Malformed("A value behind the question mark is no text.") from None
    if not text.isprintable():
        raise Malformed("A value behind the question mark has characters that cannot be seen.")
    return text


def read_json(body: bytes) -> Any:  # noqa: ANN401 what it is, each field's judge says
    """A body of JSON in which each key stands once.

    Of two keys of one name, one reader takes the first and another the last. Raises Malformed.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Go's reader, which the engine has, takes "image" for "Image": two such keys are one to it
        if len({key.casefold() for key, _ in pairs}) != len(pairs):
            raise Malformed("The body has the same key twice: which one counts?")
        return dict(pairs)

    def never(name: str) -> Any:  # noqa: ANN401
        raise Malformed(f"The body has {name} in it, which is no JSON.")

    try:
        return json.loads(body.decode(), object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError):
        raise Malformed("The body is no JSON.") from None


def read_filters(text: str) -> str:
    """Whose containers a list is to have: “filters” may name one owner, or be left out. Raises Refused."""
    labels = read_json(text.encode() or b"{}")
    if isinstance(labels, dict) and set(labels) <= {"label"}:
        wanted = labels.get("label", [])
        if isinstance(wanted, dict) and all(value is True for value in wanted.values()):
            wanted = list(wanted)
        if wanted == []:
            return ""
        if isinstance(wanted, list) and len(wanted) == 1 and isinstance(wanted[0], str):
            found = re.fullmatch(r"benchtop\.owner=([a-z][a-z0-9_-]{0,30})", wanted[0])
            if found:
                return found[1]
    raise Refused("filters: only one label can be asked for, benchtop.owner=NAME.")
