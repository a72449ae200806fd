"""The form that asks what a session should have, and the check of what came back.

The form offers only what the person may use. What comes back is checked against the same rights again,
whichever way it came: by the form, by a link, or by the API, where nobody has seen a form.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchtop_hub.rights import ANY, Choice, Limit

FIELDS = {
    "where": "Where",
    "partition": "Partition",
    "account": "Account",
    "qos": "Quality of service",
    "gpu": "GPU",
    "runtime": "Runtime",
}
NO_GPU = "none"
DEFAULT_RUNTIME = 720  # minutes, or less where less is allowed


AnyRequest = TypeVar("AnyRequest", bound=BaseModel)


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
    """What somebody asks for. An empty partition, account or QOS: whichever fits; runtime None: the usual."""

    # `$` is the very end of the text here: pydantic's patterns are Rust's, not Python's
    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Literal["batch", "login"] = "batch"
    partition: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")
    account: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")
    qos: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")
    gpu: str = Field(NO_GPU, max_length=64, pattern=r"^(none|[A-Za-z0-9_.-]+(:[1-9][0-9]?)?)$")
    runtime: int | None = Field(None, ge=1, le=525_600)

    @field_validator("partition", "account", "qos", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("runtime", mode="before")
    @classmethod
    def _a_form_sends_text(cls, value: object) -> object:
        if isinstance(value, str):
            return value.strip() or None
        if isinstance(value, (bool, float)):
            raise ValueError("a whole number of minutes")  # noqa: TRY004  pydantic wants this one
        return value

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
    """A request that is within the rights of who made it, with nothing left open."""

    partition: str
    account: str
    qos: str
    gpu_kind: str
    gpu_count: int
    runtime: int

    @property
    def gres(self) -> str:
        """As `sbatch --gres` wants it; empty for none."""
        if not self.gpu_count:
            return ""
        kind = "" if self.gpu_kind == ANY else f"{self.gpu_kind}:"
        return f"gpu:{kind}{self.gpu_count}"


def read(sent: Mapping[str, Any]) -> Request:
    """A request from a form's fields (lists of one text) or from the API's JSON. Raises Refused."""
    return understood(sent, Request, FIELDS, "Write one like 60.")


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
                raise Refused(Problem(name, str(value)[:80], "form", sentence))
            values[name] = value[0]
        else:
            values[name] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        value = str(values.get(name, ""))[:80]
        label = _label(name, fields)
        if name not in fields:
            sentence = f"{label} is nothing that a session can be asked for."
        elif int not in get_args(kind.model_fields[name].annotation):
            sentence = f"{label}: “{value}” is not one of the names to choose from."
        else:
            unit = " of minutes" if name == "runtime" else ""
            sentence = f"{label}: “{value}” is not a number{unit}. {like}"
        raise Refused(Problem(name, value, f"form/{first['type']}", sentence)) from None


def _label(name: str, fields: Mapping[str, str] = FIELDS) -> str:
    return fields.get(name, f"“{name[:40]}”")


def check(request: Request, choices: Sequence[Choice], *, support: str) -> Granted:
    """The request with its open parts filled, if these choices cover it.

    choices: what the person may use, the preferred first; support: whom to ask for more.
    Raises Refused with the first field that is not covered.
    """
    if not choices:
        sentence = f"You have no account on this cluster. Ask {support} for one."
        raise Refused(Problem("account", request.account, "assoc", sentence))
    left = list(choices)
    chosen: list[str] = []
    for name in ("partition", "account", "qos"):
        value = getattr(request, name)
        fits = [choice for choice in left if value in {"", getattr(choice, name)}]
        if not fits:
            allowed = ", ".join(dict.fromkeys(getattr(choice, name) for choice in left))
            with_what = f" with {' and '.join(chosen)}" if chosen else ""
            sentence = (
                f"{_label(name)}: “{value}” is not yours to use{with_what}. "
                f"Choose {allowed}, or ask {support}."
            )
            raise Refused(Problem(name, value, _rule(name, request, left), sentence))
        if value:
            chosen.append(f"the {_label(name).lower()} {value}" if name != "qos" else f"QOS {value}")
        left = fits
    best = _by_gpu(request, left, support)
    return _by_time(request, best, support)


def _rule(name: str, request: Request, left: Sequence[Choice]) -> str:
    where = request.partition or left[0].partition
    return {"partition": "partitions", "account": f"partition:{where}/AllowAccounts"}.get(
        name, f"partition:{where}/AllowQos"
    )


def _by_gpu(request: Request, choices: Sequence[Choice], support: str) -> list[Choice]:
    kind, count = request.gpu_kind, request.gpu_count
    if not count:
        return list(choices)
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


def _by_time(request: Request, choices: Sequence[Choice], support: str) -> Granted:
    longest = max(choices, key=lambda choice: choice.minutes.value if choice.minutes else float("inf"))
    best, wanted = choices[0], request.runtime
    if wanted is not None and best.minutes and wanted > best.minutes.value:
        # another combination of what was left open may allow it
        best = longest
        if best.minutes and wanted > best.minutes.value:
            most = best.minutes
            sentence = (
                f"Runtime: {wanted} minutes is more than {best.partition} allows you ({most.value}). "
                f"Choose less, or ask {support}."
            )
            raise Refused(Problem("runtime", str(wanted), most.rule, sentence))
    runtime = wanted if wanted is not None else usual_runtime(best)
    return Granted(best.partition, best.account, best.qos, request.gpu_kind, request.gpu_count, runtime)


def usual_runtime(choice: Choice) -> int:
    """The runtime of who does not say: the usual, or as much as is allowed."""
    return min(DEFAULT_RUNTIME, choice.minutes.value) if choice.minutes else DEFAULT_RUNTIME


def prefer(choices: Iterable[Choice], partitions: Sequence[str]) -> list[Choice]:
    """The same choices, those in `partitions` first and in that order."""
    rank = {name: place for place, name in enumerate(partitions)}
    return sorted(choices, key=lambda choice: rank.get(choice.partition, len(rank)))


def render(
    templates: Path,
    choices: Sequence[Choice],
    sent: Mapping[str, str],
    problem: Problem | None,
    *,
    support: str,
) -> str:
    """The form's fields as HTML.

    choices: what the person may use, the preferred first; sent, problem: what was refused, to be corrected.
    """
    most: dict[str, int] = {}
    for choice in choices:
        for kind, count in choice.offered().items():
            most[kind] = max(most.get(kind, 0), count)
    values = {"where": "batch", "gpu": NO_GPU, "partition": "", "account": "", "qos": "", "runtime": ""}
    if choices:
        values["partition"] = choices[0].partition
        values["runtime"] = str(usual_runtime(choices[0]))
    values.update(sent)
    longest: dict[str, int | None] = {}
    for choice in choices:
        so_far = longest.get(choice.partition, 0)
        here = choice.minutes.value if choice.minutes else None
        longest[choice.partition] = None if here is None or so_far is None else max(so_far, here)
    environment = Environment(loader=FileSystemLoader(templates), autoescape=True)
    return environment.get_template("form.html").render(
        partitions=longest,
        accounts=list(dict.fromkeys(choice.account for choice in choices)),
        qualities=list(dict.fromkeys(choice.qos for choice in choices)),
        gpus=[
            (kind, count)
            for kind in sorted(most, key=lambda k: (k != ANY, k))
            for count in range(1, most[kind] + 1)
        ],
        values=values,
        problem=problem,
        support=support,
    )


def unavailable(sentence: str) -> str:
    """What stands in the form's place when the scheduler does not say what may be asked for."""
    return f'<p class="alert alert-danger" role="alert">{escape(sentence)}</p>'
