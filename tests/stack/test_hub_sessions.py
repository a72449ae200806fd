"""What a hub does for a person, and for nobody else: sessions by its API, through the front door.

Whom a hub believes is tested in test_hub.py, at the hub's own port.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.as_person import as_person
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm"), pytest.mark.long]

SMALL = {"partition": "debug", "runtime": 10}
QUICK = 10  # seconds in which a session that is stopped must be gone
NOTICED = 15  # seconds after which the hub must know that a job is gone
BACK = 30  # seconds after which a part that was restarted must do its work again
START = sessions.START  # a start takes about four seconds
PROGRAM = "benchtop_lab.session"

# The tokens of all sessions on a node, as far as whoever asks may read their environments
TOKENS = """
import glob
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        for item in open(path, "rb").read().split(b"\\0"):
            if item.startswith(b"JUPYTERHUB_API_TOKEN="):
                print(item.partition(b"=")[2].decode())
    except OSError:
        pass
"""


@dataclass(frozen=True, kw_only=True)
class Person(Hub):
    """Somebody who is logged in, and who speaks to their hub as a page in their browser does."""

    service: Callable[[str], Host]

    def open_lab(self) -> None:
        """Open the session once: that is where its cookie comes from."""
        page = self.open()
        assert page.ok, page.text

    def ask_lab(self, of: str = "") -> requests.Response:
        """A session's own word that it is there; this person's, or somebody else's."""
        return self.browser.get(f"{self.base}/user/{of or self.person}/api/status", timeout=60)

    def jobs(self, form: str = "%A") -> list[str]:
        """The person's jobs, by the scheduler itself; one line each."""
        ask = "squeue --noheader --user=%s --format=%s"
        return str(self.service("slurmctld").check_output(ask, self.person, form)).splitlines()

    def waiting_job(self) -> str:
        """The one job that is in the queue; "" while there is none."""
        found = [line.split()[0] for line in self.jobs("%A %T") if "PENDING" in line]
        return found[0] if found else ""

    def on(self, node: str, command: str, *words: str) -> CommandResult:
        """Run a command on a node as this person."""
        return self.service(node).run(as_person(self.person, command), *words)

    def session(self) -> tuple[str, str]:
        """Start a small session and wait for it; its job and its node."""
        answer = self.start(**SMALL)
        assert answer.status_code in {201, 202}, answer.text
        wait_until(self.ready, timeout=START, what=f"the session of {self.person}")
        ((job, node),) = (line.split() for line in self.jobs("%A %N"))
        return job, node

    def tokens(self, node: str) -> set[str]:
        """The tokens of sessions that this person can read on a node."""
        return set(self.on(node, "python3 -c %s", TOKENS).stdout.split())

    def token(self, node: str) -> str:
        """The token of the person's session, which their own processes have."""
        (found,) = self.tokens(node)
        return found


People = Callable[[str], Person]
Waiting = Callable[[], tuple[Person, Future[requests.Response]]]
Report = Callable[[Person, str, str, object], int]


@pytest.fixture
def person(
    settings: Settings, service: Callable[[str], Host], signed_in: Callable[[str], requests.Session]
) -> Iterator[People]:
    """`person("alice")`, who has no job now and will have none when the test is over."""
    known: dict[str, Person] = {}
    service("slurmctld")  # for its log, should the test fail

    def clear(somebody: Person) -> None:
        somebody.on("cpu-1", "scancel --user=%s", somebody.person)
        wait_until(
            lambda: somebody.stop().status_code in {204, 404},
            timeout=60,
            what=f"{somebody.person}'s session to be over",
        )
        wait_until(lambda: not somebody.jobs(), timeout=30, what=f"the end of {somebody.person}'s jobs")

    def meet(name: str) -> Person:
        if name not in known:
            known[name] = Person(settings, signed_in(name), name, service=service)
            service(known[name].cell)  # likewise
            clear(known[name])
        return known[name]

    yield meet
    for somebody in known.values():
        clear(somebody)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Where a start can wait for its answer while the test goes on."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def waiting(person: People) -> Iterator[Waiting]:
    """Alice's session in the queue: a job of hers holds the only GPU that a person may have in debug."""
    with ThreadPoolExecutor(1) as pool:

        def begin() -> tuple[Person, Future[requests.Response]]:
            alice = person("alice")
            options = "--chdir=/tmp --output=/dev/null --partition=debug --gres=gpu:1"
            holder = alice.on("cpu-1", f"sbatch {options} --wrap %s", "sleep 300")
            assert holder.rc == 0, holder.stderr
            wait_until(lambda: alice.jobs("%T") == ["RUNNING"], timeout=START, what="alice's job to run")
            answer = pool.submit(alice.start, **SMALL, gpu="pascal:1")
            wait_until(alice.waiting_job, timeout=START, what="alice's session to queue")
            return alice, answer

        yield begin


