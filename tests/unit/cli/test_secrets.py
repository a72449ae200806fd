"""Secrets: made once, kept whatever happens, private, and handed to one service each."""

import dataclasses
import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from benchtop.keys import pki, secrets

ROOT = Path(__file__).parents[3]
NOW = pki.today()


@pytest.fixture(scope="module")
def rsa_keys(tmp_path_factory):
    """The two slow keys, made once: the tests differ in everything else."""
    folder = tmp_path_factory.mktemp("rsa")
    for name in ("saml-sp", "saml-realm"):
        pki.self_signed(folder / name, name, now=NOW)
    return folder


@pytest.fixture
def settings(settings, rsa_keys):
    """A checkout with a realm file and no secret yet."""
    (settings.root / "keycloak").mkdir()
    realm = '{"privateKey": "${REALM_KEY}", "at": "${BENCHTOP_PORT}"}'
    (settings.root / "keycloak/realm.json").write_text(realm)
    shutil.copytree(rsa_keys, settings.state / "private")
    (settings.state / "private").chmod(0o700)
    return settings


def files(settings):
    """Every file of `.benchtop` but its lock, with its content."""
    found = (path for path in settings.state.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(settings.state)): path.read_bytes() for path in found}


def test_a_second_run_changes_nothing(settings):
    secrets.ensure(settings)
    before = files(settings)
    assert secrets.ensure(settings) == set()
    assert files(settings) == before


def test_nobody_else_on_the_machine_can_read_a_secret(settings):
    secrets.ensure(settings)
    secrets.logins(settings, ["alice"])
    for path in settings.state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name == "lock", path
    assert stat.S_IMODE(settings.state.stat().st_mode) == 0o700


def test_an_interrupted_run_is_completed(settings):
    secrets.ensure(settings)
    before = files(settings)
    for name in (
        "secrets/keys-apache/mellon/idp.xml",
        "secrets/keys-hpc-1/minter.pem",
        "secrets/trust/ca.pem",
    ):
        (settings.state / name).unlink()
    (settings.state / "secrets/keys-ldap/admin.password").write_bytes(b"half")
    assert secrets.ensure(settings) == {"keys-apache", "keys-hpc-1", "trust", "keys-ldap"}
    assert files(settings) == before


def test_what_no_service_wants_any_more_goes(settings):
    secrets.ensure(settings)
    stale = settings.state / "secrets/keys-hpc-9/cookie.secret"
    pki.write(stale, b"old")
    pki.write(settings.state / "secrets/keys-hpc-1/old.key", b"old")
    secrets.ensure(settings)
    assert not stale.parent.exists()
    assert not (settings.state / "secrets/keys-hpc-1/old.key").exists()


def test_another_name_or_port_keeps_every_key_and_password(settings):
    secrets.ensure(settings)
    before = files(settings)
    moved = dataclasses.replace(settings, name="hub.example.org", login_name="id.example.org", port=9443)
    changed = secrets.ensure(moved)
    after = files(moved)
    for name, content in before.items():
        if name.endswith((".key", "key.pem", ".password", ".secret", ".token")) or "/roles/" in name:
            assert after[name] == content, name
    assert {"keys-apache", "keys-keycloak", "keys-hpc-1-proxy"} <= changed
    assert "keys-slurm" not in changed


def test_nothing_holds_the_old_name_after_a_change(settings):
    secrets.ensure(settings)
    moved = dataclasses.replace(settings, name="hub.example.org", login_name="id.example.org", port=9443)
    secrets.ensure(moved)
    everything = b"".join(files(moved).values())
    assert b"hub.example.org:9443" in everything
    assert b"jupyter.localhost" not in everything
    assert b"8443" not in files(moved)["secrets/keys-keycloak/import/benchtop-realm.json"]


def test_a_certificate_about_to_end_is_renewed_and_its_reader_named(settings):
    secrets.ensure(settings, now=NOW)
    assert secrets.ensure(settings, now=NOW + timedelta(days=59)) == set()
    assert secrets.ensure(settings, now=NOW + timedelta(days=61)) == {"keys-apache"}


