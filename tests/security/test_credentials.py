"""What a session is given for the batch systems, attacked: nobody else's, no longer, not after its end."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest
import requests
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose
from support import credentials, programs, sessions
from support.as_person import become
from support.batch import Batch, Job
from support.credentials import BOTH, LIFE
from support.facility import logged
from support.hub import Hub
from support.wait import wait_until

pytestmark = pytest.mark.shares("slurm", "condor")

Services = Callable[..., Host]
OWNER, OTHER = "carol", "erin"  # carol: of one cluster
NEEDED = pytest.mark.needs("hpc/carol", throughout=True)


@pytest.fixture(scope="module")
def own(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """A session of carol's in a Slurm job, which these tests share."""
    with sessions.owners(settings, signed_in) as meet:
        reader = meet(OWNER, "hpc")
        sessions.begin(reader)
        yield reader


@pytest.fixture
def job(own: Hub, settings: Settings) -> Job:
    """Its job."""
    found = Batch(settings, own.cluster).job(OWNER)
    assert found
    return found


@pytest.fixture
def token(own: Hub, job: Job, settings: Settings) -> str:
    """The session's own, by which its hub knows it."""
    said = Batch(settings, own.cluster).said(OWNER, "python3", "-c", sessions.SESSION, on=job.node)
    return str(json.loads(said.splitlines()[0])["env"]["JUPYTERHUB_API_TOKEN"])


def expires(token: str) -> tuple[float, float]:
    """From when to when a token is good."""
    body = token.strip().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims["iat"], claims["exp"]


def on(settings: Settings, node: str, person: str, *words: str) -> CompletedProcess[bytes]:
    """A command as a person on a node, in no session."""
    return compose.run(settings, "exec", "-T", node, *become(person), *words, check=False)


# ---- whose, and for how long -----------------------------------------------------------------------


@NEEDED
def test_carol_gets_no_credential_of_the_other_cluster_and_her_commands_say_why(own: Hub):
    found = credentials.there(own, {"slurm.jwt", "why"})
    assert found.text("why") == "HTCondor: carol is not in the group cluster-htc.\n"
    done = credentials.shell(own, "condor_q")
    assert done.code == 1
    assert "condor_q: no credential for HTCondor: carol is not in the group cluster-htc." in done.errors
    assert credentials.shell(own, "squeue --me --noheader").code == 0, "the control: her own cluster"


@NEEDED
def test_what_a_session_has_is_its_owners_and_lives_less_than_a_minute(own: Hub):
    slurm = credentials.there(own, {"slurm.jwt", "why"}).text("slurm.jwt")
    since, until = expires(slurm)
    assert until - since <= LIFE
    body = slurm.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sun"] == OWNER


@NEEDED
def test_nobody_else_reads_them(own: Hub, job: Job, settings: Settings):
    folder = credentials.there(own, {"slurm.jwt", "why"}).folder
    for path in (folder, f"{folder}/slurm.jwt"):
        denied = on(settings, job.node, OTHER, "cat", path)
        assert denied.returncode != 0
        assert b"Permission denied" in denied.stderr
    assert on(settings, job.node, OWNER, "cat", f"{folder}/slurm.jwt").stdout.startswith(b"eyJ"), (
        "the control"
    )


# ---- of whom the hub takes the question ---------------------------------------------------------------


@NEEDED
def test_only_the_sessions_own_token_gets_one(own: Hub, job: Job, token: str, settings: Settings):
    made = programs.new_token(own.browser, settings, own.cluster, OWNER)["token"]
    for wrong in (made, "", "0" * 32, token[:-1], token.upper()):
        status, said = credentials.ask(own, wrong, job.node)
        assert (status, "token" in str(said)) == (403, False), wrong
    status, said = credentials.ask(own, token, job.node)
    assert status == 200, "the control"
    assert said["hpc"]["token"].startswith("eyJ")
    assert "why" in said["htc"]


@NEEDED
def test_a_page_in_a_browser_gets_none(own: Hub):
    """Her cookies, on a page of the hub's own."""
    assert own.api("POST", "session/credentials", {}).status_code == 403