def hub_is_back(somebody: Person) -> None:
    """Wait until the hub answers, by way of Apache and proxy."""
    wait_until(somebody.answers, timeout=START, what="the hub")


# ---- a session by the API ------------------------------------------------------------------------


@pytest.mark.needs("slurm", "hpc/alice")
def test_a_session_that_the_api_starts_runs_as_the_person_on_a_node_and_answers(person: People):
    alice = person("alice")
    _, node = alice.session()
    assert alice.jobs("%u %P %T %N") == [f"alice debug RUNNING {node}"]
    assert alice.on(node, "test -s /home/alice/.benchtop-session.log").rc == 0
    processes = alice.service(node).check_output("ps -eo user:20,args").splitlines()
    assert {line.split()[0] for line in processes if PROGRAM in line} == {"alice"}
    alice.open_lab()
    assert alice.ask_lab().json()["kernels"] == 0


@pytest.mark.needs("hpc/alice", "hpc/carol")
def test_a_session_answers_nobody_else(person: People):
    alice, carol = person("alice"), person("carol")
    alice.session()
    alice.open_lab()
    assert carol.ask_lab("alice").status_code == 403
    assert alice.ask_lab().status_code == 200


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"partition": "usatlas"}, "“usatlas” is not available to you"),  # alice's
        ({"partition": "debug\n--uid=root"}, "is not one of the choices"),
        ({"account": "tier3"}, "“tier3” is not available to you"),
        ({"qos": "usatlas"}, "“usatlas” is not available to you"),
        ({"partition": "debug", "gpu": "pascal:1"}, "your account does not include GPUs"),
        ({"gpu": "any:1"}, "your account does not include GPUs"),
        ({"runtime": -5}, "is not a number of minutes"),
        ({"runtime": True}, "is not a number of minutes"),
        ({"runtime": 1e9}, "is not a number of minutes"),
        ({"partition": "debug", "runtime": 31}, "is more than debug allows you (30)"),
        ({"nodelist": "gpu-1"}, "not a field of this form"),
    ],
)
@pytest.mark.needs("hpc/carol")
def test_what_carol_may_not_have_is_refused_with_a_sentence(
    person: People, options: dict[str, object], sentence: str
):
    carol = person("carol")
    answer = carol.start(**options)
    assert answer.status_code == 400
    assert sentence in answer.json()["message"]
    assert not carol.jobs()
    assert carol.server() is None


@pytest.mark.needs("hpc/carol")
def test_what_carol_may_have_is_granted(person: People):
    """The control beside the refusals."""
    person("carol").session()


@pytest.mark.needs("hpc/alice", "hpc/carol")
def test_nobody_starts_a_session_for_somebody_else(person: People):
    alice, carol = person("alice"), person("carol")
    assert carol.api("POST", "users/alice/server", SMALL).status_code in {403, 404}
    assert not alice.jobs()


# ---- what a job may say to its hub -------------------------------------------------------------------


