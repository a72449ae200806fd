"""HTCondor as a person meets it: every command is given from a hub, with that person's own token."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import jwt
import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from benchtop.keys import idtokens, secrets
from benchtop.settings import Settings
from benchtop.stack import compose
from support.wait import wait_until

pytestmark = [pytest.mark.shares("condor"), pytest.mark.long]

TOKEN = """
import http.client, json, ssl, sys
tls = ssl.create_default_context(cafile="/keys/minter-ca.pem")
tls.load_cert_chain("/keys/minter.pem")
minter = http.client.HTTPSConnection("htc-minter", 8600, context=tls, timeout=10)
minter.request("POST", "/token", body=json.dumps({"person": sys.argv[1], "lifetime": 600}))
print(json.loads(minter.getresponse().read())["token"])
"""
# A folder of its own for each command: where it finds the token, and where a job is put together.
FOLDER = (
    'umask 077; d=$(mktemp -d); trap "rm -rf $d" EXIT; cd $d; '
    "export _CONDOR_SEC_TOKEN_DIRECTORY=$d _CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY=$d; printf %%s %s > token; "
)
SLEEP = "exec sleep 600"
SECRET = "this-must-stay-secret"
JOB = """
executable = /bin/sh
transfer_executable = false
arguments = "{arguments}"
transfer_input_files = env
transfer_output_files = ""
should_transfer_files = YES
leave_in_queue = false
request_cpus = {cpus}
request_memory = {memory}
request_disk = 1M
{more}
queue {count}
"""
NODES = ("condor-ep-1", "condor-ep-2")
RUNNING, HELD = "2", "5"

Services = Callable[[str], Host]


@dataclass
class Someone:
    """A person who uses HTCondor through a hub."""

    name: str
    hub: Host
    token: str
    jobs: list[str] = field(default_factory=list)

    def run(self, command: str, *arguments: str) -> CommandResult:
        """One command of HTCondor as this person."""
        return self.hub.run(FOLDER + command, self.token, *arguments)

    def condor_submit(
        self, script: str = SLEEP, *, jupyter: bool = True, cpus: int = 1, memory: int = 16, count: int = 1
    ) -> CommandResult:
        """Submit a script with a secret beside it; whatever becomes of it is removed after the test."""
        arguments = f"-c '{script}'"
        more = "My.IsJupyter = true" if jupyter else ""
        text = JOB.format(arguments=arguments, cpus=cpus, memory=memory, more=more, count=count)
        command = "printf %%s %s > env; printf %%s %s > job; condor_submit -spool -terse job"
        done = self.run(command, SECRET, text)
        if done.rc == 0:
            self.jobs.append(done.stdout.split(".")[0])
        return done

    def submit(self, script: str = SLEEP, **wanted: object) -> str:
        """Submit a job that must be taken; its number."""
        done = self.condor_submit(script, **wanted)  # type: ignore[arg-type]
        assert done.rc == 0, done.stdout + done.stderr
        return self.jobs[-1]

    def attribute(self, job: str, name: str) -> str:
        """What the queue says of a job, "" when it is not in it."""
        return self.run(f"condor_q -all {job} -autoformat {name}").stdout.strip()

    def becomes(self, job: str, status: str, timeout: float = 10) -> None:
        """Wait for a job to get into a state."""
        wait_until(
            lambda: self.attribute(job, "JobStatus") == status, timeout=timeout, what=f"job {job}: {status}"
        )

    def node(self, job: str) -> str:
        """The node on which a running job is."""
        return self.attribute(job, "RemoteHost").partition("@")[2]

    def remove_all(self) -> None:
        """Every job of this test's, and wait until none is left."""
        self.run(f"condor_rm {' '.join(self.jobs)}")
        left = f"condor_q -all {' '.join(self.jobs)} -autoformat ClusterId"
        wait_until(lambda: not self.run(left).stdout, timeout=30, what=f"the jobs of {self.name} to end")


Person = Callable[[str], Someone]


@pytest.fixture
def person(service: Services) -> Iterator[Person]:
    """Someone at a hub: `person("alice")`; their jobs end with the test."""
    known: dict[str, Someone] = {}
    for name in ("condor-cm", "condor-ap", "condor-ep-1", "htc-minter"):
        service(name)  # for their logs, should the test fail

    def someone(name: str) -> Someone:
        if name not in known:
            hub = service("htc-1")
            known[name] = Someone(name, hub, hub.check_output("python3 -c %s %s", TOKEN, name))
        return known[name]

    yield someone
    for one in known.values():
        if one.jobs:
            one.remove_all()


