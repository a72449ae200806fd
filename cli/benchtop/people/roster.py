"""Who uses the facility: `accounts/people.yaml`, read and checked as a whole.

A wrong line is answered with its file, its number and a reason, and all wrong lines at once:
nothing else of the tool ever sees a list of people that is not right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from benchtop import topology
from benchtop.console import Problem
from benchtop.people.marked import STRICT, Mistake, Place, Source, listed, parse, reason_of, spot
from benchtop.settings import MAIL

PEOPLE_GID = 2000  # the primary group of every person
LOWEST_UID, HIGHEST_UID = 2001, 59999  # below live the services; above, Debian's own reserve
LOWEST_GID = 3000  # below live the groups that the facility makes by itself

# Names that mean something else on some machine of the facility: a person of that name would
# shadow an account of the system there, or be taken for a service.
_SYSTEM_NAMES = """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody
    sshd messagebus polkitd syslog ntp postfix dnsmasq adm tty disk kmem dialout fax voice cdrom
    floppy tape sudo audio dip operator src shadow utmp video sasl plugdev staff users nogroup
    input sgx kvm render crontab wheel docker admin administrator people
    apache browser condor hub jupyter jupyterhub keycloak ldap mariadb minter munge mysql nslcd
    openldap postgres slapd slurm slurmctld slurmdbd slurmd software volumes
"""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")  # what useradd(8) calls portable
_TRES = re.compile(r"(cpu|mem|node|gres/gpu(:[a-z0-9]+)?)=\d{1,9}[KMGT]?")
_WORDS = re.compile(r"[^\W_]([\w .,'()-]{0,62}[\w.)])?")  # no colon: it ends a field of passwd(5)


class Invalid(Problem):
    """A list of people that must not be used; `details` has one `file:line: reason` a mistake."""


def matching(pattern: re.Pattern[str], meaning: str) -> AfterValidator:
    """Takes text that the whole pattern fits; says what it must be otherwise."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {meaning}, not “{text}”")
        return text

    return AfterValidator(check)


def _full_name(text: str) -> str:
    if not _WORDS.fullmatch(text) or len(text.split()) < 2:
        raise ValueError(f"must be a given and a family name, at most 64 letters, not “{text}”")
    return text


def _tres(text: str) -> str:
    if not all(_TRES.fullmatch(part) for part in text.split(",")):
        raise ValueError(f"must be like cpu=4,gres/gpu=1, not “{text}”")
    return text


def _cluster(text: str) -> str:
    if text not in topology.CLUSTERS:
        raise ValueError(f"“{text}” is not one of {' or '.join(topology.CLUSTERS)}")
    return text


Cluster = Annotated[str, AfterValidator(_cluster)]
_Gid = Annotated[int, Field(ge=LOWEST_GID, le=HIGHEST_UID)]
_Line = Annotated[str, matching(_WORDS, "a short line of plain text")]
# sacctmgr(1) takes quotes for its own
_Unquoted = Annotated[_Line, matching(re.compile(r"[^']*"), "text without quotes")]
_Tres = Annotated[str, AfterValidator(_tres)]
_Count = Annotated[int, Field(ge=0, le=1_000_000)]


class _Strict(BaseModel):
    model_config = STRICT


class Group(_Strict):
    """A group of the directory. confined: is each job of its people kept in an image, without a network?"""

    gid: _Gid
    description: _Line | None = None
    confined: bool = False


class Qos(_Strict):
    """A quality of service: sacctmgr's own words."""

    description: _Unquoted | None = None
    priority: _Count = 0
    preempt: list[str] = []
    preempt_mode: Literal["cancel", "requeue"] | None = None
    max_tres_per_user: _Tres | None = None
    max_tres_per_job: _Tres | None = None
    max_jobs_per_user: _Count | None = None
    max_wall: Annotated[int, Field(ge=1, le=525_600)] | None = None
    flags: list[Literal["DenyOnLimit", "OverPartQOS", "NoDecay"]] = []


class Account(_Strict):
    """A Slurm account, the QOS that it opens to its members, and how many jobs each of them may have."""

    description: _Unquoted
    qos: Annotated[list[str], Field(min_length=1)]
    max_jobs_per_user: _Count | None = None
    max_submit_jobs_per_user: _Count | None = None


class Slurm(_Strict):
    """What Slurm grants to whom."""

    qos: dict[str, Qos] = {}
    accounts: dict[str, Account] = {}


class Limits(_Strict):
    """What one job of a person may have."""

    gpu: Annotated[int, Field(ge=0, le=64)] | None = None


class Person(_Strict):
    """One person; the login name is the key under which the entry stands."""

    name: Annotated[str, AfterValidator(_full_name)]
    uid: Annotated[int, Field(ge=LOWEST_UID, le=HIGHEST_UID)]
    mail: Annotated[str, matching(MAIL, "a mail address")]
    groups: list[str] = []
    clusters: list[Cluster] = []
    accounts: list[str] = []
    qos: list[str] = []
    limits: Limits = Limits()
    admin: bool = False
    enrolled: bool = True
    disabled: bool = False


class People(_Strict):
    """Everybody, by login name, with the groups and rights that exist."""

    groups: dict[str, Group] = {}
    slurm: Slurm = Slurm()
    people: Annotated[dict[str, Person], Field(min_length=1)]

    @property
    def confined(self) -> list[str]:
        """Whose jobs are kept in an image, also while they are disabled."""
        groups = {name for name, group in self.groups.items() if group.confined}
        return sorted(name for name, person in self.people.items() if groups & set(person.groups))


_T = TypeVar("_T")


