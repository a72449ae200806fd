"""Only what Apache signed, just now, in the one agreed spelling, is believed."""

from datetime import UTC, datetime, timedelta

import pytest
from tornado.httputil import HTTPHeaders

from benchtop_hub.access.identity import FRESH, Identity, Refused, sign, verify

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def headers(
    user="alice", groups="people|cluster-hpc", at=NOW, *, secret=SECRET, signed=None, **changed
) -> HTTPHeaders:
    """What Apache sets. `signed`: the user who is signed for, if not the one who is named."""
    time = at.strftime("%Y%m%d%H%M%S")
    made = {
        "X-SSO-User": user,
        "X-SSO-Time": time,
        "X-SSO-Groups": groups,
        "X-SSO-Sig": sign(secret, signed or user, time, groups.encode("latin-1", "replace")),
    }
    made.update({name.replace("_", "-"): value for name, value in changed.items()})
    return HTTPHeaders({name: value for name, value in made.items() if value is not None})


def refused(given: HTTPHeaders) -> Refused:
    with pytest.raises(Refused) as caught:
        verify(given, SECRET, now=NOW)
    return caught.value


def test_the_signature_is_the_one_that_apache_makes():
    # printf 's|alice|20261124120000|people|s' | sha1sum
    assert sign(b"s", "alice", "20261124120000", b"people") == "6a05663b4b33a8aff09cf2f486ad0223f9295cd0"


def test_whom_apache_vouches_for_is_believed():
    assert verify(headers(), SECRET, now=NOW) == Identity("alice", frozenset({"people", "cluster-hpc"}))


@pytest.mark.parametrize("off", [-FRESH, FRESH])
def test_clocks_may_differ_a_little(off):
    assert verify(headers(at=NOW + off), SECRET, now=NOW).name == "alice"


@pytest.mark.parametrize("off", [timedelta(seconds=31), timedelta(days=1), timedelta(seconds=-31)])
def test_an_old_or_future_signature_is_refused(off):
    assert refused(headers(at=NOW + off)).reason == "stale"


def test_another_secret_is_refused():
    assert refused(headers(secret=b"guess" * 8)).reason == "bad-signature"


def test_a_signature_for_somebody_else_is_refused():
    assert refused(headers("erin", signed="alice")).reason == "bad-signature"


def test_groups_that_were_not_signed_are_refused():
    assert refused(headers(X_SSO_Groups="people|facility-admins")).reason == "bad-signature"


@pytest.mark.parametrize("signature", ["x", "0" * 39, "é" * 40, "0" * 41])
def test_a_truncated_or_odd_signature_is_refused(signature):
    assert refused(headers(X_SSO_Sig=signature)).reason == "bad-signature"


def test_a_signature_must_be_spelt_as_apache_spells_it():
    upper = headers()["X-SSO-Sig"].upper()
    assert refused(headers(X_SSO_Sig=upper)).reason == "bad-signature"


@pytest.mark.parametrize("name", ["X_SSO_User", "X_SSO_Time", "X_SSO_Groups", "X_SSO_Sig"])
def test_a_missing_header_is_refused(name):
    assert refused(headers(**{name: None})).reason == "missing-header"


@pytest.mark.parametrize("name", ["X_SSO_User", "X_SSO_Time", "X_SSO_Sig"])
def test_an_empty_header_counts_as_missing(name):
    assert refused(headers(**{name: ""})).reason == "missing-header"


@pytest.mark.parametrize("name", ["X-SSO-User", "X-SSO-Time", "X-SSO-Groups", "X-SSO-Sig"])
def test_a_doubled_header_is_refused(name):
    given = headers()
    given.add(name, given[name])
    assert refused(given).reason == "doubled-header"


@pytest.mark.parametrize(
    "name", ["REMOTE_USER", "REMOTE-USER", "X_SSO_User", "X-Remote-User", "X.SSO.User", "XSSOUser"]
)
def test_no_other_spelling_names_anybody(name):
    given = headers()
    del given["X-SSO-User"]
    given[name] = "alice"
    assert refused(given).reason == "missing-header"


@pytest.mark.parametrize(
    "user",
    ["Alice", "alice ", " alice", "al ice", "alice|", "alice|20261124120000", "../alice", "älice",
     "\u0430lice", "-alice",
     "1alice", "a" * 32, "alice\t", "root/", "alice%00", ","],
)  # fmt: skip
def test_a_name_that_nobody_here_has_is_refused_although_signed(user):
    time = NOW.strftime("%Y%m%d%H%M%S")
    given = headers(X_SSO_User=user, X_SSO_Sig=sign(SECRET, user, time, b"people|cluster-hpc"))
    problem = refused(given)
    assert problem.reason == "bad-name"
    assert problem.claimed == "-", "nothing unchecked may reach the log"


@pytest.mark.parametrize(
    "time", ["2026112412000", "202611241200000", "20261124 12000", "yesterday", "²" * 14]
)
def test_a_time_in_another_spelling_is_refused(time):
    assert refused(headers(X_SSO_Time=time)).reason == "bad-time"


def test_a_time_that_does_not_exist_is_refused_although_signed():
    time = "20261399250000"
    given = headers(X_SSO_Time=time, X_SSO_Sig=sign(SECRET, "alice", time, b"people|cluster-hpc"))
    assert refused(given).reason == "bad-time"


@pytest.mark.parametrize("groups", ["", "(null)", "|", "||"])
def test_a_person_may_be_in_no_group(groups):
    assert verify(headers(groups=groups), SECRET, now=NOW).groups == frozenset()


@pytest.mark.parametrize(
    "groups",
    ["x facility-admins", "facility-admins ", " facility-admins", "Facility-Admins", "facility-admins,x",
     "x;facility-admins"],
)  # fmt: skip
def test_an_oddly_spelt_group_is_no_group(groups):
    assert "facility-admins" not in verify(headers(groups=groups), SECRET, now=NOW).groups


def test_a_group_in_another_script_is_checked_as_the_bytes_that_were_signed():
    as_tornado_reads_it = "people|größe".encode().decode("latin-1")
    assert verify(headers(groups=as_tornado_reads_it), SECRET, now=NOW).groups == {"people"}


def test_fields_cannot_be_shifted_across_the_separator():
    # The same signed text, cut elsewhere: USER="alice", TIME=…, GROUPS="a|b" as USER="alice|…".
    time = NOW.strftime("%Y%m%d%H%M%S")
    signature = sign(SECRET, "alice", time, b"20261124120000|people")
    given = headers(X_SSO_User=f"alice|{time}", X_SSO_Groups="people", X_SSO_Sig=signature)
    assert refused(given).reason == "bad-name"