@pytest.fixture
def home(service: Services) -> Callable[[str], str]:
    """What lies in somebody's home, "" while there is no such file."""

    def read(path: str) -> str:
        return service("condor-ep-1").run("cat %s", f"/home/{path}").stdout

    return read


@pytest.fixture
def signed(settings: Settings) -> Callable[..., str]:
    """A token with any claims, signed by one of the pool's keys: what who has that key could make."""

    def sign(key: str, **claims: object) -> str:
        secret = (settings.state / "private" / f"condor-{key.lower()}.key").read_bytes()
        now = int(time.time())
        full = {"iss": idtokens.ISSUER, "iat": now, "exp": now + 60, "jti": "00", **claims}
        said = {name: value for name, value in full.items() if value is not None}
        signer = idtokens.signer(secret * 2 if key == "POOL" else secret)
        return jwt.encode(said, signer, algorithm="HS256", headers={"kid": key})

    return sign


# ---- the job itself ---------------------------------------------------------------------------


@pytest.mark.needs("htc/alice")
def test_a_job_runs_as_its_owner_with_their_groups_and_home(person: Person, home):
    alice = person("alice")
    look = "id -un; id -Gn; hostname; stat -c %U:%a ~alice env; pwd"
    job = alice.submit(f"({look}) > /home/alice/condor-test; {SLEEP}")
    alice.becomes(job, RUNNING)
    said = wait_until(
        lambda: (lines := home("alice/condor-test").splitlines()) and len(lines) == 6 and lines,
        timeout=15,
        what="the job to write all",
    )
    assert said[0] == "alice"
    assert {"people", "cluster-htc", "usatlas"} <= set(said[1].split())
    assert said[2] in NODES
    assert said[3:5] == ["alice:700", "alice:600"]
    assert said[5].startswith("/var/lib/condor/execute/")


@pytest.mark.needs("htc/dave", "htc/bob")
def test_a_session_starts_although_the_standard_pool_is_full(person: Person):
    """How soon is a figure of `make bench`."""
    bob = person("bob")
    bob.submit(jupyter=False, count=40)
    free = "condor_status -constraint 'PartitionableSlot && IsJupyterSlot =?= false' -autoformat Cpus"
    wait_until(
        lambda: bob.run(free).stdout.split() == ["0", "0"], timeout=30, what="the Standard pool to be full"
    )
    waiting = bob.run("condor_q bob -constraint 'JobStatus == 1' -autoformat ProcId").stdout.split()
    assert waiting, "the Standard pool is full, and yet nobody waits"
    dave = person("dave")
    dave.becomes(dave.submit(), RUNNING)
    assert bob.run("condor_q bob -constraint 'JobStatus == 1' -autoformat ProcId").stdout.split()


@pytest.mark.parametrize("jupyter", [True, False])
@pytest.mark.needs("htc/dave")
def test_a_job_gets_a_place_of_the_kind_that_it_asks_for(person: Person, jupyter: bool):
    dave = person("dave")
    job = dave.submit(jupyter=jupyter)
    dave.becomes(job, RUNNING)
    assert dave.attribute(job, "RemoteHost").startswith("jupyter" if jupyter else "standard")


def test_each_node_offers_twelve_cpus_half_of_them_for_notebooks(person: Person):
    what = "Machine IsJupyterSlot TotalSlotCpus TotalSlotMemory"
    shown = person("dave").run(f"condor_status -constraint PartitionableSlot -autoformat {what}")
    assert sorted(shown.stdout.splitlines()) == [
        f"{node} {jupyter} 6 2048" for node in NODES for jupyter in ("false", "true")
    ]


# ---- the end of a job -------------------------------------------------------------------------


@pytest.mark.needs("htc/dave")
def test_nothing_of_a_removed_job_is_left_after_a_second(person: Person, service: Services):
    """Neither what it started nor what cut itself loose."""
    dave = person("dave")
    job = dave.submit('(setsid sleep 4321 &); sh -c ""sleep 4321 & sleep 4321""; sleep 4321')
    dave.becomes(job, RUNNING)
    node = service(dave.node(job))
    wait_until(lambda: len(sleepers(node)) >= 3, timeout=30, what="the job's processes")
    dave.run(f"condor_rm {job}")
    # one second, and one for looking
    wait_until(lambda: not sleepers(node), timeout=1 + 1, what="them to be gone")


def sleepers(node: Host) -> list[str]:
    """The processes of the job above."""
    return node.run("pgrep -f '^sleep 4321'").stdout.split()


