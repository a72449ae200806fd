"""Admin requests to Keycloak: what is secret goes on stdin, and answers keep their order."""

import json
import shlex
import subprocess

import pytest

from benchtop.console import Problem
from benchtop.keys import pki, saml, secrets
from benchtop.people import keycloak, realm
from benchtop.stack import compose

PASSWORD = "0123456789abcdef" * 3
TOKEN = "eyJ.a-token"


@pytest.fixture
def asked(settings, monkeypatch):
    """What was sent to curl; `answers` holds what Keycloak says, by method and end of address."""
    pki.write(settings.state / "private/keycloak-admin.password", PASSWORD.encode())
    keycloak._tokens.clear()
    log = Log()

    def run(_settings, *args, input, **_options):
        assert PASSWORD not in shlex.join(args)
        assert TOKEN not in shlex.join(args)
        log.configs.append(input.decode())
        out = "".join(log.answer(call) for call in input.decode().split("\nnext\n"))
        return subprocess.CompletedProcess(args, log.exit, out.encode(), b"curl: no such host")

    monkeypatch.setattr(compose, "run", run)
    return log


class Log:
    """What was asked, and what is answered."""

    def __init__(self):
        self.configs, self.calls, self.exit = [], [], 0
        self.answers = {"POST /token": (200, {"access_token": TOKEN})}

    def answer(self, config):
        """The answer to one call, as curl prints it with our mark."""
        lines = dict(line.split(" = ", 1) for line in config.splitlines() if " = " in line)
        method, url = lines.get("request", "GET"), json.loads(lines["url"])
        self.calls.append(f"{method} {url}")
        found = (
            value
            for key, value in self.answers.items()
            if f"{method} {url}".startswith(key.split()[0]) and url.endswith(key.split()[1])
        )
        status, body = next(found, (404, None))
        return f"{json.dumps(body) if body is not None else ''}--benchtop--{status}--benchtop--"


def alice(asked, *credentials):
    asked.answers["GET username=alice"] = (200, [{"id": "A"}])
    asked.answers["GET username=bob"] = (200, [])
    asked.answers["GET /users/A/credentials"] = (
        200,
        [{"id": c, "type": "otp"} for c in credentials] + [{"id": "p", "type": "password"}],
    )


def test_the_admin_password_and_token_are_on_stdin_only(settings, asked):
    alice(asked, "c1")
    assert keycloak.has_otp(settings, "alice")
    assert PASSWORD in asked.configs[0]
    assert all(TOKEN in config for config in asked.configs[1:])


def test_a_second_factor_is_found(settings, asked):
    alice(asked, "c1")
    assert keycloak.second_factors(settings, ["bob", "alice"]) == {"bob": [], "alice": ["c1"]}


def test_a_password_alone_is_no_second_factor(settings, asked):
    alice(asked)
    assert not keycloak.has_otp(settings, "alice")


def test_a_reset_takes_second_factor_lock_and_sessions(settings, asked):
    alice(asked, "c1", "c2")
    secrets.logins(settings, ["alice"])
    secrets.remember_totp(settings, "alice", "SECRET", "c1")
    for ending in ("c1", "c2", "brute-force/users/A"):
        asked.answers[f"DELETE {ending}"] = (204, None)
    asked.answers["POST /users/A/logout"] = (204, None)
    keycloak.reset(settings, "alice")
    done = [call.replace(keycloak.ADMIN, "") for call in asked.calls if not call.startswith("GET")][1:]
    assert done == [
        "DELETE /users/A/credentials/c1",
        "DELETE /users/A/credentials/c2",
        "DELETE /attack-detection/brute-force/users/A",
        "POST /users/A/logout",
    ]
    assert secrets.logins(settings)["alice"].totp_secret is None


def test_a_reset_of_a_stranger_touches_nobody(settings, asked):
    alice(asked, "c1")
    with pytest.raises(Problem, match="Keycloak does not know bob"):
        keycloak.reset(settings, "alice", "bob")
    assert not any(call.startswith("DELETE") for call in asked.calls)


