"""The people of people.yaml: their rights in the running facility, and what they log in with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.table import Table

from benchtop import topology
from benchtop.console import log, step
from benchtop.keys import secrets
from benchtop.people import lists, roster
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose

PEOPLE = Path("accounts/people.yaml")


def load(settings: Settings) -> People:
    """The people of people.yaml; raises Problem with every wrong line before anything is touched."""
    return roster.load(settings.root / PEOPLE)


def prepare(settings: Settings, everybody: People) -> None:
    """Give each person a password and note whose homes to make, before the services start."""
    secrets.logins(settings, everybody.people)
    lists.homes(settings, everybody)


# What each service makes its own data equal to, and what that is called.
_APPLIED: dict[str, tuple[str, Callable[[People, Mapping[str, secrets.Login]], bytes]]] = {
    "ldap": ("Listing the people in the directory", lists.directory),
    "slurmctld": (
        "Giving the people their rights in Slurm",
        lambda everybody, _: lists.accounting(everybody),
    ),
}


def apply(settings: Settings, everybody: People, *services: str) -> None:
    """Make the directory and the scheduler's accounting (or one of them) equal to people.yaml."""
    logins = secrets.logins(settings, everybody.people)
    for service in services or _APPLIED:
        if service == "slurmctld" and topology.SLURM not in settings.clusters:
            continue
        what, rendered = _APPLIED[service]
        with step(what) as current:
            content = rendered(everybody, logins)
            done = compose.run(settings, "exec", "-T", service, "apply-people", input=content)
            for line in done.stdout.decode(errors="replace").splitlines():
                log.info("apply-people on %s: %s", service, line)
            current.outcome = f"{len(everybody.people)} people"


def follow(settings: Settings, everybody: People) -> None:
    """Make a running facility follow the list: passwords, homes, directory, accounting."""
    prepare(settings, everybody)
    compose.run(settings, "run", "--rm", "--no-deps", "volumes")  # makes the homes of new people
    apply(settings, everybody)


def enrol_missing(settings: Settings, everybody: People) -> None:
    """Enrol the TOTP of each demo person who should have one, through the real pages, once."""
    from benchtop.people import enrol  # noqa: PLC0415 - slow to import, and most verbs do not need it

    with step("Enrolling second factors") as current:
        new = enrol.enrol_missing(settings, everybody, current.now)
        current.outcome = ", ".join(new) if new else "everybody has theirs"


def table(settings: Settings, everybody: People) -> Table:
    """The demo people: what they type, and where they may work."""
    logins = secrets.logins(settings)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("person", "password", "second factor", "clusters"):
        table.add_column(column)
    for name, person in everybody.people.items():
        login = logins.get(name)
        factor = "make otp USER=" + name if login and login.totp_secret else "at the first login"
        table.add_row(name, login.password if login else "-", factor, ", ".join(person.clusters) or "none")
    return table


def as_json(settings: Settings, everybody: People) -> str:
    """The same for a program: a list with name, password, totp_secret (base32 or null), clusters."""
    logins = secrets.logins(settings)
    return json.dumps(
        [
            {
                "name": name,
                "password": logins[name].password,
                "totp_secret": logins[name].totp_secret,
                "clusters": list(person.clusters),
            }
            for name, person in everybody.people.items()
            if name in logins
        ],
        indent=1,
    )
