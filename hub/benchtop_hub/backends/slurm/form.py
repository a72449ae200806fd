"""What somebody may ask for on Slurm, and the check against what they may use."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, field_validator

from benchtop_hub.backends import request
from benchtop_hub.backends.request import ENVIRONMENT, WITHOUT_SETTINGS, Problem, Refused, label
from benchtop_hub.backends.slurm.rights import ANY, Choice, Limit, Node, Reservation
from benchtop_hub.wording import UNITS, listed

FIELDS = {
    "where": "Run on",
    "environment": ENVIRONMENT,
    "partition": "Partition",
    "account": "Account",
    "qos": "Quality of service",
    "reservation": "Reservation",
    "gpu": "GPU",
    "cpus": "CPUs",
    "memory": "Memory",
    "runtime": "Runtime",
    "without_settings": WITHOUT_SETTINGS,
}
NO_GPU = "none"
NAME = r"^[A-Za-z0-9_.-]*$"
DEFAULT_RUNTIME = 720  # minutes, or less where less is allowed


class Request(request.Request):
    """What somebody asks for. An empty name: whichever fits, or no reservation; no number: the usual."""

    # `$` is the very end of the text here: pydantic's patterns are Rust's, not Python's
    partition: str = Field("", max_length=64, pattern=NAME)
    account: str = Field("", max_length=64, pattern=NAME)
    qos: str = Field("", max_length=64, pattern=NAME)
    reservation: str = Field("", max_length=64, pattern=NAME)
    gpu: str = Field(NO_GPU, max_length=64, pattern=r"^(none|[A-Za-z0-9_.-]+(:[1-9][0-9]?)?)$")

    @field_validator("partition", "account", "qos", "reservation", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return "" if value is None else value

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
    """What the facility says: what whoever does not say gets (memory in MB), and whom to ask for more.

    defaults: the site's own, by the names of a request's fields, as far as the person may have them
    explanations: what the form says of a choice, by field and value
    """

    cpus: int
    memory: int
    support: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    explanations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def parse(sent: Mapping[str, Any]) -> Request:
    """A request from a form's fields (lists of one text) or from the API's JSON. Raises Refused."""
    return request.parse(sent, Request, FIELDS)


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
            allowed = listed(dict.fromkeys(getattr(choice, name) for choice in left))
            with_what = f" with {' and '.join(chosen)}" if chosen else ""
            sentence = (
                f"{label(name, FIELDS)}: “{value}” is not available to you{with_what}. "
                f"Choose {allowed}, or ask {rules.support}."
            )
            raise Refused(Problem(name, value, _rule(name, request, left), sentence))
        if value:
            chosen.append(f"the {label(name, FIELDS).lower()} {value}" if name != "qos" else f"QOS {value}")
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
            whose = f"the account {listed(sorted(one.accounts))}"
            what = f"the partition {one.partition}" if one.partition else whose
            sentence = f"Reservation: “{name}” is only for {what}. Choose that, or no reservation."
            raise Refused(Problem("reservation", name, f"reservation:{name}", sentence))
    known = listed(one.name for one in reservations)
    choose = f"Choose {known} or none" if known else "Choose none"
    sentence = f"Reservation: “{name}” is not available to you. {choose}, or ask {support}."
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
            f"GPU: {count} is more than you may have here ({most.value}). Choose fewer, or ask {support}."
        )
    elif any(limit.rule.startswith(("assoc:", "qos:")) for limit in known):
        sentence = f"GPU: your account does not include GPUs. Choose “none”, or ask {support} for access."
    else:
        what = "GPU" if kind == ANY else f"GPU of type {kind}"
        sentence = f"GPU: there is no {what} in {', '.join(where)}. Choose another partition, or no GPU."
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


def fill(asked: Mapping[str, Any], offer: Offer, rules: Rules) -> tuple[dict[str, Any], Granted]:
    """What of the site's defaults is in what somebody gets who asks for this, and all of what they get.

    Raises Refused.
    """
    return request.still_granted(
        {name: value for name, value in rules.defaults.items() if name not in asked},
        lambda given: check(parse({**given, **asked}), offer, rules),
    )
