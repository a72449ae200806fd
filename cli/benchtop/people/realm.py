"""Make the running realm follow keycloak/realm.json and the directory.

Keycloak reads the file when its database is empty and never again. What an admin changes later in
the file, and another name or port of the facility, is brought in here. Second factors stay.
"""

from __future__ import annotations

import json
import secrets as random
from collections.abc import Mapping
from typing import Any

from benchtop.console import Problem
from benchtop.keys.saml import ALL_MARK, BORN_MARK, BORN_WITH
from benchtop.people.keycloak import ADMIN, REALMS, Call, Json, ask, expect, token_of
from benchtop.settings import Settings

FLOWS_STAY = (
    "keycloak/realm.json has other keys, flows, actions or federation than the running realm. Keycloak takes "
    "these up with an empty database only: `make clean`, then `make up` (people enrol anew)."
)


def refuse_reborn(file: str, former: str) -> None:
    """Raise Problem for what Keycloak takes up with an empty database only. Both are the realm's file."""
    wanted, present = _parsed(file), _parsed(former)
    for part in BORN_WITH:
        if wanted.get(part) != present.get(part):
            line = next((n for n, text in enumerate(file.splitlines(), 1) if f'"{part}"' in text), 1)
            raise Problem(
                f"keycloak/realm.json:{line}: {part} differs from what the running realm was made with. "
                "Keycloak reads that only with an empty database: undo the change, or `make clean`, "
                "then `make up` (people enrol anew)."
            )


def _parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Problem(f"keycloak/realm.json:{error.lineno}: {error.msg}. Fix that line.") from error


def judge(settings: Settings, rendered: str, text: str, former: str) -> Json:
    """Let Keycloak make a realm of another name of the file; return that realm as it understood it.

    rendered, former: the file and the live one with their placeholders filled; text: the file as written
    Raises Problem with Keycloak's own words where it refuses, and the line of what it stumbles over.
    """
    document, before = json.loads(rendered), json.loads(former)
    status, body, understood = _try(settings, document)
    if status == 201:
        return understood
    body = body if isinstance(body, dict) else {}
    reason = str(body.get("errorMessage") or body.get("error_description") or body.get("error") or status)
    # Keycloak seldom says where: so it is asked about each part that changed
    suspects = [key for key, value in document.items() if key != "attributes" and before.get(key) != value]
    guilty = [key for key in suspects if _try(settings, before | {key: document[key]})[0] != 201] or [""]
    lines = list(enumerate(text.splitlines(), 1))
    line = next((number for number, content in lines if f'"{guilty[0]}"' in content), 1)
    about = f"{guilty[0]}: " if guilty[0] else ""
    raise Problem(
        "Nothing was changed: Keycloak refuses the realm.",
        [
            f"keycloak/realm.json:{line}: {about}Keycloak says: {reason}"
            + (" (a name that it does not know, or a value of another kind)" if "stream" in reason else "")
        ],
    )


def _try(settings: Settings, document: Json) -> tuple[int, Json, Json]:
    """Make a realm under another name and remove it: the status, the answer, and the realm as understood."""
    token, name = token_of(settings), f"check-{random.token_hex(4)}"
    here = f"{REALMS}/{name}"
    calls = [Call(REALMS, "POST", document=document | {"realm": name}), Call(here), Call(here, "DELETE")]
    made, seen, _ = ask(settings, token, calls)
    return made.status, made.body, seen.body


def follow(settings: Settings, dropped: Mapping[str, Any] | None = None) -> list[str]:
    """Bring the running realm up to date; return sentences about what could not be brought in.

    dropped: what the file once said and no longer does, with Keycloak's own value for it

    Also lets Keycloak learn the directory's groups. Otherwise the first login of a member makes
    each group; two of them at the same time make it twice, and one ends on an error page (seen
    with 26.7.4: "Duplicate resource error").
    """
    token = token_of(settings)
    rendered = settings.state / "secrets" / "keys-keycloak" / "import" / "benchtop-realm.json"
    file = json.loads(rendered.read_text())
    looks = [Call(ADMIN), Call(f"{ADMIN}/components"), Call(f"{ADMIN}/clients")]
    realm, components, clients = (expect(answer, 200) for answer in ask(settings, token, looks))
    marks, born = realm.get("attributes", {}), file["attributes"][BORN_MARK]
    calls = [_sync_groups(part) for part in components if part["providerId"] == "group-ldap-mapper"]
    if marks.get(ALL_MARK) != file["attributes"][ALL_MARK]:
        calls += _changes(dict(dropped or {}) | file, realm, clients)
    for answer in ask(settings, token, calls):
        expect(answer, 200, 204)
    return [FLOWS_STAY] if marks.get(BORN_MARK, born) != born else []


def _sync_groups(mapper: Json) -> Call:
    at = f"{ADMIN}/user-storage/{mapper['parentId']}/mappers/{mapper['id']}"
    return Call(f"{at}/sync?direction=fedToKeycloak", "POST")


def _changes(file: Json, realm: Json, clients: Json) -> list[Call]:
    """What turns the running realm into the file's, as far as it can; the marks come last."""
    ours = [client for client in file["clients"] if client.get("protocol") == "saml"]
    # Keycloak's own, which it made with the realm
    ids = {client["clientId"]: client for client in clients}
    others = [c for c in file["clients"] if c not in ours and c["clientId"] in ids]
    names = {client["clientId"] for client in ours}
    # one that stood for the facility under its former name or port
    former = [c for c in clients if c["clientId"].endswith("/mellon/metadata") and c["clientId"] not in names]
    settled = {key: value for key, value in file.items() if key not in (*BORN_WITH, "clients", "attributes")}
    had = realm.get("attributes", {})
    attributes = had | file["attributes"] | ({BORN_MARK: had[BORN_MARK]} if BORN_MARK in had else {})
    return [
        Call(f"{ADMIN}/partialImport", "POST", document={"ifResourceExists": "OVERWRITE", "clients": ours}),
        *(Call(f"{ADMIN}/clients/{client['id']}", "DELETE") for client in former),
        *(
            Call(f"{ADMIN}/clients/{ids[c['clientId']]['id']}", "PUT", document=ids[c["clientId"]] | c)
            for c in others
        ),
        Call(ADMIN, "PUT", document=realm | settled | {"attributes": attributes}),
    ]
