"""What only an admin of Keycloak may do: look at second factors, and reset a person.

The admin console and the master realm are not reachable through the front door. Requests are
made inside Keycloak's own container instead, by a curl that reads everything on stdin: no
password or token is ever an argument or an environment variable, where `ps` would show it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from benchtop.console import Problem
from benchtop.keys import secrets
from benchtop.keys.saml import REALM
from benchtop.settings import Settings
from benchtop.stack import compose

_HERE = "http://127.0.0.1:8080"
REALMS = f"{_HERE}/admin/realms"
ADMIN = f"{REALMS}/{REALM}"
_MARK = "--benchtop--"  # after each answer: the mark and its status, as no JSON of Keycloak's looks
_PATIENCE = 60  # seconds for a batch; a busy laptop answers in two

Json: TypeAlias = Any  # what Keycloak says; checked where it is used


@dataclass(frozen=True)
class Call:
    """One request; with form fields, or a document to send as JSON."""

    url: str
    method: str = "GET"
    form: Mapping[str, str] | None = None
    document: Json = None


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and the JSON or None."""

    status: int
    body: Json


def second_factors(settings: Settings, names: Iterable[str]) -> dict[str, list[str]]:
    """The ids of each person's TOTP credentials; a person whom Keycloak does not know has none."""
    token = token_of(settings)
    ids = _ids(settings, token, names)
    calls = [Call(f"{ADMIN}/users/{id_}/credentials") for id_ in ids.values()]
    found = {
        name: [entry["id"] for entry in expect(answer, 200) if entry["type"] == "otp"]
        for name, answer in zip(ids, ask(settings, token, calls), strict=True)
    }
    return {name: found.get(name, []) for name in names}


def has_otp(settings: Settings, name: str) -> bool:
    """Whether a person has enrolled a TOTP."""
    return bool(second_factors(settings, [name])[name])


def reset(settings: Settings, *names: str) -> None:
    """Put people back to where they meet the QR code: no TOTP, no lock after wrong codes, no session.

    Their password stays. Raises Problem for a name that Keycloak does not know.
    """
    token = token_of(settings)
    ids = _ids(settings, token, names)
    strangers = [name for name in names if name not in ids]
    if strangers:
        raise Problem(f"Keycloak does not know {', '.join(strangers)}: see `make people`.")
    factors = second_factors(settings, names)
    calls = [
        Call(f"{ADMIN}/users/{ids[name]}/credentials/{credential}", "DELETE")
        for name, credentials in factors.items()
        for credential in credentials
    ]
    calls += [Call(f"{ADMIN}/attack-detection/brute-force/users/{id_}", "DELETE") for id_ in ids.values()]
    calls += [Call(f"{ADMIN}/users/{id_}/logout", "POST") for id_ in ids.values()]
    for answer in ask(settings, token, calls):
        expect(answer, 200, 204, 404)  # 404: somebody else was faster, and it is gone as it should be
    for name in names:
        secrets.remember_totp(settings, name, None)


def signed_in(settings: Settings) -> set[str]:
    """The people who have come through the login to Apache and whose session has not ended."""
    token = token_of(settings)
    (listed,) = ask(settings, token, [Call(f"{ADMIN}/clients")])
    ids = [c["id"] for c in expect(listed, 200) if c["clientId"].endswith("/mellon/metadata")]
    calls = [Call(f"{ADMIN}/clients/{id_}/user-sessions?max=10000") for id_ in ids]
    return {str(one["username"]) for answer in ask(settings, token, calls) for one in expect(answer, 200)}


def _ids(settings: Settings, token: str, names: Iterable[str]) -> dict[str, str]:
    """Keycloak's own id of each person that it knows."""
    names = list(names)
    calls = [Call(f"{ADMIN}/users?exact=true&briefRepresentation=true&username={quote(n)}") for n in names]
    answers = zip(names, ask(settings, token, calls), strict=True)
    return {name: str(entry["id"]) for name, answer in answers for entry in expect(answer, 200)}


_tokens: dict[Settings, tuple[float, str]] = {}
_TOKEN_LIFE = 40  # seconds; Keycloak's own is 60


def token_of(settings: Settings) -> str:
    """What proves for a minute that we are the admin."""
    until, kept = _tokens.get(settings, (0.0, ""))
    if time.monotonic() < until:
        return kept
    form = {
        "grant_type": "password",
        "client_id": "admin-cli",
        "username": "admin",
        "password": secrets.value(settings, "keycloak-admin.password"),
    }
    url = f"{_HERE}/realms/master/protocol/openid-connect/token"
    asked = time.monotonic()
    (answer,) = ask(settings, None, [Call(url, "POST", form)])
    if answer.status == 401:
        raise Problem(
            "Keycloak refuses the admin password in .benchtop: its database was made with other secrets. "
            "Remove it with `make clean`, then `make up`."
        )
    token = str(expect(answer, 200)["access_token"])
    _tokens[settings] = (asked + _TOKEN_LIFE, token)
    return token


def expect(answer: Answer, *statuses: int) -> Json:
    """The JSON of an answer that has one of the statuses; raises Problem for another one."""
    if answer.status not in statuses:
        body = json.dumps(answer.body) if answer.body is not None else "nothing"
        raise Problem(
            f"Keycloak answered {answer.status} to an admin request: look at `make logs SERVICE=keycloak`.",
            [f"its answer: {body[:400]}"],
        )
    return answer.body


def ask(settings: Settings, token: str | None, calls: Sequence[Call]) -> list[Answer]:
    """The answers to all calls, in their order, made one after the other by one curl."""
    if not calls:
        return []
    config = "\nnext\n".join(_config(call, token) for call in calls)
    words = ("exec", "-T", "keycloak", "curl", "--disable", "--config", "-")
    done = compose.run(settings, *words, input=config.encode(), check=False, timeout=_PATIENCE)
    parts = done.stdout.decode(errors="replace").split(_MARK)
    if done.returncode or len(parts) != 2 * len(calls) + 1:
        output = done.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise Problem(
            "Keycloak does not answer: see `make status`, and try again when it is healthy.", output
        )
    return [Answer(int(status), _json(body)) for body, status in zip(parts[::2], parts[1::2], strict=False)]


def _config(call: Call, token: str | None) -> str:
    """One call in the language of curl's configuration file."""
    lines = ["silent", "show-error", "noproxy = *", f"url = {_quoted(call.url)}"]
    lines += [f"write-out = {_quoted(f'{_MARK}%{{http_code}}{_MARK}')}"]
    if call.form is not None:
        lines += [f"data-urlencode = {_quoted(f'{key}={value}')}" for key, value in call.form.items()]
    if call.document is not None:
        lines += [f"data = {_quoted(json.dumps(call.document))}", 'header = "Content-Type: application/json"']
    if call.method != "GET":
        lines += [f"request = {call.method}"]
    if token:
        lines += [f"header = {_quoted(f'Authorization: Bearer {token}')}"]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(body: str) -> Json:
    try:
        return json.loads(body)
    except ValueError:
        return None
