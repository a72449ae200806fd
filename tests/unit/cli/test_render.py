"""What the services read says what settings and people.yaml say."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchtop.console import Problem
from benchtop.keys import saml
from benchtop.keys.secrets import Login
from benchtop.people import lists, roster

ROOT = Path(__file__).parents[3]
MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
POST, REDIRECT = (f"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-{kind}" for kind in ("POST", "Redirect"))
SITE, LOGIN = "https://jupyter.localhost:8443", "https://login.jupyter.localhost:8443"


@pytest.fixture(scope="module")
def everybody():
    return roster.load(ROOT / "accounts/people.yaml")


@pytest.fixture(scope="module")
def directory(everybody):
    logins = {name: Login(password="p", password_hash=f"{{ARGON2}}{name}") for name in everybody.people}
    return json.loads(lists.directory(everybody, logins))


@pytest.fixture(scope="module")
def accounting(everybody):
    return json.loads(lists.accounting(everybody))


def named(entries, name):
    return next(entry for entry in entries if entry["name"] == name)


def endpoints(xml, kind):
    found = ET.fromstring(xml).iter(f"{MD}{kind}")  # noqa: S314 - our own text
    return {(entry.get("Binding"), entry.get("Location")) for entry in found}


def test_mellon_is_known_by_its_public_address(settings):
    xml = saml.sp_metadata(settings, "MIIC")
    assert ET.fromstring(xml).get("entityID") == f"{SITE}/mellon/metadata"  # noqa: S314
    assert endpoints(xml, "AssertionConsumerService") == {(POST, f"{SITE}/mellon/postResponse")}
    assert endpoints(xml, "SingleLogoutService") == {
        (POST, f"{SITE}/mellon/logout"),
        (REDIRECT, f"{SITE}/mellon/logout"),
    }


def test_requests_and_assertions_are_signed(settings):
    (sp,) = ET.fromstring(saml.sp_metadata(settings, "MIIC")).iter(f"{MD}SPSSODescriptor")  # noqa: S314
    (idp,) = ET.fromstring(saml.idp_metadata(settings, "MIIC")).iter(f"{MD}IDPSSODescriptor")  # noqa: S314
    assert (sp.get("AuthnRequestsSigned"), sp.get("WantAssertionsSigned")) == ("true", "true")
    assert idp.get("WantAuthnRequestsSigned") == "true"


def test_a_name_id_says_nothing_about_the_person(settings):
    for xml in (saml.sp_metadata(settings, "MIIC"), saml.idp_metadata(settings, "MIIC")):
        (form,) = ET.fromstring(xml).iter(f"{MD}NameIDFormat")  # noqa: S314
        assert form.text == "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


def test_keycloak_is_known_by_its_own_name(settings):
    xml = saml.idp_metadata(settings, "MIIC")
    at = f"{LOGIN}/realms/benchtop/protocol/saml"
    assert ET.fromstring(xml).get("entityID") == f"{LOGIN}/realms/benchtop"  # noqa: S314
    assert endpoints(xml, "SingleSignOnService") == {(POST, at), (REDIRECT, at)}
    assert endpoints(xml, "SingleLogoutService") == {(POST, at), (REDIRECT, at)}


def test_the_realm_gets_our_values_and_keeps_keycloaks_own_placeholders(settings):
    template = (
        '{"at": "https://${BENCHTOP_NAME}:${BENCHTOP_PORT}", "key": "${REALM_KEY}", "role": "${role_x}"}'
    )
    realm = json.loads(saml.realm(template, settings, {"REALM_KEY": 'a"b\\c'}))
    assert realm.pop("attributes").keys() == {saml.ALL_MARK, saml.BORN_MARK}
    assert realm == {"at": SITE, "key": 'a"b\\c', "role": "${role_x}"}


def test_the_realm_carries_the_mark_of_the_file_it_was_made_from(settings):
    def marks(**changes):
        template = json.dumps({"displayName": "B", "components": {}, "attributes": {"own": "1"}} | changes)
        return json.loads(saml.realm(template, settings, {}))["attributes"]

    assert marks() == marks()
    assert marks()["own"] == "1"
    other = marks(displayName="C")
    assert other[saml.ALL_MARK] != marks()[saml.ALL_MARK]
    assert other[saml.BORN_MARK] == marks()[saml.BORN_MARK]
    assert marks(components={"x": []})[saml.BORN_MARK] != marks()[saml.BORN_MARK]


def test_a_broken_realm_file_is_told_with_its_line(settings):
    with pytest.raises(Problem, match=r"keycloak/realm\.json:2: "):
        saml.realm('{"a": 1,\n "b" 2}', settings, {})


def test_everybody_is_in_the_directory(directory):
    alice = named(directory["people"], "alice")
    assert alice == {
        "name": "alice",
        "uid": 2001,
        "gid": 2000,
        "given": "Alice",
        "family": "Archer",
        "mail": "alice@example.org",
        "password_hash": "{ARGON2}alice",
        "shell": "/bin/bash",
        "home": "/home/alice",
    }
    assert len(directory["people"]) == 9


@pytest.mark.parametrize(
    ("group", "members"),
    [
        ("people", ["alice", "bob", "carol", "dave", "erin", "frank", "gina", "heidi", "ivan"]),
        ("cluster-hpc", ["alice", "carol", "dave", "erin", "gina", "heidi", "ivan"]),
        ("cluster-htc", ["alice", "bob", "dave", "erin", "gina", "heidi", "ivan"]),
        ("facility-admins", ["erin"]),
        ("usatlas", ["alice"]),
        ("external", ["gina"]),
    ],
)
def test_a_group_has_the_people_who_are_in_it(directory, group, members):
    assert named(directory["groups"], group)["members"] == members


def test_who_is_disabled_keeps_a_name_and_nothing_else(everybody):
    erin = everybody.people["erin"].model_copy(update={"disabled": True})
    without = everybody.model_copy(update={"people": everybody.people | {"erin": erin}})
    logins = {name: Login(password="p", password_hash=f"{{ARGON2}}{name}") for name in without.people}
    directory = json.loads(lists.directory(without, logins))
    assert named(directory["people"], "erin")["password_hash"] == lists.NO_PASSWORD
    assert not [group["name"] for group in directory["groups"] if "erin" in group["members"]]
    assert "erin" not in [person["name"] for person in json.loads(lists.accounting(without))["people"]]


def test_whose_jobs_are_confined_is_told_also_while_they_are_disabled(everybody, directory):
    assert directory["confined"] == ["gina"]
    gina = everybody.people["gina"].model_copy(update={"disabled": True})
    without = everybody.model_copy(update={"people": everybody.people | {"gina": gina}})
    assert without.confined == ["gina"]


def test_every_group_has_its_own_number(directory):
    gids = [group["gid"] for group in directory["groups"]]
    assert len(gids) == len(set(gids))
    assert named(directory["groups"], "people")["gid"] == 2000


def test_slurm_knows_the_people_of_its_cluster_only(accounting):
    names = ["alice", "carol", "dave", "erin", "gina", "heidi", "ivan"]
    assert [person["name"] for person in accounting["people"]] == names


def test_carol_is_limited_to_no_gpu(accounting):
    assert named(accounting["people"], "carol")["limits"] == {"gpu": 0}
    assert named(accounting["people"], "alice")["limits"] == {}


def test_only_erin_administers_slurm(accounting):
    assert [person["name"] for person in accounting["people"] if person["admin"]] == ["erin"]


def test_tier3_opens_the_qos_of_us_atlas_and_default_does_not(accounting):
    assert "usatlas" in named(accounting["accounts"], "tier3")["qos"]
    assert "usatlas" not in named(accounting["accounts"], "default")["qos"]


def test_interactive_work_makes_scavengers_wait(accounting):
    assert named(accounting["qos"], "interactive")["preempt"] == ["scavenger"]
    assert named(accounting["qos"], "scavenger")["preempt_mode"] == "requeue"
    assert named(accounting["qos"], "interactive")["max_tres_per_user"] == "cpu=4,gres/gpu=1"


def test_what_nothing_was_said_about_is_left_out(accounting):
    assert "max_wall" not in named(accounting["qos"], "normal")


def test_homes_are_listed_for_the_volumes(settings, everybody):
    assert lists.homes(settings, everybody)
    assert not lists.homes(settings, everybody)
    lines = (settings.state / "secrets/volumes/people.tsv").read_text().splitlines()
    assert lines[0] == "alice\t2001\t2000"
    assert len(lines) == 9


def test_everyone_whom_a_partition_names_exists(accounting):
    """slurm/partitions.conf and people.yaml are edited apart: neither may name what the other lacks."""
    conf = (ROOT / "slurm/partitions.conf").read_text()
    words = [word.partition("=") for line in conf.splitlines() for word in line.split("#")[0].split()]
    for key, kind in (("qos", "qos"), ("allowqos", "qos"), ("allowaccounts", "accounts")):
        used = {name for k, _, value in words if k.lower() == key for name in value.split(",")} - {"ALL"}
        assert used <= {entry["name"] for entry in accounting[kind]}
