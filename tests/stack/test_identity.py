"""Who exists, who may ask, and that nobody gets round the second factor."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from support.facility import logged

BASE = "dc=benchtop,dc=example"
SIGN_IN, LOOK_UP = "ldap://127.0.0.1:390/", "ldap://127.0.0.1:389/"
REALM = "http://127.0.0.1:8080/realms/benchtop"
SERVICES = ("ldap", "nslcd", "postgres", "keycloak")

# nslcd's protocol, as anybody in a service could speak it (on a node there is nobody to speak to):
# version, action, then strings with their length.
ASK_NSLCD = """
import socket, struct, sys
def string(s): return struct.pack(">i", len(s)) + s.encode()
nslcd = socket.socket(socket.AF_UNIX)
nslcd.settimeout(20)
nslcd.connect("/run/nslcd/socket")
nslcd.sendall(struct.pack(">ii", 2, int(sys.argv[1], 16)) + b"".join(map(string, sys.argv[2:])))
answer = b""
while part := nslcd.recv(4096): answer += part
_, _, begin, first = struct.unpack(">iiii", answer[:16].ljust(16, b"\\xff"))
print(begin, first)
"""
PASSWD_BYNAME, PAM_AUTHC = "0x00080001", "0x000d0001"
FOUND, PAM_SUCCESS = 1, 0

ECP = """<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>
<p:AuthnRequest xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="_ecp" Version="2.0"
 IssueInstant="2026-01-01T00:00:00Z" AssertionConsumerServiceURL="{sp}/postResponse">