def test_no_key_is_in_two_places_that_need_not_share_it(settings):
    """Each private value is where the contract of the services needs it, and nowhere else."""
    secrets.ensure(settings)
    shared = {
        frozenset({"keys-apache", "keys-ldap"}),  # cn=apache's password
        frozenset({"keys-keycloak", "keys-ldap"}),
        frozenset({"keys-nslcd", "keys-ldap"}),
        frozenset({"keys-keycloak", "keys-postgres"}),
        frozenset({"keys-keycloak", "keys-leavers"}),
        frozenset({"keys-mariadb", "keys-slurmdbd"}),
        frozenset({"keys-slurm", "keys-slurmctld", "keys-slurmdbd"}),
        frozenset({"keys-hpc-minter", "keys-slurmctld", "keys-slurmdbd"}),
        frozenset({"keys-condor-ap", "keys-condor-cm"}),  # what people's tokens are checked with
    }
    for cells in secrets.CLUSTERS.values():
        # the secret that signs identities
        shared.add(frozenset({"keys-apache", *(f"keys-{cell}" for cell in cells)}))
        for cell in cells:
            shared |= {
                frozenset({f"keys-{cell}", "keys-postgres"}),
                frozenset({f"keys-{cell}", f"keys-{cell}-proxy"}),  # the proxy's API token
            }
    private = re.compile(rb"[0-9a-f]{32,}|BEGIN [A-Z ]*PRIVATE KEY-----[^-]*")
    places = {}
    for name, content in files(settings).items():
        volume = name.split("/")[1]
        if name.startswith("secrets/keys-") and not name.endswith(("ca.pem", ".xml", ".crt")):
            # random bytes as they are
            raw = Path(name).name in {"slurm.key", "jwt.key", "people.key", "people", "POOL", "pool"}
            for word in [content] if raw else private.findall(content):
                places.setdefault(word, set()).add(volume)
    spread = {frozenset(found) for found in places.values() if len(found) > 1}
    assert spread <= shared, spread - shared


def test_the_minters_key_is_nothing_that_a_hub_or_apache_holds(settings):
    secrets.ensure(settings)
    everything = files(settings)
    jwt = everything["secrets/keys-hpc-minter/jwt.key"]
    for name, content in everything.items():
        if jwt in content:
            assert name.split("/")[1] in {"keys-hpc-minter", "keys-slurmctld", "keys-slurmdbd", "jwt.key"}


def test_no_authoritys_key_ever_enters_a_volume(settings):
    secrets.ensure(settings)
    everything = files(settings)
    keys = [
        content
        for name, content in everything.items()
        if name.endswith("/ca.key") and "ca-sessions" not in name
    ]
    assert len(keys) == 6
    volumes = b"".join(content for name, content in everything.items() if name.startswith("secrets/"))
    assert not any(key in volumes for key in keys)


def test_what_vouches_for_sessions_is_with_their_own_hub_alone(settings):
    secrets.ensure(settings)
    everything = files(settings)
    for cell in ("hpc-1", "hpc-2", "hpc-3", "htc-1", "htc-2", "htc-3"):
        key = everything[f"private/ca-sessions-{cell}/ca.key"]
        holders = {name for name, content in everything.items() if content == key}
        assert holders == {f"private/ca-sessions-{cell}/ca.key", f"secrets/keys-{cell}/sessions-ca.key"}
        known = everything[f"secrets/keys-{cell}-proxy/sessions-ca.pem"]
        assert known == everything[f"secrets/keys-{cell}/sessions-ca.pem"]


def test_a_secret_is_as_one_line_of_a_file_must_be(settings):
    secrets.ensure(settings)
    for name, content in files(settings).items():
        if name.endswith((".password", ".token", ".secret")) or "/services/" in name or "/roles/" in name:
            assert re.fullmatch(rb"[0-9a-f]{48,64}", content), name
    assert len(files(settings)["secrets/keys-slurm/slurm.key"]) == 1024
    assert len(files(settings)["secrets/keys-slurmctld/jwt.key"]) == 32
    assert len(bytes.fromhex(files(settings)["secrets/keys-hpc-1/cookie.secret"].decode())) == 32


