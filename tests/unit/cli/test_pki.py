"""Certificates: proven by real TLS handshakes in memory, strict as Python can be."""

import ssl
from datetime import timedelta

import pytest

from benchtop.keys import pki

NOW = pki.today()
NAMES = ("jupyter.localhost", "login.jupyter.localhost")


@pytest.fixture
def ca(tmp_path):
    pki.authority(tmp_path / "ca", pki.FACILITY_CA, now=NOW, names={"localhost", *NAMES})
    return tmp_path / "ca"


@pytest.fixture
def edge(tmp_path):
    pki.authority(tmp_path / "edge", "Benchtop edge CA", now=NOW)
    return tmp_path / "edge"


def pair(folder, *args, **kwargs):
    """A certificate as one file, as ssl loads it."""
    cert, key = pki.leaf(folder, *args, **({"now": NOW} | kwargs))
    (folder / "both.pem").write_bytes(cert + key)
    return folder / "both.pem"


def handshake(server, trusted, name, *, client=None, client_trusted=None):
    """Run TLS between two ends in memory; raises what the end that refuses raises."""
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(server)
    if client_trusted:
        there.verify_mode = ssl.CERT_REQUIRED
        there.load_verify_locations(client_trusted / "ca.pem")
    here = ssl.create_default_context(cafile=trusted / "ca.pem")
    here.verify_flags |= ssl.VERIFY_X509_STRICT
    if client:
        here.load_cert_chain(client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        here.wrap_bio(to_client, to_server, server_hostname=name),
        there.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    ends[1].write(b"welcome")
    return ends[0].read()


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_that_trusts_the_facility_accepts_both_names(tmp_path, ca, name):
    assert handshake(pair(tmp_path / "apache", ca, "public", NAMES), ca, name) == b"welcome"


def test_trusting_the_facility_does_not_mean_trusting_it_for_other_sites(tmp_path, ca):
    bank = pair(tmp_path / "bank", ca, "public", ["bank.example.org"])
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(bank, ca, "bank.example.org")


def test_a_proxy_is_not_trusted_by_browsers(tmp_path, ca, edge):
    proxy = pair(tmp_path / "proxy", edge, "server", ["hpc-1-proxy", NAMES[0]])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(proxy, ca, NAMES[0])


def test_apache_and_a_proxy_recognise_each_other(tmp_path, edge):
    proxy = pair(tmp_path / "proxy", edge, "server", ["hpc-1-proxy"])
    apache = pair(tmp_path / "apache", edge, "client", ["apache"])
    assert handshake(proxy, edge, "hpc-1-proxy", client=apache, client_trusted=edge) == b"welcome"


def test_a_proxy_cannot_pose_as_apache(tmp_path, edge):
    proxy = pair(tmp_path / "proxy", edge, "server", ["hpc-1-proxy"])
    other = pair(tmp_path / "other", edge, "server", ["apache"])
    with pytest.raises(ssl.SSLError, match="unsuitable certificate purpose"):
        handshake(proxy, edge, "hpc-1-proxy", client=other, client_trusted=edge)


def test_a_client_cannot_pose_as_a_proxy(tmp_path, edge):
    posing = pair(tmp_path / "posing", edge, "client", ["hpc-1-proxy"])
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        handshake(posing, edge, "hpc-1-proxy")


def test_a_hub_of_another_cluster_is_refused(tmp_path, edge):
    pki.authority(tmp_path / "minter", "Benchtop minter CA hpc", now=NOW)
    minter = pair(tmp_path / "server", tmp_path / "minter", "server", ["hpc-minter"])
    stranger = pair(tmp_path / "client", edge, "client", ["hpc-1"])
    with pytest.raises(ssl.SSLError):
        handshake(
            minter, tmp_path / "minter", "hpc-minter", client=stranger, client_trusted=tmp_path / "minter"
        )


def test_browsers_accept_the_certificates_life(tmp_path, ca):
    pki.leaf(tmp_path / "apache", ca, "public", NAMES, now=NOW)
    cert = pki.certificate(tmp_path / "apache" / "cert.pem")
    assert cert.not_valid_after_utc - cert.not_valid_before_utc <= timedelta(days=90)


@pytest.mark.parametrize(("days", "renewed"), [(0, False), (59, False), (61, True), (200, True)])
def test_a_public_certificate_is_renewed_a_month_before_its_end(tmp_path, ca, days, renewed):
    first = pki.leaf(tmp_path / "apache", ca, "public", NAMES, now=NOW)
    second = pki.leaf(tmp_path / "apache", ca, "public", NAMES, now=NOW + timedelta(days=days))
    assert (second[0] != first[0]) is renewed
    assert second[1] == first[1]  # the key stays


@pytest.mark.parametrize(("days", "renewed"), [(730, False), (1000, True)])
def test_internal_certificates_last_two_years(tmp_path, edge, days, renewed):
    first = pki.leaf(tmp_path / "proxy", edge, "server", ["p"], now=NOW)
    second = pki.leaf(tmp_path / "proxy", edge, "server", ["p"], now=NOW + timedelta(days=days))
    assert (second[0] != first[0]) is renewed


def test_other_names_get_another_certificate_for_the_same_key(tmp_path, ca):
    first = pki.leaf(tmp_path / "apache", ca, "public", NAMES, now=NOW)
    second = pki.leaf(tmp_path / "apache", ca, "public", ["hub.localhost"], now=NOW)
    assert second[0] != first[0]
    assert second[1] == first[1]


def test_a_certificate_of_a_lost_authority_is_replaced(tmp_path, edge):
    first = pki.leaf(tmp_path / "proxy", edge, "server", ["p"], now=NOW)
    (edge / "ca.key").unlink()
    pki.authority(edge, "Benchtop edge CA", now=NOW)
    second = pki.leaf(tmp_path / "proxy", edge, "server", ["p"], now=NOW)
    assert second[0] != first[0]
    assert handshake(pair(tmp_path / "proxy", edge, "server", ["p"]), edge, "p") == b"welcome"


def test_a_certificate_for_another_use_is_replaced(tmp_path, edge):
    first = pki.leaf(tmp_path / "x", edge, "server", ["x"], now=NOW)
    assert pki.leaf(tmp_path / "x", edge, "client", ["x"], now=NOW) != first


def test_the_facilitys_authority_stays_the_same(ca):
    before = (ca / "ca.pem").read_bytes()
    pki.authority(ca, pki.FACILITY_CA, now=NOW + timedelta(days=900), names={*NAMES, "localhost"})
    assert (ca / "ca.pem").read_bytes() == before


def test_a_renamed_facility_keeps_its_authoritys_key(ca):
    before = (ca / "ca.key").read_bytes()
    pki.authority(ca, pki.FACILITY_CA, now=NOW, names={"localhost", "hub.example.org"})
    assert pki.permitted(pki.certificate(ca / "ca.pem")) == {"localhost", "hub.example.org"}
    assert (ca / "ca.key").read_bytes() == before


def test_a_new_name_that_the_authority_covers_needs_no_new_trust(ca):
    before = (ca / "ca.pem").read_bytes()
    pki.authority(ca, pki.FACILITY_CA, now=NOW, names={"localhost", "hub.localhost", "id.hub.localhost"})
    assert (ca / "ca.pem").read_bytes() == before


def test_an_authority_without_limits_gets_some(edge):
    pki.authority(edge, "Benchtop edge CA", now=NOW, names={"localhost"})
    assert pki.permitted(pki.certificate(edge / "ca.pem")) == {"localhost"}


def test_a_half_written_certificate_is_made_anew(tmp_path, edge):
    pki.leaf(tmp_path / "p", edge, "server", ["p"], now=NOW)
    (tmp_path / "p" / "cert.pem").write_text("-----BEGIN CERT")
    assert handshake(pair(tmp_path / "p", edge, "server", ["p"]), edge, "p") == b"welcome"


def test_what_is_written_is_private_and_whole(tmp_path):
    path = tmp_path / "deep" / "secret"
    assert pki.write(path, b"one")
    assert not pki.write(path, b"one")
    assert pki.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert oct(path.parent.stat().st_mode)[-3:] == "700"
    assert list(path.parent.iterdir()) == [path]  # no half copy is left


def test_keycloak_gets_keys_without_pem_lines(tmp_path):
    cert, key = pki.self_signed(tmp_path, "benchtop", now=NOW)
    for text in (pki.der64(cert), pki.der64(key)):
        assert "-" not in text
        assert "\n" not in text
        assert text.startswith("MII")
    assert key.key_size >= 2048