<Issuer xmlns="urn:oasis:names:tc:SAML:2.0:assertion">{sp}/metadata</Issuer>
</p:AuthnRequest></S:Body></S:Envelope>"""

Services = Callable[..., Host]
Document = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Person:
    """Somebody with a valid login."""

    name: str
    password: str

    @property
    def dn(self) -> str:
        """Their entry in the directory."""
        return f"uid={self.name},ou=people,{BASE}"


@pytest.fixture
def alice(settings: Settings) -> Person:
    return Person("alice", enrol.password(settings, "alice"))


# ---- the directory ------------------------------------------------------------------------


def test_the_directory_tells_a_stranger_nothing(service: Services):
    answer = service("ldap").run(f"ldapsearch -x -H {LOOK_UP} -b {BASE}")
    assert "anonymous bind disallowed" in answer.stderr
    assert "uid=" not in answer.stdout


def as_nslcd(command: str) -> str:
    return f"{command} -x -H {LOOK_UP} -D cn=nslcd,ou=services,{BASE} -y /keys/services/nslcd"


def test_the_directory_tells_a_service_who_exists_but_no_password(service: Services):
    seen = service("ldap").check_output(as_nslcd("ldapsearch -LLL") + f" -b {BASE}")
    assert f"dn: uid=alice,ou=people,{BASE}" in seen
    assert "userPassword" not in seen
    assert "ARGON2" not in seen


def test_no_service_can_write_to_the_directory(service: Services, alice: Person):
    change = f"dn: {alice.dn}\\nchangetype: modify\\nreplace: uidNumber\\nuidNumber: 0\\n"
    answer = service("ldap").run(f"printf '{change}' | " + as_nslcd("ldapmodify"))
    assert "Insufficient access" in answer.stderr


def test_a_password_is_taken_where_keycloak_asks(service: Services, alice: Person):
    answer = service("ldap").run(f"ldapwhoami -x -H {SIGN_IN} -D %s -w %s", alice.dn, alice.password)
    assert answer.stdout.strip() == f"dn:{alice.dn}"


def test_a_password_is_not_taken_where_everybody_else_asks(service: Services, alice: Person):
    answer = service("ldap").run(f"ldapwhoami -x -H {LOOK_UP} -D %s -w %s", alice.dn, alice.password)
    assert "Invalid credentials" in answer.stderr


# ---- the list of people, applied ----------------------------------------------------------


def entries(ldif: str) -> list[dict[str, list[str]]]:
    """The entries of an LDIF without folded lines."""
    found: list[dict[str, list[str]]] = []
    for block in ldif.strip().split("\n\n"):
        entry: dict[str, list[str]] = {}
        for field, encoded, value in re.findall(r"^([\w;-]+):(:?) ?(.*)$", block, re.MULTILINE):
            entry.setdefault(field, []).append(base64.b64decode(value).decode() if encoded else value)
        found.append(entry)
    return found


@pytest.fixture
def listed(service: Services) -> Document:
    """What the directory holds now, in the form that `apply-people` reads."""
    local = "ldapsearch -Q -LLL -o ldif-wrap=no -Y EXTERNAL -H ldapi://%2Frun%2Fslapd%2Fldapi"
    everything = entries(service("ldap").check_output(f"{local} -b {BASE}"))
    return {
        "people": [
            {
                "name": e["uid"][0],
                "uid": int(e["uidNumber"][0]),
                "gid": int(e["gidNumber"][0]),
                "given": e["givenName"][0],
                "family": e["sn"][0],
                "mail": e["mail"][0],
                "password_hash": e["userPassword"][0],
                "shell": e["loginShell"][0],
                "home": e["homeDirectory"][0],
            }
            for e in everything
            if "posixAccount" in e["objectClass"]
        ],
        "groups": [
            {"name": e["cn"][0], "gid": int(e["gidNumber"][0]), "members": e.get("memberUid", [])}
            for e in everything
            if "posixGroup" in e["objectClass"]
        ],
        "confined": [
            line.split()[1]
            for line in service("cpu-1").check_output("cat /var/lib/extrausers/confined").splitlines()
        ],
    }


@pytest.fixture
def apply_people(settings: Settings, listed: Document) -> Iterator[Callable[[object], tuple[int, str]]]:
    """Apply a document as the host's tool does; afterwards the directory is as it was before."""

    def apply(document: object) -> tuple[int, str]:
        done = compose.run(
            settings, "exec", "-T", "ldap", "apply-people", input=json.dumps(document).encode(), check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    before = json.loads(json.dumps(listed))
    yield apply
    assert apply(before)[0] == 0


@pytest.mark.needs("people")
def test_what_is_there_already_is_not_touched(apply_people: Callable[..., Any], listed: Document):
    assert apply_people(listed) == (0, "nothing to change\n")


@pytest.mark.needs("people")
def test_a_new_person_and_group_are_known_to_nodes_at_once(
    apply_people: Callable[..., Any], listed: Document, service: Services
):
    listed["people"].append({**listed["people"][0], "name": "newcomer", "uid": 4999, "mail": "n@example.org"})
    listed["groups"].append({"name": "newteam", "gid": 4999, "members": ["newcomer"]})
    assert apply_people(listed) == (0, "added person newcomer\nadded group newteam\n")
    assert service("nslcd").check_output("id -u newcomer") == "4999"
    assert "newteam" in service("nslcd").check_output("id -Gn newcomer").split()


@pytest.mark.needs("people")
def test_who_is_taken_off_the_list_is_gone(
    apply_people: Callable[..., Any], listed: Document, service: Services
):
    listed["people"].append({**listed["people"][0], "name": "newcomer", "uid": 4999, "mail": "n@example.org"})
    apply_people(listed)
    assert service("nslcd").run("id newcomer").rc == 0
    listed["people"].pop()
    assert apply_people(listed) == (0, "removed person newcomer\n")
    assert service("nslcd").run("id newcomer").rc != 0


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("uid", 0, '"uid" must be a number from 2001'),
        ("uid", "2001", '"uid" must be a number from 2001'),
        ("mail", None, "not the list that `make apply` sends"),
        ("password_hash", "letmein", "must be an {ARGON2} hash"),
    ],
)
@pytest.mark.needs("people")
def test_a_wrong_entry_is_refused_with_a_sentence_and_nothing_is_changed(
    field: str, value: object, reason: str, apply_people: Callable[..., Any], listed: Document
):
    before = json.loads(json.dumps(listed))
    listed["people"][0][field] = value
    listed["people"][1]["mail"] = "changed@example.org"
    code, said = apply_people(listed)
    assert code == 1
    assert reason in said
    assert "Nothing was changed." in said
    assert apply_people(before) == (0, "nothing to change\n")


