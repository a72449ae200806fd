"""Nobody makes anything in a session that is good for longer than the session is."""

import json
from collections.abc import Callable, Iterator

import pytest
import requests
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.as_person import as_person
from support.batch import Batch
from support.hub import Hub

pytestmark = pytest.mark.shares("slurm", "condor")

SignedIn = Callable[[str], requests.Session]
Services = Callable[..., Host]

AS_ALICE = as_person("alice", "env HOME=/home/alice ")
# In a hub: what the minter gives it for a person.
TOKEN = """
import http.client, json, ssl, sys
tls = ssl.create_default_context(cafile="/keys/minter-ca.pem")
tls.load_cert_chain("/keys/minter.pem")
minter = http.client.HTTPSConnection(sys.argv[1], 8600, context=tls, timeout=10)
minter.request("POST", "/token", body=json.dumps({"person": "alice", "lifetime": 600}))
print(json.loads(minter.getresponse().read())["token"])
"""


def minted(service: Services, cluster: str) -> str:
    """A token of alice's, as her hub has it."""
    return service(f"{cluster}-1").check_output("/opt/hub/bin/python3 -c %s %s", TOKEN, f"{cluster}-minter")


def is_token(answer: CommandResult) -> bool:
    """Does it show a signed token of either kind?"""
    return "eyJ" in answer.stdout + answer.stderr


# ---- Slurm --------------------------------------------------------------------------------------

SLURM = (
    "",
    "lifespan=infinite",
    "lifespan=60",
    "username=alice lifespan=60",
    "username=bob",
    "username=slurm",
)
# Each way, with and without another's uid; then the control: otherwise it works as she.
WAYS = (
    "for other in '' --uid=2002; do for options in %s; do "
    "scontrol $other token $options; done; done; squeue --me >/dev/null"
)


@pytest.mark.parametrize(
    ("where", "shows"),
    [
        ("cpu-1", "nothing"),
        ("cpu-1", "a token"),
        ("hpc-login", "nothing"),
        ("hpc-login", "a token"),
        ("hpc-1", "a token"),
    ],
)
def test_slurm_makes_nobody_a_token(where: str, shows: str, service: Services):
    """By the node that vouches for her, and by a token of the minter's; a hub has nothing but that."""
    who = "" if where == "hpc-1" else AS_ALICE
    token = f"env SLURM_JWT={minted(service, 'hpc')} " if shows == "a token" else ""
    ways = WAYS % " ".join(f"'{options}'" for options in SLURM)
    answer = service(where).run(f"{who}{token}bash -c %s", ways)
    assert answer.rc == 0, answer.stderr
    assert answer.stdout == ""
    assert answer.stderr.count("Access/permission denied") >= len(SLURM), "refused, and not misunderstood"
    assert not is_token(answer)


def test_slurms_own_user_could(service: Services):
    """The control: the command is there, and it is not the form of the question that is refused."""
    assert is_token(service("slurmctld").run("scontrol token username=alice lifespan=1"))


# ---- HTCondor -----------------------------------------------------------------------------------

# A folder with the token, if there is one; then a command.
WITH = (
    'umask 077; d=$(mktemp -d); trap "rm -rf $d" EXIT; cd $d; '
    "export _CONDOR_SEC_TOKEN_DIRECTORY=$d _CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY=$d; {}"
    "{}"
)
DAEMONS = ["-type COLLECTOR", "-type NEGOTIATOR", "-type SCHEDD -name htc@", "-type STARTD", "-type MASTER"]
CONDOR = [
    *(
        f"condor_token_create {key} -identity alice@benchtop.example"
        for key in ("", "-key people", "-key POOL")
    ),
    *(f"condor_token_fetch {daemon}" for daemon in DAEMONS),
    *(f"condor_token_fetch -lifetime 300 -key {key} -type COLLECTOR" for key in ("POOL", "people", "AP")),
    *(f"condor_token_request -lifetime 300 {daemon}" for daemon in DAEMONS[:3]),
    "condor_token_request -identity alice@benchtop.example -type COLLECTOR",
    "condor_token_request -identity condor@benchtop.example -type COLLECTOR",
]
APPROVALS = [
    "condor_token_request_auto_approve -netblock 0.0.0.0/0 -lifetime 300 -type COLLECTOR",
    "condor_token_request_approve -reqid 1 -type COLLECTOR",
]


@pytest.mark.parametrize("where", ["condor-ep-1", "htc-login"])
@pytest.mark.parametrize("has_token", [True, False])
def test_htcondor_makes_nobody_a_token(where: str, has_token: bool, service: Services):
    put = f"printf %s {minted(service, 'htc')} > token; " if has_token else ""

    ways = "; ".join(f"timeout 20 {command} && echo granted: {command}" for command in (*CONDOR, *APPROVALS))
    command = WITH.format(put, f"bash -c '{ways}; condor_q >/dev/null 2>&1 && echo good'")
    answer = service(where).run(f"{AS_ALICE}bash -c %s", command)
    assert not is_token(answer)
    assert answer.stdout.replace("Token request enqueued", "granted").split() == ["good"] * has_token
    assert answer.stderr.count("\n") >= len(CONDOR), "each was refused"