@pytest.fixture
def report(service: Callable[[str], Host]) -> Report:
    """Send a report as a program on a node can; what the hub answers."""

    def send(to: Person, token: str, path: str, body: object) -> int:
        """To the hub of a person's cell."""
        sent = json.dumps([f"{to.gateway}/{path}", token, json.dumps(body)])
        pipe = f"printf %s {shlex.quote(sent)} | python3 -c {shlex.quote(sessions.REPORT)}"
        return int(service("cpu-1").check_output("sh -c %s", pipe))

    return send


@pytest.mark.needs("hpc/alice")
def test_a_session_that_runs_reports_nothing_any_more(person: People, report: Report):
    """That a session which starts does report its port is proven by every start."""
    alice = person("alice")
    token = alice.token(alice.session()[1])
    before = alice.server() or {}
    assert report(alice, token, "session/port", {"port": 4444}) == 403
    assert report(alice, token, "session/last-words", {"log": "told"}) == 403
    alice.open_lab()
    assert alice.ask_lab().ok
    assert before["started"] == (alice.server() or {}).get("started")


MALFORMED: list[object] = [
    *({"port": port} for port in (0, 80, -1, 65536, True, "4444", 4444.0, None, [4444])),
    *({"port": 4444, **more} for more in ({"ip": "cpu-1"}, {"cmd": ["sh"]})),
    *({"ip": "cpu-1"}, {}, [4444], 4444, "port"),
]


@pytest.mark.needs("hpc/alice")
def test_a_report_has_one_form_only(person: People, report: Report):
    alice = person("alice")
    token = alice.token(alice.session()[1])
    answers = {str(said): report(alice, token, "session/port", said) for said in MALFORMED}
    assert answers == dict.fromkeys(answers, 400)


@pytest.mark.needs("hpc/alice", "hpc/carol")
def test_a_report_without_the_token_of_the_session_that_starts_is_refused(
    person: People, report: Report, waiting: Waiting
):
    carol = person("carol")
    foreign = carol.token(carol.session()[1])
    alice, _ = waiting()
    own = alice.api("POST", "users/alice/tokens", {"expires_in": 300}).json()
    try:
        tokens = ("", "0" * 32, foreign, own["token"])
        assert [report(alice, token, "session/port", {"port": 4444}) for token in tokens] == [403] * 4
    finally:
        alice.api("DELETE", f"users/alice/tokens/{own['id']}")
    assert (alice.server() or {}).get("pending") == "spawn"  # none of them was taken


@pytest.mark.needs("hpc/alice")
def test_a_page_in_a_browser_reports_nothing(person: People):
    alice = person("alice")
    alice.session()
    assert alice.api("POST", "session/port", {"port": 4444}).status_code == 403


@pytest.mark.needs("hpc/alice")
def test_the_report_that_batchspawner_would_take_is_not_there(person: People, report: Report):
    alice = person("alice")
    token = alice.token(alice.session()[1])
    assert report(alice, token, "batchspawner", {"port": 4444}) == 404
    assert alice.api("POST", "batchspawner", {"port": 4444}).status_code == 404


# ---- what others see ---------------------------------------------------------------------------------


@pytest.mark.needs("hpc/alice", "hpc/carol")
def test_nobody_else_sees_the_token_of_a_session(person: People):
    alice, carol = person("alice"), person("carol")
    job, node = alice.session()
    token = alice.token(node)  # the control: it is there, for her
    shown = {
        command: carol.on(node, command).stdout
        for command in (
            f"scontrol --details show job {job}",
            f"squeue --job={job} --Format=UserName,JobID,Name,Command,Comment,Partition,WorkDir",
            "ps -eww -o user:20,args",
        )
    }
    assert [command for command, text in shown.items() if "alice" not in text] == []  # they see her session
    assert [command for command, text in shown.items() if token in text or "TOKEN" in text] == []