@pytest.mark.needs("people")
def test_two_people_never_share_a_uid(apply_people: Callable[..., Any], listed: Document):
    listed["people"][1]["uid"] = listed["people"][0]["uid"]
    code, said = apply_people(listed)
    assert code == 1
    assert "User ids must be unique" in said


# ---- the nodes ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["gpu-1", "cpu-1", "slurmctld"])
def test_nodes_and_scheduler_know_the_same_person(where: str, service: Services):
    there = service(where).check_output("getent passwd alice")
    assert there == service("nslcd").check_output("getent passwd alice")
    assert re.fullmatch(r"alice:[*x]:2001:2000:Alice \w+:/home/alice:/bin/bash", there)


def ask_nslcd(service: Services, *request: str) -> tuple[int, int]:
    begin, first = service("hpc-minter").check_output(
        "python3 -c %s " + " ".join(["%s"] * len(request)), ASK_NSLCD, *request
    ).split()  # fmt: skip
    return int(begin), int(first)


def test_nobody_in_a_service_can_try_passwords(service: Services, alice: Person):
    """Past Keycloak, guesses would be neither counted nor followed by a second factor."""
    begin, verdict = ask_nslcd(service, PAM_AUTHC, alice.name, "sshd", "", "", "", alice.password)
    assert begin != FOUND or verdict != PAM_SUCCESS


def test_somebody_in_a_service_can_look_a_name_up(service: Services, alice: Person):
    begin, _ = ask_nslcd(service, PASSWD_BYNAME, alice.name)
    assert begin == FOUND


# ---- the databases ------------------------------------------------------------------------


def as_role(role: str, database: str) -> str:
    return (
        f'PGPASSWORD="$(cat /keys/roles/{role})" psql -w -h 127.0.0.1 -U {role} -d {database} '
        '-Atc "select current_user"'
    )


def test_a_role_reaches_its_own_database(service: Services):
    assert service("postgres").check_output(as_role("hpc-1", "hpc-1")) == "hpc-1"


def test_a_role_reaches_no_other_database(service: Services):
    answer = service("postgres").run(as_role("hpc-1", "keycloak"))
    assert "no pg_hba.conf entry" in answer.stderr


def test_the_superuser_of_the_databases_has_no_way_in_by_network(service: Services):
    answer = service("postgres").run("psql -w -h 127.0.0.1 -U postgres -d postgres -c 'select 1'")
    assert "rejects connection" in answer.stderr


def test_database_passwords_are_kept_as_scram(service: Services):
    kept = service("postgres").check_output(
        "psql -d postgres -Atc \"select distinct split_part(rolpassword, '$', 1) from pg_authid "
        'where rolcanlogin and not rolsuper"'
    )
    assert kept == "SCRAM-SHA-256"


# ---- Keycloak -----------------------------------------------------------------------------


def curl(service: Services, *arguments: str) -> tuple[int, str]:
    """One request from inside Keycloak's own container: past Apache, so that Keycloak itself must refuse."""
    said = service("keycloak").check_output(
        "curl -s -w '\\n%%{http_code}' " + " ".join(["%s"] * len(arguments)), *arguments
    )
    body, _, status = said.rpartition("\n")
    return int(status), body


def test_password_and_code_are_a_login(settings: Settings):
    """The control for everything below: the wall has a door."""
    browser = enrol.login(settings, "alice")
    assert browser.get(settings.url).status_code == 200