def load(path: Path, *more: Path) -> People:
    """The people of `path`, and those of further files, which use the groups and accounts of the first.

    Raises Invalid with every mistake of all files.
    """
    mistakes: list[Mistake] = []
    sources = [parse(file, mistakes) for file in (path, *more)]
    read = [source for source in sources if source]
    models = [model for source in read if (model := _model(source, mistakes))]
    _names(read, mistakes)
    _unique(read, mistakes)
    if len(read) == len(sources):  # else the missing file may hold what the others refer to
        _references(read, mistakes)
    if mistakes:
        raise Invalid(*listed(mistakes, "the list of people. Nothing was changed"))
    return People(
        groups=_union(model.groups for model in models),
        slurm=Slurm(
            qos=_union(model.slurm.qos for model in models),
            accounts=_union(model.slurm.accounts for model in models),
        ),
        people=_union(model.people for model in models),
    )


def _union(parts: Iterable[Mapping[str, _T]]) -> dict[str, _T]:
    return {name: value for part in parts for name, value in part.items()}


def _model(source: Source, mistakes: list[Mistake]) -> People | None:
    try:
        return People.model_validate(source.value)
    except ValidationError as error:
        for detail in error.errors():
            place = detail["loc"]
            mistakes.append(source.mistake(place, f"{spot(place)}{reason_of(detail)}"))
        return None


_BRANCHES: Mapping[str, Place] = {
    "login name": ("people",),
    "group": ("groups",),
    "account": ("slurm", "accounts"),
    "QOS": ("slurm", "qos"),
}
# Where an entry of a branch names entries of another one.
_REFERENCES = (
    ("account", "qos", "QOS"),
    ("QOS", "preempt", "QOS"),
    ("login name", "groups", "group"),
    ("login name", "accounts", "account"),
    ("login name", "qos", "QOS"),
)


def _entries(source: Source, kind: str) -> dict[str, dict[str, object]]:
    """The entries of one kind as written: checks that need the whole file run on these, right or wrong."""
    value = source.value
    for step in _BRANCHES[kind]:
        value = value.get(str(step)) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        return {}
    return {name: entry if isinstance(entry, dict) else {} for name, entry in value.items()}


def _names(sources: Iterable[Source], mistakes: list[Mistake]) -> None:
    """Names are well formed, not the system's, and one entry's alone in all files."""
    for kind, branch in _BRANCHES.items():
        seen: dict[str, Mistake] = {}
        for source in sources:
            for name in _entries(source, kind):
                here = source.mistake((*branch, name), "")
                made_by_us = kind == "group" and (name.startswith("cluster-") or name == "facility-admins")
                reason = ""
                if not NAME.fullmatch(name):
                    shape = "a letter first, then a-z, 0-9, - and _, at most 31 characters"
                    reason = f"“{name}” is not a {kind}: {shape}"
                elif made_by_us or name in _SYSTEM_NAMES.split():
                    reason = f"“{name}” is a name of the system: choose another {kind}"
                elif name in seen:
                    reason = f"the {kind} “{name}” is taken already ({seen[name].file}:{seen[name].line})"
                if reason:
                    mistakes.append(Mistake(here.file, here.line, reason))
                seen.setdefault(name, here)


def _unique(sources: Iterable[Source], mistakes: list[Mistake]) -> None:
    """A uid, a mail address and a gid have one owner: a second one would read the first one's files."""
    for kind, field in (("login name", "uid"), ("login name", "mail"), ("group", "gid")):
        owners: dict[object, str] = {}
        for source in sources:
            for name, entry in _entries(source, kind).items():
                value = entry.get(field)
                if not isinstance(value, int | str):
                    continue
                same = value.lower() if isinstance(value, str) else value
                place = (*_BRANCHES[kind], name, field)
                if same in owners:
                    reason = f"{spot(place)}“{value}” belongs to {owners[same]} already"
                    mistakes.append(source.mistake(place, reason))
                owners.setdefault(same, name)


def _references(sources: Iterable[Source], mistakes: list[Mistake]) -> None:
    """What an entry refers to exists, and is named once; Slurm accounts go with its cluster."""
    known = {kind: {name for source in sources for name in _entries(source, kind)} for kind in _BRANCHES}
    for source in sources:
        for kind, field, target in _REFERENCES:
            for name, entry in _entries(source, kind).items():
                place = (*_BRANCHES[kind], name, field)
                there = ", ".join(sorted(known[target])) or "none is declared"
                for i, word in enumerate(_words(entry, field)):
                    if word and word not in known[target]:
                        reason = f"{spot(place)}there is no {target} “{word}” ({there})"
                        mistakes.append(source.mistake((*place, i), reason))
                    elif word in _words(entry, field)[:i]:
                        mistakes.append(source.mistake((*place, i), f"{spot(place)}“{word}” is named twice"))
        for name, person in _entries(source, "login name").items():
            place = ("people", name, "accounts")
            has_slurm, accounts = topology.SLURM in _words(person, "clusters"), _words(person, "accounts")
            if has_slurm and not accounts:
                reason = f"{spot(place)}is missing: whoever is on the cluster {topology.SLURM} needs one"
                mistakes.append(source.mistake(place, reason))
            if accounts and not has_slurm:
                reason = (
                    f"{spot(place)}is for people on the cluster {topology.SLURM}, which is not among theirs"
                )
                mistakes.append(source.mistake(place, reason))


def _words(entry: Mapping[str, object], field: str) -> list[str]:
    """A list of names as written; what is not text in it is told elsewhere."""
    value = entry.get(field)
    return [word if isinstance(word, str) else "" for word in value] if isinstance(value, list) else []