@NEEDED
@pytest.mark.needs("htc/erin")
def test_the_token_of_one_session_is_no_good_at_another_hub(
    own: Hub, job: Job, token: str, settings: Settings, signed_in: Callable[[str], requests.Session]
):
    other = Hub(settings, signed_in(OTHER), OTHER, "htc")
    status, said = credentials.ask(other, token, "condor-ep-1")
    assert (status, "token" in str(said)) == (403, False)


@NEEDED
def test_grants_and_refusals_are_in_the_logs_of_hub_and_minter_and_no_token_is(
    own: Hub, job: Job, token: str, settings: Settings
):
    credentials.ask(own, token, job.node)
    given = credentials.files(own).text("slurm.jwt").strip()
    assert logged(settings, own.cell, f"credential granted user={OWNER} cluster=hpc")
    assert logged(settings, own.cell, f"credential refused user={OWNER} cluster=htc: .*not in the group")
    assert logged(settings, "hpc-minter", f"grant person={OWNER} .*caller={own.cell} .*lifetime={LIFE}")
    said = compose.run(settings, "logs", "--no-color", "--tail", "2000").stdout.decode(errors="replace")
    assert OWNER in said
    assert given not in said
    assert token not in said
    assert not re.search(r"eyJ[\w-]{20,}\.eyJ[\w-]{20,}\.", said)


# ---- nowhere to be seen -------------------------------------------------------------------------------


