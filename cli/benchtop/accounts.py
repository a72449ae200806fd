"""The people of people.yaml: their rights in the running facility, and what they log in with."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from benchtop import compose, people, render, secrets
from benchtop.console import log, step
from benchtop.people import People
from benchtop.settings import Settings

PEOPLE = Path("accounts/people.yaml")


def load(settings: Settings) -> People:
    """The people of people.yaml; raises Problem with every wrong line before anything is touched."""
    return people.load(settings.root / PEOPLE)


def prepare(settings: Settings, everybody: People) -> None:
    """Give each person a password and note whose homes to make, before the services start."""
    secrets.logins(settings, everybody.people)
    render.homes(settings, everybody)


def apply(settings: Settings, everybody: People) -> None:
    """Make the directory and the scheduler's accounting equal to people.yaml."""
    with step("Giving the people their accounts and rights") as current:
        logins = secrets.logins(settings, everybody.people)
        said = []
        for service, content in (
            ("ldap", render.directory(everybody, logins)),
            ("slurmctld", render.accounting(everybody)),
        ):
            current.now(service)
            done = compose.run(settings, "exec", "-T", service, "apply-people", input=content)
            said += [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        for line in said:
            log.info("apply-people: %s", line)
        current.outcome = f"{len(everybody.people)} people"


def enrol_missing(settings: Settings, everybody: People) -> None:
    """Enrol the TOTP of each demo person who should have one, through the real pages, once."""
    from benchtop import enrol  # noqa: PLC0415 - slow to import, and most verbs do not need it

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