@pytest.mark.needs("hpc/alice", "hpc/carol")
def test_nobody_else_reads_the_script_the_environment_or_the_log_of_a_session(person: People):
    alice, carol = person("alice"), person("carol")
    job, node = alice.session()
    assert carol.tokens(node) == set()
    for command, shows in {
        f"scontrol write batch_script {job} -": PROGRAM,
        "cat /home/alice/.benchtop-session.log": "ServerApp",
        "ls -a /home/alice": ".benchtop-session.log",
    }.items():
        assert shows not in carol.on(node, command).stdout
        assert shows in alice.on(node, command).stdout
        assert alice.token(node) not in alice.on(node, command).stdout  # none of these ends with the job


# ---- the end of a session ----------------------------------------------------------------------------


@pytest.mark.needs("hpc/alice")
def test_stopping_a_session_ends_its_job_and_its_processes(person: People):
    alice = person("alice")
    _, node = alice.session()
    find = f"pgrep --uid alice --full '{sessions.PROCESS}'"
    assert alice.service(node).run(find).rc == 0
    assert alice.stop().status_code in {202, 204}
    wait_until(lambda: not alice.jobs(), timeout=QUICK, what="the end of alice's job")
    assert alice.service(node).run(find).rc == 1
    wait_until(lambda: alice.server() is None, timeout=QUICK, what="the hub to know")


@pytest.mark.needs("hpc/alice")
def test_a_job_that_is_cancelled_behind_the_hubs_back_is_noticed(person: People):
    alice = person("alice")
    job, node = alice.session()
    assert alice.on(node, "scancel %s", job).rc == 0
    wait_until(lambda: alice.server() is None, timeout=NOTICED, what="the hub to notice")


@pytest.mark.needs("hpc/alice")
def test_a_job_that_ends_before_its_session_answers_is_a_failure_with_a_sentence(waiting: Waiting):
    alice, answer = waiting()
    job = alice.waiting_job()
    assert alice.on("cpu-1", "scancel %s", job).rc == 0
    wait_until(lambda: alice.server() is None, timeout=NOTICED, what="the hub to give up")
    assert f"Job {job} ended before JupyterLab could start: it was cancelled." in alice.failure()
    assert answer.result().status_code in {202, 500}  # 202: the answer came before the end


@pytest.mark.needs("hpc/alice")
def test_who_waits_for_a_limit_of_their_own_reads_which(waiting: Waiting):
    alice, _ = waiting()
    limit = "Waiting in the queue of partition debug: you already use as many GPUs as you may have at a time."
    wait_until(lambda: alice.stage() == limit, timeout=NOTICED, what="the limit on the page")


@pytest.mark.needs("hpc/alice")
def test_who_is_on_hold_reads_who_did_it_and_starts_when_released(
    waiting: Waiting, service: Callable[..., Host]
):
    alice, _ = waiting()
    job = alice.waiting_job()
    (holder,) = set(alice.jobs()) - {job}
    queue = "Waiting in the queue of partition debug:"
    admin = service("slurmctld", user="slurm")

    def said(why: str) -> None:
        wait_until(lambda: alice.stage() == f"{queue} {why}.", timeout=NOTICED, what=f"{why!r} on the page")

    assert alice.on("cpu-1", "scontrol hold %s", job).rc == 0
    said("you put it on hold")
    assert admin.run("scontrol release %s && scontrol hold %s", job, job).rc == 0
    said("an administrator put it on hold")
    assert alice.on("cpu-1", "scancel %s", holder).rc == 0
    wait_until(lambda: alice.jobs("%A %T") == [f"{job} PENDING"], timeout=QUICK, what="the other job's end")
    assert admin.run("scontrol release %s", job).rc == 0
    wait_until(alice.ready, timeout=START, what="the session that was on hold")
    assert alice.jobs() == [job]


