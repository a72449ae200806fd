"""Whom the hub itself believes, asked past Apache's login with the one certificate that its proxy accepts."""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from testinfra.host import Host

from benchtop.settings import Settings
from support.facility import logged
from support.front_door import NO_ACCESS

Services = Callable[..., Host]

LOGIN = "https://hpc-1-proxy:8000/jupyterhub/hpc/hub/login"
MEMBER = "people|cluster-hpc"
COOKIE = "jupyterhub-hub-login="  # whoever has one is logged in


@dataclass(frozen=True)
class Claim:
    """Who somebody says they are, and what proves it."""

    user: str = "erin"
    groups: str = MEMBER
    signed_groups: str | None = None  # other groups than those that are sent
    age: timedelta = timedelta()
    secret: str | None = None  # another secret than Apache's

    def headers(self, secret: str) -> dict[str, str]:
        """As Apache would send them."""
        time = (datetime.now(UTC) - self.age).strftime("%Y%m%d%H%M%S")
        secret = secret if self.secret is None else self.secret
        groups = self.signed_groups or self.groups
        signed = "|".join((secret, self.user, time, groups, secret))
        signature = hashlib.sha1(signed.encode(), usedforsecurity=False).hexdigest()
        return {
            "X-SSO-User": self.user,
            "X-SSO-Groups": self.groups,
            "X-SSO-Time": time,
            "X-SSO-Sig": signature,
        }


@dataclass(frozen=True)
class Answer:
    """What the hub said."""

    status: int
    text: str  # headers included
    request: str


@pytest.fixture
def secret(service: Services) -> str:
    """What Apache and the hub share, where Apache reads it."""
    found = re.search(
        r"^Define SSO_SECRET_HPC (\S+)$", service("apache").file("/keys/secrets.conf").content_string, re.M
    )
    assert found
    return found[1]


@pytest.fixture
def ask(service: Services) -> Callable[[dict[str, str]], Answer]:
    """Ask the hub for a login, as Apache would: from its container, with its certificate."""

    def once(headers: dict[str, str]) -> Answer:
        request = f"test-{secrets.token_hex(6)}"
        service("hpc-1")  # for its log, should this fail
        given = [f"{name}: {value}" for name, value in (headers | {"X-Request-Id": request}).items()]
        words = [
            "curl --silent --include --max-time 15 --cert /keys/client.pem --cacert /keys/edge-ca.pem %s"
        ]
        words += ["--header %s"] * len(given)
        text = service("apache").check_output(" ".join(words), LOGIN, *given)
        return Answer(int(text.split()[1]), text, request)

    return once


Ask = Callable[[dict[str, str]], Answer]


@pytest.fixture
def refusal(settings: Settings) -> Callable[[str], str]:
    """The line of the hub's log that tells why it refused a request."""
    return lambda request: logged(settings, "hpc-1", f"request={request}")


def test_whom_apache_vouches_for_is_logged_in(ask: Ask, secret: str):
    answer = ask(Claim().headers(secret))
    assert answer.status == 302
    assert COOKIE in answer.text


def test_a_clock_that_is_a_little_off_keeps_nobody_out(ask: Ask, secret: str):
    for age in (timedelta(seconds=20), timedelta(seconds=-20)):
        assert ask(Claim(age=age).headers(secret)).status == 302


UNDERSCORES = ("X_SSO_User", "X_SSO_Groups", "X_SSO_Time", "X_SSO_Sig")


def without(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def test_nobody_else_is(ask: Ask, secret: str, refusal: Callable[[str], str]):
    """One test for all forgeries: each gets a page with a reason and a way on, and a line in the log."""
    right = Claim().headers(secret)
    forgeries = {
        "nothing": ({}, "missing-header"),
        "a name alone": ({"X-SSO-User": "erin"}, "missing-header"),
        "no signature": (without(right, "X-SSO-Sig"), "missing-header"),
        "an empty signature": (right | {"X-SSO-Sig": ""}, "missing-header"),
        "an invented signature": (right | {"X-SSO-Sig": "0" * 40}, "bad-signature"),
        "another secret": (Claim(secret="f" * 48).headers(secret), "bad-signature"),
        "an empty secret": (Claim(secret="").headers(secret), "bad-signature"),
        "another person's signature": (right | {"X-SSO-User": "alice"}, "bad-signature"),
        "groups that were added": (
            Claim(groups=f"{MEMBER}|facility-admins", signed_groups=MEMBER).headers(secret),
            "bad-signature",
        ),
        "yesterday's": (Claim(age=timedelta(days=1)).headers(secret), "stale"),
        "a minute old": (Claim(age=timedelta(seconds=60)).headers(secret), "stale"),
        "a minute early": (Claim(age=timedelta(seconds=-60)).headers(secret), "stale"),
        "a time made younger": (right | {"X-SSO-Time": "20990101000000"}, "bad-signature"),
        "no time": (right | {"X-SSO-Time": "now"}, "bad-time"),
        "a name that nobody has": (Claim(user="../erin").headers(secret), "bad-name"),
        "not of the cluster": (Claim(user="frank", groups="people").headers(secret), "not-a-member"),
        "other spellings": (dict(zip(UNDERSCORES, right.values(), strict=True)), "missing-header"),
        "other front doors' names": ({"REMOTE_USER": "erin", "X-Remote-User": "erin"}, "missing-header"),
    }
    for what, (headers, reason) in forgeries.items():
        answer = ask(headers)
        assert answer.status == 403, what
        assert COOKIE not in answer.text, what
        assert NO_ACCESS in answer.text, what
        assert re.search(r'<a [^>]*href="/jupyterhub/hpc/hub/login">Log in</a>', answer.text), what
        assert f"login refused reason={reason} " in refusal(answer.request), what


def test_the_page_says_why(ask: Ask, secret: str):
    assert "not confirmed by this facility" in ask(Claim(secret="f" * 48).headers(secret)).text
    assert "confirmed too long ago" in ask(Claim(age=timedelta(days=1)).headers(secret)).text
    assert "without logging in" in ask({}).text


def test_a_header_sent_twice_is_not_believed(service: Services, secret: str):
    """Which of two names would count is a question that two programs answer differently."""
    given = [f"{name}: {value}" for name, value in Claim().headers(secret).items()]
    command = "curl --silent --include --cert /keys/client.pem --cacert /keys/edge-ca.pem %s"
    command += " --header %s" * (len(given) + 1)
    answer = service("apache").check_output(command, LOGIN, *given, "X-SSO-User: alice")
    assert answer.split()[1] == "403"
    assert COOKIE not in answer
