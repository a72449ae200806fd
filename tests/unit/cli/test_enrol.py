# ruff: noqa: D102
"""Logging in by program, against a small HTTPS site that asks as Keycloak's pages do."""

import base64
import dataclasses
import http.server
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchtop.console import Problem
from benchtop.keys import pki, secrets
from benchtop.people import enrol, keycloak, realm
from benchtop.people.roster import People, Person

RAW = "aRawSecretOf20Bytes!"
SECRET = base64.b32encode(RAW.encode()).decode()


class Site(http.server.BaseHTTPRequestHandler):
    """Landing page behind login, TOTP (enrolled at first) and an assertion, on two names."""

    def do_GET(self):
        self.server.seen.append(self.headers["Host"])
        facility = self.server.facility
        if self.headers["Host"].startswith("login."):
            return self.form("/password", "username password")
        if "session=" in self.headers.get("Cookie", ""):
            return self.page("<h1>Welcome</h1>")
        return self.redirect(f"{self.server.elsewhere or facility.login_url}/realms/x")

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        form = {key: values[0] for key, values in parse_qs(self.rfile.read(length).decode()).items()}
        if self.path == "/password":
            if form["password"] != self.server.password:
                return self.page('<span id="input-error">Invalid username or password.</span>' + self.FORM)
            if not self.server.enrolled:
                return self.form(
                    "/enrol", "totp userLabel", f'<input type="hidden" name="totpSecret" value="{RAW}">'
                )
            return self.form("/otp", "otp")
        if self.path in ("/enrol", "/otp"):
            code = form["totp" if self.path == "/enrol" else "otp"]
            good = pyotp.TOTP(SECRET).verify(code, valid_window=1) and code not in self.server.codes
            self.server.codes.append(code)
            if not good:
                return self.page('<span id="input-error-otp">Invalid authenticator code.</span>')
            self.server.enrolled = True
            hidden = '<input type="hidden" name="SAMLResponse" value="yes">'
            return self.form(f"{self.server.facility.url}/mellon/postResponse", "", hidden)
        assert form["SAMLResponse"] == "yes"
        return self.redirect("/", cookie="session=1; Path=/; Secure")

    FORM = '<form action="/password"><input name="username"><input name="password"></form>'

    def form(self, action, names, more=""):
        inputs = "".join(f'<input name="{name}">' for name in names.split())
        self.page(f'<form method="post" action="{action}">{inputs}{more}</form>')

    def page(self, html):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(html.encode())

    def redirect(self, to, cookie=None):
        self.send_response(303)
        self.send_header("Location", to)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def site(settings):
    """The site, on a free port, with a certificate of the facility's own CA."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    facility = dataclasses.replace(settings, port=server.server_address[1])
    pki.authority(facility.state / "ca", pki.FACILITY_CA, now=pki.today(), names={"localhost"})
    names = [facility.name, facility.login_name]
    cert, key = pki.leaf(facility.state / "tls", facility.state / "ca", "public", names, now=pki.today())
    (facility.state / "server.pem").write_bytes(cert + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(facility.state / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.facility, server.password, server.enrolled = facility, "", False
    server.codes, server.seen, server.elsewhere = [], [], None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()


@pytest.fixture
def alice(site, monkeypatch):
    """Alice has a password; Keycloak's admin side answers what the site knows."""
    site.password = secrets.logins(site.facility, ["alice"])["alice"].password
    monkeypatch.setattr(
        keycloak,
        "second_factors",
        lambda _, names: {name: ["id-1"] if site.enrolled else [] for name in names},
    )
    monkeypatch.setattr(realm, "follow", lambda _: [])
    person = Person(name="Alice Archer", uid=2001, mail="a@x.org")
    return People(people={"alice": person})


def enrolled(site):
    """As after an earlier `make up`."""
    site.enrolled = True
    secrets.remember_totp(site.facility, "alice", SECRET, "id-1")


def test_enrolling_keeps_the_secret_that_the_page_showed(site, alice):
    assert enrol.enrol_missing(site.facility, alice) == ["alice"]
    kept = secrets.logins(site.facility)["alice"]
    assert (kept.totp_secret, kept.totp_credential) == (SECRET, "id-1")


def test_a_second_run_enrols_nobody(site, alice):
    enrol.enrol_missing(site.facility, alice)
    assert enrol.enrol_missing(site.facility, alice) == []