@NEEDED
def test_no_list_of_jobs_or_processes_shows_one(own: Hub, job: Job, token: str, settings: Settings):
    found = credentials.there(own, {"slurm.jwt", "why"})
    secrets = {found.text("slurm.jwt").strip(), token}
    batch = Batch(settings, "hpc")
    shown = [
        batch.said(OTHER, "scontrol", "show", "job", "--details", job.number),
        batch.said(OTHER, "squeue", "--format=%all"),
        on(settings, job.node, OTHER, "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout.decode(),
        on(settings, job.node, OTHER, "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null").stdout.decode(),
    ]
    assert OWNER in shown[0], "the control: it is about her job"
    assert not [secret for secret in secrets for text in shown if secret in text]


# ---- the end --------------------------------------------------------------------------------------------


@NEEDED
def test_after_the_end_the_hub_gives_none_and_what_was_kept_is_void(
    own: Hub, job: Job, token: str, settings: Settings
):
    """Somebody has kept both tokens, and the session is stopped."""
    kept = credentials.files(own).text("slurm.jwt").strip()
    # where no socket vouches: on the other cluster, or the node would know her anyway
    show = ["env", f"SLURM_JWT={kept}", "squeue", "--noheader"]
    assert on(settings, "condor-ep-1", OWNER, *show).returncode == 0, "the control: it is good"
    sessions.end(own)
    status, said = credentials.ask(own, token, job.node)
    assert (status, "token" in str(said)) == (403, False)
    refused = wait_until(
        lambda: found if (found := on(settings, "condor-ep-1", OWNER, *show)).returncode else None,
        timeout=LIFE + 15,
        what="the token to be void",
    )
    assert b"Protocol authentication error" in refused.stderr or b"Unable to contact" in refused.stderr


# ---- between the minters ---------------------------------------------------------------------------------

PEER = """
import http.client, json, ssl, sys
host, port, authority, certificate, body = sys.argv[1:]
tls = ssl.create_default_context(cafile=authority)
tls.load_cert_chain(certificate)
line = http.client.HTTPSConnection(host, int(port), context=tls, timeout=10)
line.request("POST", "/token", body=body)
answer = line.getresponse()
print(answer.status, answer.read().decode())
"""


def asks(service: Services, who: str, host: str, port: int, keys: tuple[str, str], **body: object) -> str:
    """What a minter answers, or how the handshake ended."""
    python = "/opt/minter/bin/python" if who.endswith("minter") else "python3"
    done = service(who).run(
        f"{python} -c %s %s %s %s %s %s", PEER, host, str(port), *keys, json.dumps({"lifetime": LIFE, **body})
    )
    return done.stdout or done.stderr.strip().splitlines()[-1]


AS_PEER = ("/keys/peers-ca.pem", "/keys/peer-client.pem")


def test_a_minter_grants_its_peer_people_of_both_clusters_alone(service: Services):
    def of(person: str, **more: object) -> str:
        wanted = {"person": person, "caller": "hpc-1", **more}
        return asks(service, "hpc-minter", "htc-minter", 8602, AS_PEER, **wanted)

    assert of("alice").startswith("200 "), "the control"
    assert of("carol").startswith("403 "), "of the asking cluster alone"
    assert of("bob").startswith("403 "), "of the asked one alone"
    assert of("root").startswith("403 ")
    assert of("alice", lifetime=601).startswith("403 ")
    assert of("alice", key="ssh-ed25519 AAAA").startswith("400 ")


def test_nobody_else_is_taken_for_a_minter(service: Services):
    """A hub, with all that it has, towards the port of its minter's peers; and a minter as a hub."""
    own = ("/keys/minter-ca.pem", "/keys/minter.pem")
    assert (
        "certificate"
        in asks(service, "hpc-1", "hpc-minter", 8602, own, person="alice", caller="hpc-1").lower()
    )
    as_hub = asks(service, "hpc-minter", "htc-minter", 8600, AS_PEER, person="alice")
    assert "certificate" in as_hub.lower() or "alert" in as_hub.lower()
    assert asks(service, "hpc-1", "hpc-minter", 8600, own, person="alice").startswith("200 "), "the control"


def test_a_hub_gets_the_other_clusters_token_for_people_of_both_and_both_minters_log_it(
    service: Services, settings: Settings
):
    own = ("/keys/minter-ca.pem", "/keys/minter.pem")
    answers = {
        person: asks(service, "hpc-1", "hpc-minter", 8600, own, person=person, cluster="htc")
        for person in ("alice", "carol", "bob", "frank")
    }
    assert {person: text.split()[0] for person, text in answers.items()} == {
        "alice": "200", "carol": "403", "bob": "403", "frank": "403",
    }  # fmt: skip
    assert logged(settings, "hpc-minter", "grant person=alice .*caller=hpc-1 by=htc-minter")
    assert logged(settings, "htc-minter", "grant person=alice .*caller=hpc-minter for='hpc-1'")
    assert logged(settings, "htc-minter", "refuse person='carol' caller=hpc-minter for='hpc-1'")


# ---- guests --------------------------------------------------------------------------------------------

REACHES = """
import json, socket
def reached(host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps([[reached(*place) for place in places] for places in PLACES]))
"""
BATCH = [("slurmctld", 6817), ("slurmdbd", 6819), ("condor-ap", 9618), ("condor-cm", 9618)]
NODES = [("hpc-login", 22), ("htc-login", 22), ("gpu-1", 6821), ("condor-ep-1", 9618)]


def places(service: Services) -> list[list[tuple[str, int]]]:
    """By address, as a guest has no name service: the batch systems as the engine knows them, and nodes."""
    engine = service("engine")
    batch = [(engine.check_output(f"getent ahostsv4 {name}").split()[0], port) for name, port in BATCH]
    nodes = [(address, port) for name, port in NODES
             for address in service(name).check_output("hostname -I").split()]  # fmt: skip
    return [batch, nodes, [("apache", 8444), ("egress", 3128)]]


@pytest.mark.parametrize(
    ("person", "batch"),
    [
        pytest.param("gina", False, marks=pytest.mark.needs("htc/gina")),
        pytest.param("erin", True, marks=pytest.mark.needs("htc/erin")),
    ],
)
def test_a_guests_container_reaches_no_batch_system(
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    service: Services,
    person: str,
    batch: bool,
):
    """And nobody's reaches a node, by which a batch system could be told from what is beside it."""
    with sessions.owners(settings, signed_in) as meet:
        reader = meet(person, "htc")
        sessions.begin(reader, where="container", memory=900)
        wanted_places = places(service)
        program = f"PLACES = {wanted_places!r}\n{REACHES}"
        found = credentials.shell(reader, f"$BENCHTOP_BIN/python - <<'END'\n{program}\nEND")
        expected = [[batch] * 4, [False] * len(wanted_places[1]), [True] * 2]
        assert json.loads(found.out) == expected, found
        wanted = BOTH if batch else {"why"}
        said = credentials.there(reader, wanted)
        if not batch:
            assert "cannot use the batch systems" in said.text("why")