def test_apache_and_the_hub_share_what_signs_an_identity(settings):
    secrets.ensure(settings)
    secret = files(settings)["secrets/keys-hpc-1/sso.secret"]
    assert b"Define SSO_SECRET_HPC %s\n" % secret in files(settings)["secrets/keys-apache/secrets.conf"]


def test_another_cell_leaves_the_keys_of_the_others_alone(settings, monkeypatch):
    monkeypatch.setattr(secrets, "CLUSTERS", {"hpc": ("hpc-1",)})
    secrets.ensure(settings)
    before = files(settings)
    monkeypatch.setattr(secrets, "CLUSTERS", {"hpc": ("hpc-1", "hpc-2"), "htc": ("htc-1",)})
    secrets.ensure(settings)
    after = files(settings)
    for volume in ("keys-hpc-2", "keys-hpc-2-proxy", "keys-htc-1", "keys-htc-1-proxy", "keys-htc-minter"):
        assert any(name.startswith(f"secrets/{volume}/") for name in after), volume
    assert after["secrets/keys-hpc-1/sso.secret"] == after["secrets/keys-hpc-2/sso.secret"]
    assert after["secrets/keys-hpc-1/sso.secret"] != after["secrets/keys-htc-1/sso.secret"]
    assert after["secrets/keys-hpc-1/cookie.secret"] != after["secrets/keys-hpc-2/cookie.secret"]
    for name, content in before.items():
        assert name == "secrets/keys-apache/secrets.conf" or after[name] == content, name


def test_two_programs_at_once_make_one_set(settings):
    threads = [threading.Thread(target=secrets.ensure, args=(settings,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert secrets.ensure(settings) == set()


def test_the_generation_is_marked_in_the_volumes(settings):
    secrets.ensure(settings)
    everything = files(settings)
    assert everything["secrets/id"] == everything["secrets/trust/.secrets-id"]
    assert re.fullmatch(rb"[0-9a-f]{16}", everything["secrets/id"])


# ---- people ---------------------------------------------------------------------------------


def test_passwords_can_be_read_out_and_typed(settings):
    password = secrets.logins(settings, ["alice"])["alice"].password
    assert re.fullmatch(r"([a-z]{3,8}-){4}\d\d", password)


def test_a_password_stays_when_people_are_added(settings):
    first = secrets.logins(settings, ["alice"])
    second = secrets.logins(settings, ["bob", "alice"])
    assert second["alice"] == first["alice"]
    assert second["bob"].password != first["alice"].password


def test_the_directory_gets_a_hash_that_openldap_can_check(settings):
    login = secrets.logins(settings, ["alice"])["alice"]
    scheme, argon = login.password_hash[:8], login.password_hash[8:]
    assert scheme == "{ARGON2}"
    assert argon.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(argon, login.password)


def test_a_hash_is_computed_once(settings):
    assert secrets.logins(settings, ["alice"]) == secrets.logins(settings, ["alice"])


def test_an_enrolled_secret_is_kept_and_can_be_forgotten(settings):
    secrets.logins(settings, ["alice", "bob"])
    secrets.remember_totp(settings, "alice", "ABC", "id-1")
    assert secrets.logins(settings)["alice"].totp_secret == "ABC"
    secrets.remember_totp(settings, "alice", None)
    assert secrets.logins(settings)["alice"].totp_secret is None
    assert secrets.logins(settings)["alice"].totp_credential is None


def test_people_json_is_plain_json(settings):
    secrets.logins(settings, ["alice"])
    content = json.loads((settings.state / "secrets/people.json").read_text())
    assert set(content["alice"]) >= {"password", "password_hash", "totp_secret"}


def test_no_password_list_word_is_hard_to_tell_from_another():
    words = secrets._WORDS.split()
    assert len(words) == len(set(words)) >= 200


def test_the_tools_modules_start_without_a_stack():
    """Importing must not need an engine, files or the network: `make help` works everywhere."""
    code = "import benchtop.keys.secrets, benchtop.people.enrol, benchtop.config.apply"
    subprocess.run([sys.executable, "-c", code], cwd="/", env={"PYTHONPATH": str(ROOT / "cli")}, check=True)
