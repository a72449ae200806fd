"""What mellon and Keycloak know of each other: SAML metadata, and the realm with its keys.

They are rendered here instead of fetched from a running Keycloak, so that neither Apache nor Keycloak
has to wait for the other at the first start.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

from benchtop.console import Problem
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
        raise Problem(f"keycloak/realm.json:{error.lineno}: {error.msg}. Fix that line.") from error
    born = {key: value for key, value in document.items() if key in BORN_WITH}
    marks = {ALL_MARK: _digest(document), BORN_MARK: _digest(born)}
    return json.dumps(document | {"attributes": document.get("attributes", {}) | marks}, indent=1)


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
