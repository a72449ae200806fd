"""The form that asks what a session should have, and the check of what came back.

The form offers only what the person may use. What comes back is checked against the same rights again,
whichever way it came: by the form, by a link, or by the API, where nobody has seen a form.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchtop_hub.backends.slurm.rights import ANY, Choice, Limit, Node, Reservation, Shape

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FIELDS = {
    "where": "Where",
    "partition": "Partition",
    "account": "Account",
    "qos": "Quality of service",
    "reservation": "Reservation",
    "gpu": "GPU",
    "cpus": "CPUs",
    "memory": "Memory",
    "runtime": "Runtime",
}
UNITS = {"cpus": "", "memory": " MB", "disk": " MB", "runtime": " minutes"}
NO_GPU = "none"
NAME = r"^[A-Za-z0-9_.-]*$"
SHOWN = 80  # characters of what was sent that are shown and logged
DEFAULT_RUNTIME = 720  # minutes, or less where less is allowed


AnyRequest = TypeVar("AnyRequest", bound=BaseModel)
AnyGranted = TypeVar("AnyGranted", bound="DataclassInstance")


@dataclass(frozen=True)
class Problem:
    """Why a request is refused: the field, what it said, the rule for the log, a sentence for the person."""

    field: str
    value: str
    rule: str
    sentence: str


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """A request that the person's rights don't cover; `problem` says which part."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