@pytest.mark.needs("htc/dave")
def test_a_job_beyond_its_memory_is_held_and_says_why(person: Person):
    dave = person("dave")
    hog = 'exec /opt/lab/bin/python -c ""import time; x = bytearray(200 << 20); time.sleep(600)""'
    job = dave.submit(hog, memory=64)
    dave.becomes(job, RUNNING)  # before that, a job is held while its files come in
    dave.becomes(job, HELD, timeout=40)
    assert "memory usage exceeded request_memory" in dave.attribute(job, "HoldReason")


@pytest.mark.needs("condor", "services")
@pytest.mark.needs("htc/dave")
def test_the_access_point_restarts_and_the_job_goes_on(person: Person, service: Services, settings: Settings):
    assert survives(person("dave"), service, settings, "condor-ap")


@pytest.mark.needs("condor", "services")
@pytest.mark.needs("htc/dave")
def test_the_central_manager_restarts_and_the_job_goes_on(
    person: Person, service: Services, settings: Settings
):
    assert survives(person("dave"), service, settings, "condor-cm")


def survives(who: Someone, service: Services, settings: Settings, restarted: str) -> bool:
    """Whether the same process of a job is there before and after, and the queue says so."""
    job = who.submit("exec sleep 4322")
    who.becomes(job, RUNNING)
    node = service(who.node(job))

    def processes() -> list[str]:
        return node.run("pgrep -f '^sleep 4322'").stdout.split()

    before = wait_until(processes, timeout=30, what="the job's process")
    compose.run(settings, "restart", restarted)
    who.becomes(job, RUNNING, timeout=60)
    assert processes() == before
    assert who.attribute(job, "NumShadowStarts NumJobStarts")  # it is still known
    another = who.submit()
    who.becomes(another, RUNNING, timeout=30)
    who.run(f"condor_rm {job}")
    wait_until(lambda: not processes(), timeout=30, what="the job to be gone")
    return True


# ---- who may do what --------------------------------------------------------------------------


def test_the_minter_makes_what_htcondor_itself_would_make(person: Person, service: Services):
    """Key, claims and header: the access point's own condor_token_create is the measure."""
    ours = person("dave").token
    made = service("condor-ap").check_output(
        "condor_token_create -key people -identity dave@benchtop.example -lifetime 600"
    )
    (our_header, our_claims), (header, claims) = read(ours), read(made)
    assert our_header == {"alg": "HS256", "typ": "JWT", **header}
    assert our_claims.keys() == claims.keys()
    for name in ("iss", "sub"):
        assert our_claims[name] == claims[name]
    assert our_claims["exp"] - our_claims["iat"] == 600