def test_no_connection_is_longer_good_than_a_token(service: Services):
    """What a client agreed on with a daemon works without the token; it has no say in for how long."""
    for name in ("condor-ap", "condor-cm"):
        for level in ("READ", "WRITE"):
            said = service(name).check_output(f"condor_config_val SEC_{level}_SESSION_DURATION")
            assert int(said) <= 600
    put = f"printf %s {minted(service, 'htc')} > token; "
    put += "".join(
        f"export _CONDOR_SEC_{level}_SESSION_DURATION=864000; " for level in ("CLIENT", "DEFAULT", "READ")
    )
    put += "export _CONDOR_TOOL_DEBUG=D_SECURITY:2; "
    command = WITH.format(put, "condor_q -debug")
    answer = service("htc-login").run(f"{AS_ALICE}bash -c %s", command)
    agreed = [
        int(line.split('"')[1])
        for line in answer.stderr.splitlines()
        if line.startswith("SessionDuration = ")
    ]
    assert agreed, answer.stderr
    assert agreed[-1] <= 600


# ---- SSH ----------------------------------------------------------------------------------------

KEYS = """set -eu; d=$(mktemp -d); cd $d; trap 'rm -rf $d ~/.ssh-test' EXIT
ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N '' -f ca
mkdir -p ~/.ssh; chmod 700 ~/.ssh; touch ~/.ssh/authorized_keys; cp ~/.ssh/authorized_keys before
(cat key.pub; printf 'cert-authority '; cat ca.pub) >> ~/.ssh/authorized_keys
go="ssh -F none -oBatchMode=yes -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -i key"
$go $(id -un)@localhost list || echo refused $?
ssh-keygen -q -s ca -I x -n $(id -un) -V -1m:+52w key.pub
$go $(id -un)@localhost list || echo refused $?
cp before ~/.ssh/authorized_keys
"""


@pytest.mark.parametrize("cluster", ["hpc", "htc"])
def test_no_key_of_a_persons_own_opens_a_login_node(cluster: str, service: Services):
    """Neither one in their home, nor one that a CA of theirs signs. (The control: test_login_node.py.)"""
    answer = service(f"{cluster}-login").run(f"{AS_ALICE}bash -c %s", KEYS)
    assert answer.rc == 0, answer.stderr
    assert answer.stdout.split() == ["refused", "255"] * 2
    refusals = ("Permission denied (publickey)", "Too many authentication failures")
    assert sum(answer.stderr.count(refusal) for refusal in refusals) == 2


# ---- the hub ------------------------------------------------------------------------------------

ASK = """
import json, ssl, sys, urllib.error, urllib.request
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
base, token, questions = json.load(sys.stdin)
said = []
for method, path, body in questions:
    headers = {"Content-Type": "application/json", "Authorization": "token " + token}
    sent = json.dumps(body).encode()
    asked = urllib.request.Request(base + path, data=sent, headers=headers, method=method)
    try:
        answer = urllib.request.urlopen(asked, timeout=20, context=tls)
    except urllib.error.HTTPError as refused:
        answer = refused
    said.append([answer.status, answer.read().decode(errors="replace")])
print(json.dumps(said))
"""
SCOPES = [
    {}, {"expires_in": 60}, {"scopes": ["inherit"]}, {"scopes": ["self"]}, {"roles": ["user"]},
    {"roles": ["server"]}, {"scopes": ["access:servers!user=alice"]},
    {"scopes": ["users:activity!user=alice"]},
]  # fmt: skip
GRANTS = ["client_credentials", "password", "refresh_token", "authorization_code"]


@pytest.fixture
def session(settings: Settings, signed_in: SignedIn) -> Iterator[Hub]:
    """A session of alice's."""
    with sessions.owners(settings, signed_in) as meet:
        own = meet("alice", "hpc")
        sessions.ready(own)
        yield own


@pytest.mark.needs("hpc/alice")
def test_a_sessions_own_token_makes_no_other(session: Hub, settings: Settings):
    job = Batch(settings, "hpc").job("alice")
    assert job
    (line,) = (
        Batch(settings, "hpc").said("alice", "python3", "-c", sessions.SESSION, on=job.node).splitlines()
    )
    env = json.loads(line)["env"]
    token, client = env["JUPYTERHUB_API_TOKEN"], env["JUPYTERHUB_CLIENT_ID"]
    questions: list[tuple[str, str, object]] = [
        ("POST", f"/users/{name}/tokens", body) for name in ("alice", "erin") for body in SCOPES
    ]
    questions += [("POST", "/authorizations/token", {"username": "alice"})]
    questions += [
        ("POST", "/oauth2/token", {"grant_type": grant, "client_id": client, "client_secret": token})
        for grant in GRANTS
    ]
    questions += [("PATCH", "/users/alice", {"admin": True}), ("POST", "/users/alice/servers/x", {})]
    questions += [("POST", "/services", {}), ("POST", "/groups/x", {}), ("GET", "/users/alice/tokens", None)]
    control = ("GET", "/user", None)
    asked = json.dumps([session.gateway, token, [*questions, control]]).encode()
    said = json.loads(compose.run(settings, "exec", "-T", job.node, "python3", "-c", ASK, input=asked).stdout)
    for question, (status, text) in zip(questions, said, strict=False):
        assert 400 <= status < 500, (question, status)
        assert '"token"' not in text, question
        assert "access_token" not in text, question
    assert said[-1][0] == 200, "the control: the token is good"
    assert json.loads(said[-1][1])["name"] == "alice"
