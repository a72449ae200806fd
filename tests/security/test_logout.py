"""A logout ends everything, here and at Keycloak; and nobody can log somebody else out."""

import base64
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
import requests

from benchtop.people import enrol, keycloak
from benchtop.settings import Settings
from support.front_door import ask, form_of
from support.wait import wait_until

SignedIn = Callable[[str], requests.Session]

HUB = "/jupyterhub/hpc/hub"
FORMATS = {
    "transient": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
    "persistent": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "email": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "unspecified": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
}
FORGED = """<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
 xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{id}" Version="2.0" IssueInstant="{now}"
 Destination="{here}/mellon/logout"><Issuer>{there}/realms/benchtop</Issuer>
<NameID Format="{format}">{name}</NameID>{index}</samlp:LogoutRequest>"""


def status(browser: requests.Session, settings: Settings) -> int:
    """200 while Apache knows the person, 303 when it sends them to the login."""
    return browser.get(f"{settings.url}/", allow_redirects=False).status_code


def test_logging_out_of_a_hub_ends_every_session(settings: Settings):
    carol = enrol.login(settings, "carol", path=f"{HUB}/home")
    kept = requests.Session()
    kept.cookies.update(carol.cookies)  # what somebody copied from the browser before
    assert ask(settings, f"{HUB}/home", session=kept).status == 200
    action, answer = form_of(carol.get(f"{settings.url}{HUB}/logout"), "SAMLResponse")
    page = carol.post(action, data=answer)
    assert page.url == f"{settings.url}/signed-out"
    assert page.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert ask(settings, f"{HUB}/home", session=kept).status == 303
    again = carol.get(f"{settings.url}{HUB}/home")
    assert again.url.startswith(settings.login_url)
    assert 'name="password"' in again.text


@pytest.mark.alone
def test_an_admin_of_keycloak_logs_somebody_out_by_the_back_channel(settings: Settings):
    carol = enrol.login(settings, "carol", path=f"{HUB}/home")
    assert status(carol, settings) == 200
    token = keycloak.token_of(settings)
    find = keycloak.Call(f"{keycloak.ADMIN}/users?exact=true&username=carol")
    (person,) = keycloak.expect(keycloak.ask(settings, token, [find])[0], 200)
    end = keycloak.Call(f"{keycloak.ADMIN}/users/{person['id']}/logout", "POST")
    keycloak.expect(keycloak.ask(settings, token, [end])[0], 204)
    wait_until(lambda: status(carol, settings) == 303, timeout=5, what="the end of carol's session")
    assert ask(settings, f"{HUB}/home", session=carol).status == 303


@pytest.fixture(scope="module")
def erin(settings: Settings) -> requests.Session:
    """A session that only these tests use, since a mistake would end it."""
    return enrol.login(settings, "erin", path=f"{HUB}/home")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["erin", "erin@example.org", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_forged_request_logs_nobody_out(
    method: str, name: str, kind: str, erin: requests.Session, settings: Settings
):
    """Nor the one whose browser is made to send it. The control is the test above: Keycloak's own does."""
    for index in ("", "<SessionIndex>1</SessionIndex>"):
        forged = FORGED.format(
            id=uuid.uuid4().hex,
            now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            here=settings.url,
            there=settings.login_url,
            format=FORMATS[kind],
            name=name,
            index=index,
        ).encode()
        stranger = enrol.session(settings)
        for sender in (stranger, erin):
            address = f"{settings.url}/mellon/logout"
            if method == "POST":
                form = {"SAMLRequest": base64.b64encode(forged).decode()}
                answer = sender.post(address, data=form, allow_redirects=False)
            else:
                packed = base64.b64encode(zlib.compress(forged)[2:-4]).decode()
                query = urlencode({"SAMLRequest": packed})
                answer = sender.get(f"{address}?{query}", allow_redirects=False)
            assert answer.status_code < 500 or "number" in answer.text
    assert status(erin, settings) == 200
    assert ask(settings, f"{HUB}/home", session=erin).status == 200


def test_an_answer_to_a_logout_that_nobody_began_logs_nobody_out(erin: requests.Session, settings: Settings):
    forged = (
        '<samlp:LogoutResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1" Version="2.0" '
        'IssueInstant="2026-01-01T00:00:00Z"><samlp:Status><samlp:StatusCode '
        'Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status></samlp:LogoutResponse>'
    )
    form = {"SAMLResponse": base64.b64encode(forged.encode()).decode(), "RelayState": settings.url}
    erin.post(f"{settings.url}/mellon/logout", data=form, allow_redirects=False)
    assert status(erin, settings) == 200
