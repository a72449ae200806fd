"""What every form asks, and the first check of what came back: is it well-formed?

Whether a person may have it is a backend's own to say. Both are asked whichever way a request came: by the
form, by a link, or by the API, where nobody has seen a form.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from benchtop_hub.backends import written
from benchtop_hub.wording import quote

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ENVIRONMENT = "Environment"  # the label of that field
WITHOUT_SETTINGS = "Start without my own settings"  # the label of that choice
NUMBER_LIKE = "Enter a whole number, for example 2."
# What a form takes as people write it: how it is read, and what is said of what cannot be
AMOUNTS: Mapping[str, tuple[Callable[[str], int], str]] = {
    "runtime": (written.minutes, "is not a length of time. Write it like 90 min, 12 h or 1:30."),
    "memory": (written.megabytes, "is not an amount of memory. Write it like 2 GB or 1500 MB."),
    "disk": (written.megabytes, "is not an amount of disk space. Write it like 2 GB or 1500 MB."),
}

# In a form: the choice of a virtual environment of one's own, and the field of its folder
OWN, PATH_FIELD = "~", "environment_path"
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}|(~|/)[^:]*/[^:]+")

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound="Request")
GrantedT = TypeVar("GrantedT", bound="DataclassInstance")


@dataclass(frozen=True)
class Problem:
    """Why a request is refused: the field, what it held, the rule for the log, a sentence for the person."""

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
    """What somebody asks of any backend; None: the default. Memory in MB, runtime in minutes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str = Field("batch", max_length=64)
    cpus: int | None = Field(None, ge=1, le=65_536)
    memory: int | None = Field(None, ge=1, le=1 << 30)
    runtime: int | None = Field(None, ge=1, le=525_600)
    environment: str = Field("", max_length=256)  # in what the session is started: environments.py
    without_settings: bool = False  # does the session leave out what its owner has set in their home?

    def asked(self) -> dict[str, Any]:
        """What somebody said themselves; an empty field says nothing."""
        values = {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }
        return {
            name: value
            for name, value in values.items()
            if value not in {"", None} and name != "without_settings"
        }

    @field_validator("without_settings", mode="before")
    @classmethod
    def _a_box_sends_a_word(cls, value: object) -> object:
        """A form sends "yes", or nothing; the API may say true or false."""
        if isinstance(value, bool):
            return value
        if value in (None, "", "yes", "no"):
            return value == "yes"
        raise ValueError("yes or no")

    @field_validator("environment", mode="before")
    @classmethod
    def _a_name_or_a_folder(cls, value: object) -> object:
        """Of one line, without what nobody can see."""
        text = "" if value is None else value
        if isinstance(text, str) and (text == "" or _ENVIRONMENT.fullmatch(text)) and text.isprintable():
            return text
        raise ValueError("a name or a folder")

    @field_validator("cpus", "memory", "runtime", "disk", mode="before", check_fields=False)
    @classmethod
    def _a_form_sends_text(cls, value: object, info: ValidationInfo) -> object:
        amount = AMOUNTS.get(info.field_name or "")
        return amount[0](value) if amount and isinstance(value, str) and value.strip() else whole(value)


@dataclass(frozen=True)
class Before:
    """What a form starts from: what the last start asked for, and what was just sent and refused.

    environments: those in which this person may start a session
    """

    asked: Mapping[str, Any] = field(default_factory=dict)
    sent: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    environments: Sequence[Any] = ()


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


def with_path(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a form sent, with the folder of one's own in the field of environments itself."""
    values = {name: value for name, value in sent.items() if name != PATH_FIELD}
    if values.get("environment") not in (OWN, [OWN]):
        return values
    path = sent.get(PATH_FIELD) or ""
    text = str(path[0] if isinstance(path, list) else path).strip()
    values["environment"] = text if not text or text.startswith(("~", "/")) else f"~/{text}"
    values["environment"] = values["environment"] or OWN
    return values


def first_values(sent: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """The one value of each field: a form sends lists, the API does not. Raises Refused for several."""
    values: dict[str, Any] = {}
    for name, value in with_path(sent).items():
        if isinstance(value, list):
            if len(value) != 1:
                sentence = f"{label(name, labels)}: give only one value."
                raise Refused(Problem(_field(name), quote(value), "form", sentence))
            values[name] = value[0]
        else:
            values[name] = value
    return values


def parse(sent: Mapping[str, Any], kind: type[RequestT], labels: Mapping[str, str]) -> RequestT:
    """A request of this kind from a form's fields (lists of one text) or from the API's JSON.

    labels: name → label of the form's fields. Raises Refused for what is not well-formed.
    """
    values = first_values(sent, labels)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        value = quote(values.get(name, ""))
        called = label(name, labels)
        if name not in labels:
            sentence = f"{called} is not a field of this form."
        elif name in AMOUNTS and isinstance(values.get(name), str):
            sentence = f"{called}: “{value}” {AMOUNTS[name][1]}"
        elif name == "environment":
            sentence = (
                f"{called}: “{value}” is neither an environment nor a folder in your home. "
                "Enter the folder of your virtual environment, for example ~/my-env."
            )
        elif int not in get_args(kind.model_fields[name].annotation):
            sentence = f"{called}: “{value}” is not one of the choices."
        else:
            unit = " of minutes" if name == "runtime" else ""
            sentence = f"{called}: “{value}” is not a number{unit}. {NUMBER_LIKE}"
        raise Refused(Problem(_field(name), value, f"form/{first['type']}", sentence)) from None


def _field(name: str) -> str:
    return name if re.fullmatch(r"\w{1,40}", name, re.ASCII) else "?"  # the log has it as it is


def label(name: str, labels: Mapping[str, str]) -> str:
    """What a field is called in a sentence."""
    return labels.get(name, f"“{quote(name[:40])}”")


def still_granted(
    asked: Mapping[str, Any], grant: Callable[[Mapping[str, Any]], T]
) -> tuple[dict[str, Any], T]:
    """What of an earlier request would be granted today, and what that gives. Raises Refused if nothing is.

    grant: parses and checks a request. A partition or an account may be gone since, a limit may be lower.
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
