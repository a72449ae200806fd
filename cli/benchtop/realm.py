"""Make the running realm follow keycloak/realm.json and the directory.

Keycloak reads the file when its database is empty and never again. What an admin changes later in
the file, and another name or port of the facility, is brought in here. Second factors stay.
"""

from __future__ import annotations

import json

from benchtop.keycloak import ADMIN, Call, Json, ask, expect, token_of
from benchtop.render import ALL_MARK, BORN_MARK, BORN_WITH
from benchtop.settings import Settings

FLOWS_STAY = (
    "keycloak/realm.json has other keys, flows, actions or federation than the running realm. Keycloak takes "
    "these up with an empty database only: `make clean`, then `make up` (people enrol anew)."
)


def follow(settings: Settings) -> list[str]:
    """Bring the running realm up to date; return sentences about what could not be brought in.

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
        calls += _changes(file, realm, clients)
    for answer in ask(settings, token, calls):
        expect(answer, 200, 204)
    return [FLOWS_STAY] if marks.get(BORN_MARK, born) != born else []


def _sync_groups(mapper: Json) -> Call:
    at = f"{ADMIN}/user-storage/{mapper['parentId']}/mappers/{mapper['id']}"
    return Call(f"{at}/sync?direction=fedToKeycloak", "POST")


def _changes(file: Json, realm: Json, clients: Json) -> list[Call]:
    """What turns the running realm into the file's, as far as it can; the marks come last."""
    ours = [client for client in file["clients"] if client.get("protocol") == "saml"]
    names = {client["clientId"] for client in ours}
    # one that stood for the facility under its former name or port
    former = [c for c in clients if c["clientId"].endswith("/mellon/metadata") and c["clientId"] not in names]
    settled = {key: value for key, value in file.items() if key not in (*BORN_WITH, "clients", "attributes")}
    had = realm.get("attributes", {})
    attributes = had | file["attributes"] | ({BORN_MARK: had[BORN_MARK]} if BORN_MARK in had else {})
    return [
        Call(f"{ADMIN}/partialImport", "POST", document={"ifResourceExists": "OVERWRITE", "clients": ours}),
        *(Call(f"{ADMIN}/clients/{client['id']}", "DELETE") for client in former),
        Call(ADMIN, "PUT", document=realm | settled | {"attributes": attributes}),
    ]
