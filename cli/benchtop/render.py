"""What other programs read, made from the settings, the keys and the people.

SAML metadata and the realm are rendered here instead of fetched from a running Keycloak, so
that neither Apache nor Keycloak has to wait for the other at the first start.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol
from xml.sax.saxutils import escape

from benchtop import pki
from benchtop.console import Problem
from benchtop.people import CLUSTERS, PEOPLE_GID, People
from benchtop.settings import Settings

REALM = "benchtop"
# What Keycloak takes from the file only when it makes the realm; the rest can follow a change.
BORN_WITH = ("privateKey", "certificate", "authenticationFlows", "requiredActions", "components", "users")
# Attributes of the realm that say which file it was made from: all of it, and the part above.
ALL_MARK, BORN_MARK = "benchtop.file", "benchtop.file.born-with"
_BINDING = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


def service_provider(settings: Settings) -> str:
    """The address under which Apache's mellon lives."""
    return f"{settings.url}/mellon"


def identity_provider(settings: Settings) -> str:
    """The address of the realm, which is its SAML entity ID too."""
    return f"{settings.login_url}/realms/{REALM}"


def sp_metadata(settings: Settings, certificate: str) -> str:
    """What mellon is: signs its requests, wants signed assertions with a NameID that says nothing."""
    at = escape(service_provider(settings))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{at}/metadata">
  <SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true"
      protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
{_signing_key(certificate)}
    <SingleLogoutService Binding="{_BINDING}Redirect" Location="{at}/logout"/>
    <SingleLogoutService Binding="{_BINDING}POST" Location="{at}/logout"/>
    <NameIDFormat>{_TRANSIENT}</NameIDFormat>
    <AssertionConsumerService index="0" isDefault="true"
        Binding="{_BINDING}POST" Location="{at}/postResponse"/>
  </SPSSODescriptor>
</EntityDescriptor>
"""


def idp_metadata(settings: Settings, certificate: str) -> str:
    """What Keycloak's realm is, as mellon has to know it.

    A stack test compares it with the descriptor that Keycloak serves.
    """
    at = escape(identity_provider(settings))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{at}">
  <IDPSSODescriptor WantAuthnRequestsSigned="true"
      protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
{_signing_key(certificate)}
    <SingleLogoutService Binding="{_BINDING}Redirect" Location="{at}/protocol/saml"/>
    <SingleLogoutService Binding="{_BINDING}POST" Location="{at}/protocol/saml"/>
    <NameIDFormat>{_TRANSIENT}</NameIDFormat>
    <SingleSignOnService Binding="{_BINDING}Redirect" Location="{at}/protocol/saml"/>
    <SingleSignOnService Binding="{_BINDING}POST" Location="{at}/protocol/saml"/>
  </IDPSSODescriptor>
</EntityDescriptor>
"""


def _signing_key(certificate: str) -> str:
    return f"""    <KeyDescriptor use="signing">
      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
        <X509Data><X509Certificate>{certificate}</X509Certificate></X509Data>
      </KeyInfo>
    </KeyDescriptor>"""


def realm(template: str, settings: Settings, keys: Mapping[str, str]) -> str:
    """The realm file for Keycloak's import: `template` with our placeholders filled.

    keys: REALM_KEY, REALM_CERT, SP_CERT (base64 of DER), LDAP_PASSWORD and LEAVERS_SECRET
    Other `${...}` stay: Keycloak has placeholders of its own. Raises Problem when the file
    is not JSON, which Keycloak would say in a stack trace at its start.
    """
    values = {
        "BENCHTOP_NAME": settings.name,
        "BENCHTOP_LOGIN_NAME": settings.login_name,
        "BENCHTOP_PORT": str(settings.port),
        **keys,
    }

    def fill(found: re.Match[str]) -> str:
        return json.dumps(values[found[1]])[1:-1] if found[1] in values else found[0]

    filled = re.sub(r"\$\{(\w+)\}", fill, template)
    try:
        document = json.loads(filled)
    except json.JSONDecodeError as error:
        raise Problem(f"keycloak/realm.json:{error.lineno}: {error.msg}. Mend that line.") from error
    born = {key: value for key, value in document.items() if key in BORN_WITH}
    marks = {ALL_MARK: _digest(document), BORN_MARK: _digest(born)}
    return json.dumps(document | {"attributes": document.get("attributes", {}) | marks}, indent=1)


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


# A well-formed hash that is no password's
NO_PASSWORD = f"{{ARGON2}}$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"


class Hashed(Protocol):
    """Whatever knows the hash of a person's password."""

    @property
    def password_hash(self) -> str:
        """`{ARGON2}…`, as the directory keeps it."""
        ...


def directory(people: People, logins: Mapping[str, Hashed]) -> bytes:
    """The people and groups of the LDAP directory, as its `apply-people` reads them."""
    # Who is disabled stays an entry, so that their files keep an owner with a name: in no group, and with a
    # password that nobody has.
    able = {name: person for name, person in people.people.items() if not person.disabled}
    members = {
        "people": list(able),
        "facility-admins": [n for n, p in able.items() if p.admin],
    }
    members |= {f"cluster-{c}": [n for n, p in able.items() if c in p.clusters] for c in CLUSTERS}
    gids = {"people": PEOPLE_GID, "facility-admins": PEOPLE_GID + 1}
    gids |= {f"cluster-{cluster}": PEOPLE_GID + 10 + i for i, cluster in enumerate(CLUSTERS)}
    for group, entry in people.groups.items():
        members[group] = [name for name, person in able.items() if group in person.groups]
        gids[group] = entry.gid
    persons = [
        {
            "name": name,
            "uid": person.uid,
            "gid": PEOPLE_GID,
            "given": person.name.rpartition(" ")[0],
            "family": person.name.rpartition(" ")[2],
            "mail": person.mail,
            "password_hash": NO_PASSWORD if person.disabled else logins[name].password_hash,
            "shell": "/bin/bash",
            "home": f"/home/{name}",
        }
        for name, person in people.people.items()
    ]
    groups = [{"name": name, "gid": gid, "members": members[name]} for name, gid in gids.items()]
    return _json({"people": persons, "groups": groups})


def accounting(people: People) -> bytes:
    """Who may use what of Slurm, as slurmctld's `apply-people` reads it.

    A field that nothing was said about is left out. A person's first account is the default one;
    `qos` of a person is what they have beyond their accounts.
    """
    slurm = people.slurm
    persons = [
        {
            "name": name,
            "uid": person.uid,
            "accounts": person.accounts,
            "qos": person.qos,
            "limits": person.limits.model_dump(exclude_none=True),
            "admin": person.admin,
        }
        for name, person in people.people.items()
        if "hpc" in person.clusters and not person.disabled
    ]
    return _json(
        {
            "accounts": [
                {"name": name, **entry.model_dump(exclude_none=True)}
                for name, entry in slurm.accounts.items()
            ],
            "qos": [
                {"name": name, **entry.model_dump(exclude_none=True)} for name, entry in slurm.qos.items()
            ],
            "people": persons,
        }
    )


def homes(settings: Settings, people: People) -> bool:
    """Write the list of homes that `fill-volumes` makes; say whether it changed."""
    rows = [f"{name}\t{person.uid}\t{PEOPLE_GID}\n" for name, person in people.people.items()]
    return pki.write(settings.state / "secrets" / "volumes" / "people.tsv", "".join(rows).encode())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
