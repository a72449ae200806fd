"""The request with which Apache sends somebody to the login: signed, and worth nothing when changed."""

import base64
import zlib
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import pytest
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from benchtop.people import enrol
from benchtop.settings import Settings

ASSERTION = "{urn:oasis:names:tc:SAML:2.0:assertion}"


@pytest.fixture
def stranger(settings: Settings) -> requests.Session:
    """A browser that nobody has logged in with."""
    return enrol.session(settings)


@pytest.fixture
def request_address(stranger: requests.Session, settings: Settings) -> str:
    """Where Apache sends a stranger."""
    first = stranger.get(f"{settings.url}/jupyterhub/hpc/", allow_redirects=False)
    second = stranger.get(first.headers["Location"], allow_redirects=False)
    assert (first.status_code, second.status_code) == (303, 303)
    return second.headers["Location"]


def test_it_asks_keycloak_in_apaches_name_and_for_the_page_that_was_wanted(
    request_address: str, settings: Settings
):
    fields = dict(parse_qsl(urlsplit(request_address).query))
    asked = ET.fromstring(zlib.decompress(base64.b64decode(fields["SAMLRequest"]), -15))  # noqa: S314 - our own
    assert request_address.startswith(f"{settings.login_url}/realms/benchtop/protocol/saml?")
    assert asked.findtext(f"{ASSERTION}Issuer") == f"{settings.url}/mellon/metadata"
    assert asked.get("AssertionConsumerServiceURL") == f"{settings.url}/mellon/postResponse"
    assert fields["RelayState"] == f"{settings.url}/jupyterhub/hpc/"


def test_it_is_signed_by_apaches_key(request_address: str, settings: Settings):
    query = urlsplit(request_address).query
    signed, _, _ = query.partition("&Signature=")
    fields = dict(parse_qsl(query))
    assert fields["SigAlg"].endswith("rsa-sha256")
    certificate = settings.state / "secrets/keys-apache/mellon/sp.crt"
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(fields["Signature"])
    key.verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed.encode() + b"x", padding.PKCS1v15(), SHA256())


def test_keycloak_answers_it_with_the_login_form(request_address: str, stranger: requests.Session):
    page = stranger.get(request_address)
    assert page.status_code == 200
    assert 'name="password"' in page.text


@pytest.mark.parametrize(
    "change",
    [
        lambda address: address.replace("RelayState=https", "RelayState=http"),
        lambda address: address.partition("&SigAlg=")[0],  # not signed at all
    ],
    ids=["changed", "unsigned"],
)
def test_keycloak_refuses_one_that_apache_did_not_sign(
    change, request_address: str, stranger: requests.Session
):
    changed = change(request_address)
    assert changed != request_address
    page = stranger.get(changed)
    assert page.status_code == 400
    assert 'name="password"' not in page.text


def test_without_the_facilitys_ca_nobody_trusts_the_front_door(
    stranger: requests.Session, settings: Settings
):
    """The control is each other test: they trust this CA and nothing else."""
    stranger.verify = True  # the CAs of the machine's Python
    with pytest.raises(requests.exceptions.SSLError):
        stranger.get(f"{settings.url}/signed-out")