def test_somebody_who_is_meant_to_meet_the_qr_code_is_left(site, alice):
    dave = Person(name="Dave Dyer", uid=2004, mail="d@x.org", enrolled=False)
    assert enrol.enrol_missing(site.facility, People(people={"dave": dave})) == []


@pytest.mark.parametrize(("secret", "credential"), [(None, None), (SECRET, "of another copy")])
def test_a_second_factor_that_is_not_ours_is_made_anew(site, alice, monkeypatch, secret, credential):
    enrolled(site)
    secrets.remember_totp(site.facility, "alice", secret, credential)
    monkeypatch.setattr(keycloak, "reset", lambda _, *names: setattr(site, "enrolled", False))
    assert enrol.enrol_missing(site.facility, alice) == ["alice"]
    assert secrets.logins(site.facility)["alice"].totp_credential == "id-1"


def test_logging_in_ends_on_the_page_that_was_asked_for(site, alice):
    enrolled(site)
    session = enrol.login(site.facility, "alice")
    assert "Welcome" in session.get(f"{site.facility.url}/").text


def test_the_enrolment_code_is_not_used_for_the_next_login(site, alice):
    enrol.enrol_missing(site.facility, alice)
    enrol.login(site.facility, "alice")
    assert len(set(site.codes)) == 2


def test_programs_at_the_same_time_use_different_codes(site, alice):
    enrolled(site)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: enrol.login(site.facility, "alice"), range(2)))
    assert len(set(site.codes)) == 2


def test_a_wrong_password_is_told_in_the_words_of_the_page(site, alice):
    enrolled(site)
    site.password = "another"
    with pytest.raises(Problem, match="login of alice was refused") as caught:
        enrol.login(site.facility, "alice")
    assert caught.value.details == ["Invalid username or password."]


def test_somebody_without_a_second_factor_is_told_what_to_do(site, alice):
    with pytest.raises(Problem, match="make up"):
        enrol.login(site.facility, "alice")


def test_a_stranger_is_told_where_to_look(site):
    with pytest.raises(Problem, match="Unknown user “mallory”"):
        enrol.login(site.facility, "mallory")


def test_both_names_are_dialled_at_the_published_address(site, alice):
    enrolled(site)
    enrol.login(site.facility, "alice")
    port = site.facility.port
    assert set(site.seen) == {f"jupyter.localhost:{port}", f"login.jupyter.localhost:{port}"}


def test_a_login_never_leaves_the_facility(site, alice):
    enrolled(site)
    site.elsewhere = "https://evil.example.org"
    with pytest.raises(Problem, match="led away from the facility"):
        enrol.login(site.facility, "alice")


def test_the_environments_proxies_and_authorities_are_not_asked(site, alice, monkeypatch):
    enrolled(site)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    enrol.login(site.facility, "alice")


def test_a_front_door_with_another_certificate_is_not_trusted(site, alice):
    enrolled(site)
    (site.facility.state / "ca/ca.key").unlink()
    pki.authority(site.facility.state / "ca", pki.FACILITY_CA, now=pki.today(), names={"localhost"})
    with pytest.raises(Problem, match="does not answer") as caught:
        enrol.login(site.facility, "alice")
    assert "CERTIFICATE_VERIFY_FAILED" in caught.value.details[0]


def test_a_facility_that_is_down_is_told(site, alice):
    enrolled(site)
    down = dataclasses.replace(site.facility, port=9)
    with pytest.raises(Problem, match="does not answer: see `make status`"):
        enrol.login(down, "alice")


def test_make_otp_shows_what_a_phone_would(site, alice):
    enrolled(site)
    now = time.time()
    code = enrol.code(site.facility, "alice")
    assert code in {pyotp.TOTP(SECRET).at(now), pyotp.TOTP(SECRET).at(now + enrol.PERIOD)}


@given(st.integers(0, 10**8), st.floats(0, 3 * 10**9), st.booleans())
def test_a_code_is_never_used_twice(last, now, early):
    assert enrol.next_step(last, now, early=early) > last


@given(st.floats(1, 3 * 10**9), st.booleans())
def test_an_unused_person_need_not_wait(now, early):
    step, this = enrol.next_step(0, now, early=early), int(now // enrol.PERIOD)
    assert this - 1 <= step <= max(this, 1)


def test_three_logins_need_no_wait():
    now, used = 1_000_000_005.0, 0
    for _ in range(3):
        used = enrol.next_step(used, now)
        assert used <= now // enrol.PERIOD + 1
