"""What other programs read, made from the settings, the keys and the people.

SAML metadata and the realm are rendered here instead of fetched from a running Keycloak, so
that neither Apache nor Keycloak has to wait for the other at the first start.
"""

from __future__ import annotations

import json
import re
from xml.sax.saxutils import escape

from benchtop.settings import Settings

REALM = "benchtop"
_BINDING = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


def service_provider(settings: Settings) -> str:
    """The address under which Apache's mellon lives."""
    return f"{settings.url}/mellon"


def identity_provider(settings: Settings) -> str:
    """The address of the realm, which is its SAML entity ID too."""
    return f"{settings.login_url}/realms/{REALM}"


def sp_metadata(settings: Settings, certificate: str) -> str:
    """What mellon is: signs its requests, wants signed assertions about a person whose NameID says nothing."""
    at = escape(service_provider(settings))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{at}/metadata">
  <SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true"
      protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
{_signing_key(certificate)}
    <SingleLogoutService Binding="{_BINDING}Redirect" Location="{at}/logout"/>
    <SingleLogoutService Binding="{_BINDING}POST" Location="{at}/logout"/>
    <NameIDFormat>{_TRANSIENT}</NameIDFormat>
    <AssertionConsumerService index="0" isDefault="true" Binding="{_BINDING}POST" Location="{at}/postResponse"/>
  </SPSSODescriptor>
</EntityDescriptor>
"""


def idp_metadata(settings: Settings, certificate: str) -> str:
    """What Keycloak's realm is, as mellon has to know it; a stack test compares it with the served descriptor."""
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


def realm(
    template: str, settings: Settings, *, key: str, certificate: str, sp_certificate: str, ldap_password: str
) -> str:
    """The realm file for Keycloak's import: `template` with our placeholders filled.

    Other `${...}` stay: Keycloak has placeholders of its own. Raises ValueError with the reason
    when the result would not be JSON.
    """
    values = {
        "BENCHTOP_NAME": settings.name,
        "BENCHTOP_LOGIN_NAME": settings.login_name,
        "BENCHTOP_PORT": str(settings.port),
        "REALM_KEY": key,
        "REALM_CERT": certificate,
        "SP_CERT": sp_certificate,
        "LDAP_PASSWORD": ldap_password,
    }
    filled = re.sub(
        r"\$\{(\w+)\}", lambda m: json.dumps(values[m[1]])[1:-1] if m[1] in values else m[0], template)
    try:
        json.loads(filled)
    except json.JSONDecodeError as error:
        raise ValueError(f"keycloak/realm.json:{error.lineno}: {error.msg}") from error
    return filled