@pytest.mark.needs("hpc/alice")
def test_who_is_on_hold_can_still_stop(waiting: Waiting):
    alice, _ = waiting()
    job = alice.waiting_job()
    assert alice.on("cpu-1", "scontrol hold %s", job).rc == 0
    hold = "Waiting in the queue of partition debug: you put it on hold."
    wait_until(lambda: alice.stage() == hold, timeout=NOTICED, what="the hold on the page")
    assert alice.stop().status_code in {202, 204}
    wait_until(lambda: job not in alice.jobs(), timeout=QUICK, what="the end of the job on hold")
    wait_until(lambda: alice.server() is None, timeout=QUICK, what="the hub to forget it")


@pytest.mark.needs("slurm")
@pytest.mark.needs("hpc/alice")
def test_who_waits_for_a_busy_node_reads_the_place_in_line_and_the_expected_start(
    person: People, pool: ThreadPoolExecutor
):
    alice = person("alice")
    options = "--chdir=/tmp --output=/dev/null --partition=harvester --cpus-per-task=8 --mem=64M --time=5"
    assert alice.on("cpu-1", f"sbatch {options} --wrap %s", "sleep 300").rc == 0
    wait_until(lambda: alice.jobs("%T") == ["RUNNING"], timeout=START, what="alice's job to run")
    pool.submit(alice.start, partition="harvester", runtime=10)
    told = re.compile(
        r"harvester: all suitable nodes are busy\. You are next in the queue\. "
        r"Expected start: in about (1 minute|[2-5] minutes)\.$"
    )
    # the expected start is backfill's, which looks every 30 s
    wait_until(lambda: told.search(alice.stage()), timeout=45, what="place and time on the page")


@pytest.mark.needs("hpc/alice")
def test_a_session_that_waits_ends_when_its_person_says_so(waiting: Waiting):
    alice, _ = waiting()
    job = alice.waiting_job()
    assert alice.stop().status_code in {202, 204}
    wait_until(lambda: job not in alice.jobs(), timeout=QUICK, what="the end of the job that waited")
    wait_until(lambda: alice.server() is None, timeout=QUICK, what="the hub to forget it")


# ---- when parts are restarted --------------------------------------------------------------------------


@pytest.mark.alone
def test_a_session_lives_on_while_its_hub_is_away_and_afterwards(person: People, settings: Settings):
    alice = person("alice")
    job, _ = alice.session()
    alice.open_lab()
    began = alice.ask_lab().json()["started"]
    compose.run(settings, "stop", alice.cell)
    try:
        assert alice.ask_lab().json()["started"] == began
    finally:
        compose.run(settings, "start", alice.cell)
        hub_is_back(alice)
    assert alice.jobs() == [job]
    assert alice.ready()
    assert alice.ask_lab().json()["started"] == began
    alice.stop()
    wait_until(lambda: not alice.jobs(), timeout=QUICK, what="the end of alice's job")


@pytest.mark.alone
def test_a_start_that_goes_on_after_a_restart_ends_when_its_person_says_so(
    waiting: Waiting, settings: Settings
):
    alice, _ = waiting()
    job = alice.waiting_job()
    compose.run(settings, "restart", alice.cell)
    hub_is_back(alice)
    assert alice.stop().status_code in {202, 204}
    wait_until(lambda: job not in alice.jobs(), timeout=QUICK, what="the end of the job that waited")
    wait_until(lambda: alice.server() is None, timeout=QUICK, what="the hub to forget it")
    notes = [token["note"] for token in alice.api("GET", "users/alice/tokens").json()["api_tokens"]]
    assert not [note for note in notes if note.startswith("Server at")], "the token of the job goes with it"


@pytest.mark.alone
def test_the_way_to_a_session_is_back_after_a_restart_of_the_proxy(person: People, settings: Settings):
    alice = person("alice")
    job, _ = alice.session()
    alice.open_lab()
    began = alice.ask_lab().json()["started"]
    compose.run(settings, "restart", f"{alice.cell}-proxy")
    wait_until(lambda: alice.ask_lab().status_code == 200, timeout=BACK, what="the way to alice's session")
    assert alice.ask_lab().json()["started"] == began
    assert alice.jobs() == [job]