class Request(BaseModel):
    """What somebody asks for. An empty name: whichever fits, or no reservation; no number: the usual."""

    # `$` is the very end of the text here: pydantic's patterns are Rust's, not Python's
    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Literal["batch", "login"] = "batch"
    partition: str = Field("", max_length=64, pattern=NAME)
    account: str = Field("", max_length=64, pattern=NAME)
    qos: str = Field("", max_length=64, pattern=NAME)
    reservation: str = Field("", max_length=64, pattern=NAME)
    gpu: str = Field(NO_GPU, max_length=64, pattern=r"^(none|[A-Za-z0-9_.-]+(:[1-9][0-9]?)?)$")
    cpus: int | None = Field(None, ge=1, le=65_536)
    memory: int | None = Field(None, ge=1, le=1 << 30)
    runtime: int | None = Field(None, ge=1, le=525_600)

    @field_validator("partition", "account", "qos", "reservation", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("cpus", "memory", "runtime", mode="before")
    @classmethod
    def _a_form_sends_text(cls, value: object) -> object:
        return whole(value)

    @property
    def gpu_kind(self) -> str:
        """The type of GPU, or `none`."""
        return self.gpu.partition(":")[0]

    @property
    def gpu_count(self) -> int:
        """How many."""
        return 0 if self.gpu_kind == NO_GPU else int(self.gpu.partition(":")[2] or 1)


@dataclass(frozen=True)
class Granted:
    """A request that is within the rights of who made it, with nothing left open. Memory in MB."""

    partition: str
    account: str
    qos: str
    reservation: str
    gpu_kind: str
    gpu_count: int
    cpus: int
    memory: int
    runtime: int

    @property
    def gres(self) -> str:
        """As `sbatch --gres` wants it; empty for none."""
        if not self.gpu_count:
            return ""
        kind = "" if self.gpu_kind == ANY else f"{self.gpu_kind}:"
        return f"gpu:{kind}{self.gpu_count}"


@dataclass(frozen=True)
class Offer:
    """What the scheduler says: what a person may use, the preferred first, and what is free."""

    choices: Sequence[Choice]
    reservations: Sequence[Reservation] = ()
    nodes: Sequence[Node] = ()


@dataclass(frozen=True)
class Rules:
    """What the facility says: what whoever does not say gets (memory in MB), and whom to ask for more."""

    cpus: int
    memory: int
    support: str
    login: bool = False  # may a session be on a login node?


@dataclass(frozen=True)
class Before:
    """What a form starts from: what the last start asked for, and what was just sent and refused."""

    asked: Mapping[str, Any] = field(default_factory=dict)
    sent: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None


def whole(value: object) -> object:
    """What a number's field was sent, before it is read as a number: a form sends text, nothing is None.

    Raises ValueError for what pydantic would take for a whole number and nobody would: 1.0, True, "1_000".
    """
    if isinstance(value, str):
        text = value.strip()
        if text and not (text.isascii() and text.isdecimal()):
            raise ValueError("a whole number")
        return text or None
    if isinstance(value, (bool, float)):
        raise ValueError("a whole number")  # noqa: TRY004  pydantic wants this one
    return value


def read(sent: Mapping[str, Any]) -> Request:
    """A request from a form's fields (lists of one text) or from the API's JSON. Raises Refused."""
    return understood(sent, Request, FIELDS, "Write one like 2.")


def understood(
    sent: Mapping[str, Any], kind: type[AnyRequest], fields: Mapping[str, str], like: str
) -> AnyRequest:
    """A request of any cluster: what was sent is well-formed, nothing more. Raises Refused.

    fields: name → label; like: what to write where a number is wanted
    """
    values: dict[str, Any] = {}
    for name, value in sent.items():
        if isinstance(value, list):
            if len(value) != 1:
                sentence = f"{_label(name, fields)}: say it once, please."
                raise Refused(Problem(_field(name), shown(value), "form", sentence))
            values[name] = value[0]
        else:
            values[name] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        value = shown(values.get(name, ""))
        label = _label(name, fields)
        if name not in fields:
            sentence = f"{label} is nothing that a session can be asked for."
        elif int not in get_args(kind.model_fields[name].annotation):
            sentence = f"{label}: “{value}” is not one of the names to choose from."
        else:
            unit = " of minutes" if name == "runtime" else ""
            sentence = f"{label}: “{value}” is not a number{unit}. {like}"
        raise Refused(Problem(_field(name), value, f"form/{first['type']}", sentence)) from None


def shown(value: object, most: int = SHOWN) -> str:
    """What somebody said, fit for a sentence and for the log: not too long, and all of it can be seen."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(value)[:most])


def _field(name: str) -> str:
    return name if re.fullmatch(r"\w{1,40}", name, re.ASCII) else "?"  # the log has it as it is


def _label(name: str, fields: Mapping[str, str] = FIELDS) -> str:
    return fields.get(name, f"“{shown(name[:40])}”")


def check(request: Request, offer: Offer, rules: Rules) -> Granted:
    """The request with its open parts filled, if what is offered covers it.

    Raises Refused with the first field that is not covered.
    """
    if not offer.choices:
        sentence = f"You have no account on this cluster. Ask {rules.support} for one."
        raise Refused(Problem("account", request.account, "assoc", sentence))
    left = list(offer.choices)
    chosen: list[str] = []
    for name in ("partition", "account", "qos"):
        value = getattr(request, name)
        fits = [choice for choice in left if value in {"", getattr(choice, name)}]
        if not fits:
            allowed = _some(dict.fromkeys(getattr(choice, name) for choice in left))
            with_what = f" with {' and '.join(chosen)}" if chosen else ""
            sentence = (
                f"{_label(name)}: “{value}” is not yours to use{with_what}. "
                f"Choose {allowed}, or ask {rules.support}."
            )
            raise Refused(Problem(name, value, _rule(name, request, left), sentence))
        if value:
            chosen.append(f"the {_label(name).lower()} {value}" if name != "qos" else f"QOS {value}")
        left = fits
    left = _by_reservation(request, left, offer.reservations, rules.support)
    left = _by_gpu(request, left, rules.support)
    left, cpus = _by_size("cpus", request, left, rules, 1)
    left, memory = _by_size("memory", request, left, rules, cpus)
    best, runtime = _by_time(request, left, rules.support)
    return Granted(
        best.partition, best.account, best.qos, request.reservation,
        request.gpu_kind, request.gpu_count, cpus, memory, runtime,
    )  # fmt: skip


def _some(names: Iterable[str], most: int = 8) -> str:
    """A list for a sentence; somebody may have hundreds of accounts."""
    listed = list(names)
    return ", ".join(listed[:most]) + (" …" if len(listed) > most else "")


def _rule(name: str, request: Request, left: Sequence[Choice]) -> str:
    where = request.partition or left[0].partition
    return {"partition": "partitions", "account": f"partition:{where}/AllowAccounts"}.get(
        name, f"partition:{where}/AllowQos"
    )


def _by_reservation(
    request: Request, choices: list[Choice], reservations: Sequence[Reservation], support: str
) -> list[Choice]:
    name = request.reservation
    if not name:
        return choices
    for one in reservations:
        if one.name == name:
            fits = [choice for choice in choices if one.serves(choice)]
            if fits:
                return fits
            whose = f"the account {_some(sorted(one.accounts))}"
            what = f"the partition {one.partition}" if one.partition else whose
            sentence = f"Reservation: “{name}” is for {what}. Choose that, or no reservation."
            raise Refused(Problem("reservation", name, f"reservation:{name}", sentence))
    known = _some(one.name for one in reservations)
    choose = f"Choose {known} or none" if known else "Choose none"
    sentence = f"Reservation: “{name}” is not yours to use. {choose}, or ask {support}."
    raise Refused(Problem("reservation", name, "reservations", sentence))


def _by_gpu(request: Request, choices: list[Choice], support: str) -> list[Choice]:
    kind, count = request.gpu_kind, request.gpu_count
    if not count:
        return choices
    fits = [choice for choice in choices if choice.offered().get(kind, 0) >= count]
    if fits:
        return fits
    known: list[Limit] = [choice.gpus[kind] for choice in choices if kind in choice.gpus]
    most = max(
        known, key=lambda limit: limit.value, default=Limit(0, f"partition:{choices[0].partition}/Gres")
    )
    where = dict.fromkeys(choice.partition for choice in choices)
    if most.value:
        sentence = (
            f"GPU: {count} is more than you may have here ({most.value}). Choose less, or ask {support}."
        )
    elif any(limit.rule.startswith(("assoc:", "qos:")) for limit in known):
        sentence = f"GPU: your account does not include GPUs. Choose “none”, or ask {support} for access."
    else:
        what = "GPU" if kind == ANY else f"GPU of type {kind}"
        sentence = f"GPU: there is no {what} in {', '.join(where)}. Choose another partition, or none."
    raise Refused(Problem("gpu", request.gpu, most.rule, sentence))


def _by_size(
    name: str, request: Request, choices: list[Choice], rules: Rules, cpus: int
) -> tuple[list[Choice], int]:
    """Who allows that many CPUs or that much memory, on a node with what was asked for before; how much."""
    most = [choice.most(name, request.gpu_kind, request.gpu_count, cpus) for choice in choices]
    wanted: int | None = getattr(request, name)
    if wanted is None:
        wanted = max(1, min(getattr(rules, name), most[0].value))
    fits = [choice for choice, limit in zip(choices, most, strict=True) if wanted <= limit.value]
    if fits:
        return fits, wanted
    best = max(most, key=lambda limit: limit.value)
    unit, together = UNITS[name], f" with {request.gpu_count} GPU" if request.gpu_count else ""
    sentence = (
        f"{FIELDS[name]}: {wanted}{unit} is more than you may have here{together} ({best.value}{unit}). "
        f"Choose less, or ask {rules.support}."
    )
    raise Refused(Problem(name, str(wanted), best.rule, sentence))


def _by_time(request: Request, choices: Sequence[Choice], support: str) -> tuple[Choice, int]:
    """Which of what was left open allows the time, the preferred first; and how long."""
    wanted = request.runtime
    if wanted is None:
        return choices[0], usual_runtime(choices[0])
    for choice in choices:
        if choice.minutes is None or wanted <= choice.minutes.value:
            return choice, wanted
    most, where = max(
        ((choice.minutes, choice.partition) for choice in choices if choice.minutes),
        key=lambda pair: pair[0].value,
    )
    sentence = (
        f"Runtime: {wanted} minutes is more than {where} allows you ({most.value}). "
        f"Choose less, or ask {support}."
    )
    raise Refused(Problem("runtime", str(wanted), most.rule, sentence))


def usual_runtime(choice: Choice) -> int:
    """The runtime of who does not say: the usual, or as much as is allowed."""
    return max(1, min(DEFAULT_RUNTIME, choice.minutes.value)) if choice.minutes else DEFAULT_RUNTIME


def prefer(choices: Iterable[Choice], partitions: Sequence[str]) -> list[Choice]:
    """The same choices, those in `partitions` first and in that order."""
    rank = {name: place for place, name in enumerate(partitions)}
    return sorted(choices, key=lambda choice: rank.get(choice.partition, len(rank)))


def still_granted(
    asked: Mapping[str, Any], grant: Callable[[Mapping[str, Any]], AnyGranted]
) -> tuple[dict[str, Any], AnyGranted]:
    """What of an earlier request would be granted today, and what that gives. Raises Refused if nothing is.

    grant: reads and checks a request. A partition or an account may be gone since, a limit may be lower.
    """
    left = dict(asked)
    while True:
        try:
            return left, grant(left)
        except Refused as refused:
            if left.pop(refused.problem.field, None) is None:
                if not left:
                    raise
                left = {}


def start_at(when: datetime, now: datetime) -> str:
    """When a session would start, as a person reads it. Both with a time zone."""
    minutes = round((when - now).total_seconds() / 60)
    if minutes < 1:
        return "It would start at once."
    if minutes < 120:
        return f"It would start in about {minutes} minute{'s' if minutes > 1 else ''}."
    if minutes < 2 * 1440:
        return f"It would start in about {round(minutes / 60)} hours."
    return f"It would start in about {round(minutes / 1440)} days."


# ---- the page ---------------------------------------------------------------------------------


@cache
def pages(folder: Path) -> Environment:
    """The templates of a folder, each read and compiled once."""
    return Environment(loader=FileSystemLoader(folder), autoescape=True)


def render(templates: Path, offer: Offer, rules: Rules, before: Before) -> str:
    """The form's fields as HTML."""
    values: dict[str, str] = dict.fromkeys(FIELDS, "") | {"gpu": NO_GPU}
    values["where"] = str(before.asked.get("where", "batch"))
    if offer.choices:
        kept, usual = still_granted(before.asked, lambda some: check(read(some), offer, rules))
        values |= {name: str(getattr(usual, name)) for name in ("partition", "cpus", "memory", "runtime")}
        values |= {name: str(kept.get(name) or "") for name in ("account", "qos", "reservation")}
        if usual.gpu_count:
            values["gpu"] = f"{usual.gpu_kind}:{usual.gpu_count}"
    values.update(before.sent)
    free = _free(offer)
    return (
        pages(templates)
        .get_template("form.html")
        .render(
            partitions=_longest(offer.choices),
            accounts=list(dict.fromkeys(choice.account for choice in offer.choices)),
            qualities=list(dict.fromkeys(choice.qos for choice in offer.choices)),
            reservations=offer.reservations,
            gpus=_gpus(offer.choices),
            most={
                name: max((choice.most(name, NO_GPU, 0).value for choice in offer.choices), default=None)
                for name in ("cpus", "memory")
            },
            free=free,
            everywhere=_everywhere(offer.nodes, free),
            values=values,
            problem=before.problem,
            fields=FIELDS,
            support=rules.support,
            login=rules.login,
            offers=script_data(_offers(offer) | {"free": free}),
        )
    )


def script_data(data: Mapping[str, Any]) -> str:
    """What the script beside the form goes by; a "<" could end the element that it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _longest(choices: Sequence[Choice]) -> dict[str, int | None]:
    """The most minutes in each partition; None: no limit."""
    longest: dict[str, int | None] = {}
    for choice in choices:
        so_far = longest.get(choice.partition, 0)
        here = choice.minutes.value if choice.minutes else None
        longest[choice.partition] = None if here is None or so_far is None else max(so_far, here)
    return longest


def _gpus(choices: Sequence[Choice]) -> list[tuple[str, int]]:
    """Every type and number of GPUs that some choice offers."""
    most: dict[str, int] = {}
    for gpus in {id(choice.gpus): choice.offered() for choice in choices}.values():
        for kind, count in gpus.items():
            most[kind] = max(most.get(kind, 0), count)
    kinds = sorted(most, key=lambda kind: (kind != ANY, kind))
    return [(kind, count) for kind in kinds for count in range(1, most[kind] + 1)]


def _free(offer: Offer) -> dict[str, dict[str, list[int]]]:
    """Of each partition: how many CPUs and GPUs of each type are free now, and how many there are."""
    found: dict[str, dict[str, list[int]]] = {choice.partition: {} for choice in offer.choices}
    for node in offer.nodes:
        if node.partition in found:
            there = {"cpus": (node.free_cpus, node.cpus)}
            there |= {kind: (node.free_gpus.get(kind, 0), count) for kind, count in node.gpus.items()}
            for what, (free, total) in there.items():
                so_far = found[node.partition].setdefault(what, [0, 0])
                so_far[0] += free
                so_far[1] += total
    return found


def _everywhere(nodes: Sequence[Node], partitions: Iterable[str]) -> dict[str, list[int]]:
    """GPUs of each type in all these partitions together: a node may be in several."""
    found: dict[str, list[int]] = {}
    for node in {node.name: node for node in nodes if node.partition in partitions}.values():
        for kind, count in node.gpus.items():
            so_far = found.setdefault(kind, [0, 0])
            so_far[0] += node.free_gpus.get(kind, 0)
            so_far[1] += count
    return found


def _offers(offer: Offer) -> dict[str, Any]:
    """What fits with what, as short as it can be said: hundreds of accounts mostly have the same limits."""
    alike: dict[tuple[Any, ...], tuple[Choice, Shape, list[str]]] = {}
    for choice in offer.choices:
        reserved = tuple(one.name for one in offer.reservations if one.serves(choice))
        time = choice.minutes.value if choice.minutes else None
        limits = (time, choice.cpus.value, choice.memory.value, tuple(choice.offered().items()))
        for number, shape in enumerate(choice.shapes):
            key = (choice.partition, choice.qos, reserved, number, *limits)
            alike.setdefault(key, (choice, shape, []))[2].append(choice.account)
    lists: dict[tuple[str, ...], int] = {}

    def numbered(*names: str) -> int:
        return lists.setdefault(names, len(lists))

    offers = []
    for key, (choice, shape, accounts) in alike.items():
        most = {
            "cpus": min(choice.cpus.value, shape.cpus),
            "memory": min(choice.memory.value, shape.memory),
            "runtime": choice.minutes.value if choice.minutes else None,
        }
        fits = {
            "partition": numbered(choice.partition),
            "account": numbered("", *accounts),
            "qos": numbered("", choice.qos),
            "reservation": numbered("", *key[2]),
        }
        gpus = {kind: min(count, shape.gpus.get(kind, 0)) for kind, count in choice.offered().items()}
        offers.append({"fits": fits, "most": most, "gpus": gpus})
    return {"lists": list(lists), "offers": offers}


def unavailable(templates: Path, sentence: str, before: Before, *, login: bool) -> str:
    """What stands in the form's place when the scheduler does not say what may be asked for.

    login: there is a login node, which needs no scheduler: so a session there can be asked for
    """
    return (
        pages(templates)
        .get_template("login-form.html")
        .render(sentence=sentence, login=login, values={"runtime": "", **before.sent}, problem=before.problem)
    )