@pytest.mark.parametrize("client", ["admin-cli", "account", "account-console", "security-admin-console"])
def test_no_client_gives_a_token_for_a_password_alone(client: str, service: Services, alice: Person):
    form = f"grant_type=password&client_id={client}&username={alice.name}&password={alice.password}"
    status, body = curl(service, "-d", form, f"{REALM}/protocol/openid-connect/token")
    assert status in {400, 401}
    assert "access_token" not in body


def test_saml_ecp_gives_no_assertion_for_a_password_alone(
    service: Services, alice: Person, settings: Settings
):
    envelope = ECP.format(sp=f"{settings.url}/mellon")
    _, body = curl(
        service, "-u", f"{alice.name}:{alice.password}", "-H", "Content-Type: text/xml",
        "--data-binary", envelope, f"{REALM}/protocol/saml",
    )  # fmt: skip
    assert "Fault" in body
    assert "Assertion" not in body.replace("AssertionConsumerService", "")


@pytest.mark.parametrize(
    "path",
    [
        "account/",
        "login-actions/reset-credentials",
        "protocol/openid-connect/registrations?client_id=account&response_type=code",
    ],
)
def test_no_page_changes_an_account(path: str, service: Services):
    status, _ = curl(service, f"{REALM}/{path}")
    assert status in {400, 403, 404}


def test_nobody_registers_a_client(service: Services):
    status, _ = curl(
        service, "-H", "Content-Type: application/json", "-d", '{"redirect_uris": ["https://example.org/"]}',
        f"{REALM}/clients-registrations/openid-connect",
    )  # fmt: skip
    assert status in {401, 403}


def test_apache_and_keycloak_mean_the_same_key(service: Services, settings: Settings):
    _, served = curl(service, f"{REALM}/protocol/saml/descriptor")
    kept = (settings.state / "secrets/keys-apache/mellon/idp.xml").read_text()
    certificate = re.compile(r"<(?:\w+:)?X509Certificate>\s*([^<]+?)\s*<")
    assert certificate.findall(served) == certificate.findall(kept)


def test_a_refused_login_is_in_the_log(service: Services, settings: Settings):
    """An admin always finds it; `type`, the reason and the address are what they need."""
    browser = enrol.session(settings)
    page = browser.get(settings.url + "/", timeout=60)
    action = re.search(r'action="([^"]+)"', page.text)
    assert action
    who = "nobody-of-that-name"
    refused = browser.post(
        action[1].replace("&amp;", "&"), data={"username": who, "password": "x"}, timeout=60
    )
    assert "Login refused" in refused.text
    service("keycloak")
    line = logged(settings, "keycloak", who, within=5)
    assert 'type="LOGIN_ERROR"' in line
    assert 'error="user_not_found"' in line


# ---- how they run -------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_it_runs_without_root_and_capabilities_on_a_root_that_cannot_be_written(name: str, service: Services):
    inside = service(name)
    assert int(inside.check_output("id -u")) >= 1000
    status = inside.check_output("cat /proc/1/status")
    for held in ("CapEff", "CapPrm", "CapBnd"):
        assert re.search(rf"^{held}:\s*0+$", status, re.MULTILINE), held
    assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE)
    assert "Read-only file system" in inside.run("touch /usr/local/x").stderr


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_its_environment_or_process_list(name: str, service: Services):
    inside = service(name)
    keys = inside.check_output(
        "find /keys -type f ! -name '*.pem' ! -name '*.json' ! -name '*.conf' -exec cat {} ';' -exec echo ';'"
    )
    config = inside.run("grep -h password= /keys/keycloak.conf").stdout
    secrets = set(keys.split()) | {line.partition("=")[2] for line in config.split()}
    assert all(len(secret) > 12 for secret in secrets)
    seen = inside.check_output(
        "for p in /proc/[0-9]*; do cat $p/environ $p/cmdline; done 2>/dev/null | tr '\\0' '\\n'"
    )
    assert "PATH=" in seen
    assert not [secret[:3] for secret in secrets if secret in seen]