def read(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """A token's header and claims."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


@pytest.mark.parametrize("name", ["root", "condor", "mallory", "carol"])
def test_the_minter_refuses_who_is_no_person_of_the_cluster(service: Services, name: str):
    done = service("htc-1").run("python3 -c %s %s", TOKEN, name)
    assert done.rc != 0
    assert "KeyError: 'token'" in done.stderr


def test_without_a_token_nothing_is_told(service: Services):
    for command in ("condor_status", "condor_q -all"):
        done = service("htc-1").run(f"_CONDOR_SEC_TOKEN_DIRECTORY=/nowhere {command}")
        assert done.rc != 0, command
        assert "condor-ep-1" not in done.stdout, command


def test_with_a_token_it_is(person: Person):
    assert "condor-ep-1" in person("dave").run("condor_status").stdout


@pytest.mark.parametrize(
    "methods", ["FS", "CLAIMTOBE", "PASSWORD", "ANONYMOUS", "FS,CLAIMTOBE,PASSWORD,ANONYMOUS,SSL"]
)
def test_no_other_proof_of_identity_is_taken(service: Services, methods: str):
    done = service("htc-1").run(f"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS={methods} condor_status")
    assert done.rc != 0
    assert not done.stdout.strip()


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000, "iat": 999_999_900},
        {"exp": None},
        {"exp": 4_000_000_000},
        {"iss": "another.example"},
    ],
    ids=["ended", "without end", "for years", "another pool's"],
)
def test_a_token_that_the_minter_would_not_make_is_refused(
    service: Services, signed, claims: dict[str, object]
):
    mallory = Someone("dave", service("htc-1"), signed("people", sub="dave@benchtop.example", **claims))
    for command in ("condor_q", "condor_status"):
        assert mallory.run(command).rc != 0


def test_the_same_token_within_the_rules_is_taken(service: Services, signed):
    dave = Someone("dave", service("htc-1"), signed("people", sub="dave@benchtop.example"))
    for command in ("condor_q", "condor_status"):
        assert dave.run(command).rc == 0


@pytest.mark.parametrize("name", ["root", "nobody-like-this"])
def test_even_a_signed_token_gives_no_job_to_who_is_no_person(service: Services, signed, name: str):
    mallory = Someone(name, service("htc-1"), signed("people", sub=f"{name}@benchtop.example"))
    assert mallory.condor_submit("id > /tmp/who").rc != 0


@pytest.mark.needs("htc/dave", "htc/bob")
def test_nobody_removes_or_changes_another_persons_job(person: Person):
    dave, bob = person("dave"), person("bob")
    job = dave.submit()
    dave.becomes(job, RUNNING)
    for command in (f"condor_rm {job}", f"condor_hold {job}"):
        assert bob.run(command).rc != 0
    assert dave.attribute(job, "JobStatus") == RUNNING
    assert dave.run(f"condor_rm {job}").rc == 0


@pytest.mark.needs("htc/dave", "htc/bob")
def test_no_secret_is_in_what_another_person_sees_of_a_job(person: Person, service: Services):
    dave, bob = person("dave"), person("bob")
    job = dave.submit("cat env > /home/dave/condor-secret; exec sleep 600")
    dave.becomes(job, RUNNING)
    seen = bob.run(f"condor_q -all -long {job}").stdout
    assert f"ClusterId = {job}" in seen
    assert SECRET not in seen
    assert SECRET not in bob.run("condor_status -long").stdout
    node = service(dave.node(job))
    spy = (
        "su -s /bin/sh bob -c 'cat /proc/*/environ /proc/*/cmdline /var/lib/condor/execute/*/env' 2>/dev/null"
    )
    assert SECRET not in node.run(spy).stdout


@pytest.mark.needs("htc/dave")
def test_its_owner_gets_it(person: Person, home):
    dave = person("dave")
    dave.submit("cat env > /home/dave/condor-secret; exec sleep 600")
    wait_until(lambda: home("dave/condor-secret") == SECRET, timeout=60, what="the job to read its secret")


ADS = {"STARTD": "Machine", "SCHEDD": "Scheduler", "NEGOTIATOR": "Negotiator"}
AD = """
MyType = "{kind}"
Name = "pose@test"
Machine = "test"
MyAddress = "<127.0.0.1:1>"
State = "Unclaimed"
Activity = "Idle"
"""
MAY = {"ep": {"STARTD"}, "ap": {"SCHEDD"}, "a person": set()}


@pytest.mark.parametrize("daemon", ADS)
@pytest.mark.parametrize("who", MAY)
def test_a_token_makes_its_bearer_one_kind_of_daemon_and_no_other(
    service: Services, settings: Settings, person: Person, who: str, daemon: str
):
    """Whoever breaks into an execute node can pose as an execute node, and as nothing else."""
    token = person("dave").token if who == "a person" else secrets.value(settings, f"condor-{who}.idtoken")
    node = Someone(who, service("condor-ep-1"), token)
    advertise = "printf %%s %s > ad; condor_advertise "
    done = node.run(f"{advertise} UPDATE_{daemon}_AD ad", AD.format(kind=ADS[daemon]))
    assert (done.rc == 0) is (daemon in MAY[who]), done.stderr
    if done.rc == 0:
        gone = f'MyType = "Query"\nTargetType = "{ADS[daemon]}"\nRequirements = Name == "pose@test"\n'
        assert node.run(f"{advertise} INVALIDATE_{daemon}_ADS ad", gone).rc == 0


@pytest.mark.needs("htc/dave")
def test_no_key_and_no_token_is_readable_inside_a_job(person: Person, home):
    """The job walks the whole file system as its owner and looks for anything of the pool's."""
    walk = (
        "(find / -path /proc -prune -o -path /sys -prune -o -type f -readable -size -64k -print0 2>/dev/null"
        ' | xargs -0 grep -lE ""eyJ[A-Za-z0-9_-]{20,}[.]eyJ|BEGIN [A-Z ]*PRIVATE KEY"" 2>/dev/null'
        ' | grep -vE ""^/(opt/lab|software|usr)/"";'
        " ls /keys /run/condor /var/log/condor 2>&1; echo end) > /home/dave/condor-walk"
    )
    person("dave").submit(walk)
    said = wait_until(lambda: whole(home("dave/condor-walk")), timeout=120, what="the walk to end")
    found = [line for line in said.splitlines() if line.startswith("/") and "/home/dave/" not in line]
    assert not found
    assert said.count("Permission denied") == 3, said


def whole(said: str) -> str:
    """A text when it has come to its end."""
    return said if said.endswith("end\n") else ""