def test_a_database_of_other_secrets_is_told(settings, asked):
    asked.answers["POST /token"] = (401, {"error": "invalid_grant"})
    with pytest.raises(Problem, match="made with other secrets"):
        keycloak.has_otp(settings, "alice")


def test_a_keycloak_that_is_down_is_told(settings, asked):
    asked.exit = 7
    with pytest.raises(Problem, match="make status") as caught:
        keycloak.has_otp(settings, "alice")
    assert caught.value.details == ["curl: no such host"]


def test_an_unexpected_answer_is_told(settings, asked):
    asked.answers["GET username=alice"] = (500, {"error": "unknown"})
    with pytest.raises(Problem, match="answered 500"):
        keycloak.has_otp(settings, "alice")


# ---- the realm follows its file -----------------------------------------------------------------

FILE = {
    "realm": "benchtop",
    "displayName": "Benchtop",
    "components": {},
    "clients": [
        {"clientId": "https://${BENCHTOP_NAME}:${BENCHTOP_PORT}/mellon/metadata", "protocol": "saml"}
    ],
}


@pytest.fixture
def running(settings, asked):
    """A realm that was made from FILE."""
    text = saml.realm(json.dumps(FILE), settings, {})
    pki.write(settings.state / "secrets/keys-keycloak/import/benchtop-realm.json", text.encode())
    asked.answers |= {
        "GET realms/benchtop": (200, json.loads(text) | {"id": "R", "clients": None}),
        "GET /components": (
            200,
            [{"providerId": "group-ldap-mapper", "id": "M", "parentId": "L"}, {"providerId": "ldap"}],
        ),
        "GET /clients": (
            200,
            [
                {"id": "C", "clientId": "https://jupyter.localhost:8443/mellon/metadata"},
                {"id": "X", "clientId": "account"},
            ],
        ),
        "POST /user-storage/L/mappers/M/sync?direction=fedToKeycloak": (200, {}),
        "POST /partialImport": (200, {}),
        "PUT realms/benchtop": (204, None),
        "DELETE /clients/C": (204, None),
    }
    return asked


def changes(running):
    return [
        c.replace(keycloak.ADMIN, "")
        for c in running.calls
        if not c.startswith("GET") and "/token" not in c and "/sync" not in c
    ]


def test_an_unchanged_file_changes_nothing(settings, running):
    assert realm.follow(settings) == []
    assert changes(running) == []


def test_keycloak_knows_the_directorys_groups_before_anybody_logs_in(settings, running):
    realm.follow(settings)
    assert any("/user-storage/L/mappers/M/sync" in call for call in running.calls)


def test_a_changed_setting_is_brought_in_and_marked_last(settings, running):
    rewrite(settings, FILE | {"displayName": "Other"})
    assert realm.follow(settings) == []
    assert changes(running) == ["POST /partialImport", "PUT "]
    assert '\\"displayName\\": \\"Other\\"' in running.configs[-1]


def test_another_name_replaces_the_client_of_the_former_one(settings, running):
    rewrite(settings, json.loads(json.dumps(FILE).replace("${BENCHTOP_NAME}", "hub.example.org")))
    realm.follow(settings)
    assert changes(running) == ["POST /partialImport", "DELETE /clients/C", "PUT "]


def test_what_needs_an_empty_database_is_told_each_time(settings, running):
    rewrite(settings, FILE | {"components": {"x": []}})
    assert realm.follow(settings) == [realm.FLOWS_STAY]
    body = json.loads(
        json.loads(next(x for x in running.configs[-1].splitlines()[::-1] if x.startswith("data"))[7:])
    )
    assert (
        body["attributes"][saml.BORN_MARK]
        == json.loads(saml.realm(json.dumps(FILE), settings, {}))["attributes"][saml.BORN_MARK]
    )


def rewrite(settings, file):
    text = saml.realm(json.dumps(file), settings, {})
    pki.write(settings.state / "secrets/keys-keycloak/import/benchtop-realm.json", text.encode())
