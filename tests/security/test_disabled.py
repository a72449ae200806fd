"""Who is disabled is out within a minute, with a session open and a server running; nobody else notices."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop.people import accounts, enrol, keycloak, roster
from benchtop.settings import Settings
from benchtop.stack import compose
from support import credentials, programs
from support.as_person import become
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("people", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
    pytest.mark.long,
]

Services = Callable[..., Host]

LEAVER, STAYER = "reader31", "reader32"
OUT = 60  # seconds: the promise
STARTS = 90  # seconds for a session on a busy machine
QUEUE = {
    "hpc": ("slurmctld", "squeue --noheader --user=%s"),
    "htc": (
        "condor-ap",
        "condor-as condor condor_q -all -constraint 'Owner == \"%s\" && JobStatus < 3' -af ClusterId",
    ),
}


# What a session has for its own batch system, and how a copy of it is used: of Slurm's on a node of the other
# cluster, as its own nodes know who asks
STOLEN = {
    "hpc": ("slurm.jwt", "condor-ep-1", "SLURM_JWT=$(cat) squeue --noheader --format=%u"),
    "htc": (
        "condor/session",
        "condor-ep-2",
        "umask 077; folder=$(mktemp -d); cat >$folder/token; "
        "_CONDOR_SEC_TOKEN_DIRECTORY=$folder condor_q -af Owner; code=$?; rm -r $folder; exit $code",
    ),
}


@dataclass
class Visitor:
    """A logged-in person with a token."""

    name: str
    cluster: str
    settings: Settings
    browser: requests.Session
    token: str

    @property
    def api(self) -> str:
        """Their part of the hub's API."""
        return f"{self.settings.url}/jupyterhub/{self.cluster}/hub/api/users/{self.name}"

    def by_token(self, method: str, url: str, **more: object) -> requests.Response:
        """What a program of theirs is answered."""
        return programs.program(self.settings, self.token).request(method, url, timeout=60, json=more or None)

    def looks(self) -> int:
        """The status that a page of the hub has for their browser."""
        home = f"{self.settings.url}/jupyterhub/{self.cluster}/hub/home"
        return self.browser.get(home, allow_redirects=False).status_code

    def start(self) -> None:
        """Start a server, and wait until it answers."""
        assert self.by_token("POST", f"{self.api}/server", runtime=20).ok
        status = f"{self.settings.url}/jupyterhub/{self.cluster}/user/{self.name}/api/status"
        wait_until(
            lambda: self.by_token("GET", status).status_code == 200,
            timeout=STARTS,
            what=f"{self.name}'s server",
        )


@dataclass
class Copy:
    """Of the token that a session shows to its batch system, in the hands of somebody else."""

    thief: str
    cluster: str
    token: str
    settings: Settings

    @classmethod
    def of(cls, leaver: Visitor, thief: str) -> "Copy":
        """Taken from a session that runs."""
        own = Hub(leaver.settings, leaver.browser, leaver.name, leaver.cluster)
        assert own.open().ok
        name = STOLEN[leaver.cluster][0]
        return cls(thief, leaver.cluster, credentials.there(own).text(name), leaver.settings)

    def works(self) -> bool:
        """Does the batch system answer to it?"""
        _, node, command = STOLEN[self.cluster]
        words = [*become(self.thief), "sh", "-c", command]
        done = compose.run(self.settings, "exec", "-T", node, *words, input=self.token.encode(), check=False)
        return done.returncode == 0


@pytest.fixture(scope="module")
def everybody(settings: Settings) -> Iterator[roster.People]:
    """The people of the facility and those of tests/people.yaml, in the directory meanwhile."""
    found = roster.load(settings.root / accounts.PEOPLE, settings.root / "tests/people.yaml")
    accounts.follow(settings, found)
    enrol_two(settings, found)
    yield found
    accounts.follow(settings, accounts.load(settings))


def enrol_two(settings: Settings, everybody: roster.People) -> None:
    two = {name: everybody.people[name] for name in (LEAVER, STAYER)}
    enrol.enrol_missing(settings, everybody.model_copy(update={"people": two}))


@pytest.fixture
def visitor(settings: Settings, everybody: roster.People) -> Callable[[str, str], Visitor]:
    def come(name: str, cluster: str) -> Visitor:
        browser = enrol.login(settings, name, path=f"/jupyterhub/{cluster}/hub/home")
        token = programs.new_token(browser, settings, cluster, name)["token"]
        return Visitor(name, cluster, settings, browser, token)

    return come


@pytest.fixture
def jobs(service: Services) -> Callable[[Visitor], str]:
    """What the scheduler itself knows of somebody's jobs."""

    def look(visitor: Visitor) -> str:
        where, command = QUEUE[visitor.cluster]
        return service(where).check_output(command % visitor.name).strip()

    return look


def is_out(leaver: Visitor, stayer: Visitor, jobs: Callable[[Visitor], str], since: float) -> None:
    """All of it within OUT seconds of `since`, and only the leaver."""

    def left() -> float:
        return max(1.0, OUT - (time.monotonic() - since))

    wait_until(lambda: leaver.looks() in {303, 403}, timeout=left(), what="the end of the browser's session")
    wait_until(
        lambda: leaver.by_token("GET", leaver.api).status_code == 403,
        timeout=left(),
        what="the end of the token",
    )
    wait_until(lambda: not jobs(leaver), timeout=left(), what="the end of the job", every=0.5)
    assert stayer.looks() in {200, 302}
    assert stayer.by_token("GET", stayer.api).status_code == 200
    assert jobs(stayer)


@pytest.fixture
def two(
    visitor: Callable[[str, str], Visitor], jobs: Callable[[Visitor], str], request: pytest.FixtureRequest
):
    """Somebody who is to leave and somebody who stays, each with a server."""
    leaver, stayer = (visitor(name, request.param) for name in (LEAVER, STAYER))
    for each in (leaver, stayer):
        each.start()
        assert jobs(each)
    yield leaver, stayer
    stayer.by_token("DELETE", f"{stayer.api}/server")
    wait_until(lambda: not jobs(stayer), timeout=OUT, what="the end of the job that stayed")


@pytest.fixture
def restored(settings: Settings, everybody: roster.People) -> Iterator[None]:
    yield
    accounts.apply(settings, everybody, "ldap")
    set_enabled(settings, LEAVER, enabled=True)


def set_enabled(settings: Settings, name: str, *, enabled: bool) -> None:
    """What the switch "Enabled" of Keycloak's console does, and nothing more: no session is ended."""
    token = keycloak.token_of(settings)
    find = keycloak.Call(f"{keycloak.ADMIN}/users?exact=true&username={name}")
    (person,) = keycloak.expect(keycloak.ask(settings, token, [find])[0], 200)
    change = keycloak.Call(
        f"{keycloak.ADMIN}/users/{person['id']}", "PUT", document=person | {"enabled": enabled}
    )
    keycloak.expect(keycloak.ask(settings, token, [change])[0], 204)


@pytest.mark.parametrize("two", ["hpc", "htc"], indirect=True)
def test_who_is_disabled_in_the_directory_is_out(
    two: tuple[Visitor, Visitor],
    jobs: Callable[[Visitor], str],
    everybody: roster.People,
    settings: Settings,
    restored: None,
):
    """The directory alone: the schedulers are not told, so that it is the hub that ends the job.

    And what the session had shown to the batch system is void, also where somebody has kept a copy.
    """
    leaver, stayer = two
    copy = Copy.of(leaver, STAYER)
    assert copy.works(), "the control"
    gone = everybody.people[LEAVER].model_copy(update={"disabled": True})
    changed = everybody.model_copy(update={"people": everybody.people | {LEAVER: gone}})
    accounts.apply(settings, changed, "ldap")
    since = time.monotonic()
    is_out(leaver, stayer, jobs, since)
    left = max(1.0, OUT - (time.monotonic() - since))
    wait_until(lambda: not copy.works(), timeout=left, what="the end of what was shown to the batch system")
    page = leaver.browser.get(f"{settings.url}/")
    assert page.status_code == 403
    assert "no longer" in BeautifulSoup(page.text, "html.parser").get_text()


@pytest.mark.parametrize("two", ["hpc"], indirect=True)
def test_who_is_taken_off_the_list_is_out(
    two: tuple[Visitor, Visitor],
    jobs: Callable[[Visitor], str],
    everybody: roster.People,
    settings: Settings,
):
    leaver, stayer = two
    rest = {name: person for name, person in everybody.people.items() if name != LEAVER}
    try:
        accounts.apply(settings, everybody.model_copy(update={"people": rest}))
        is_out(leaver, stayer, jobs, time.monotonic())
    finally:
        accounts.apply(settings, everybody)
        enrol_two(settings, everybody)  # Keycloak forgot who was gone


@pytest.mark.parametrize("two", ["htc"], indirect=True)
def test_who_is_disabled_in_keycloak_alone_is_out(
    two: tuple[Visitor, Visitor],
    jobs: Callable[[Visitor], str],
    service: Services,
    settings: Settings,
    restored: None,
):
    leaver, stayer = two
    set_enabled(settings, LEAVER, enabled=False)
    is_out(leaver, stayer, jobs, time.monotonic())
    assert service("leavers").check_output("ls /run/leavers") == LEAVER
    set_enabled(settings, LEAVER, enabled=True)
    wait_until(
        lambda: not service("leavers").check_output("ls /run/leavers"), timeout=OUT, what="the way back"
    )
    enrol.login(settings, LEAVER, path=f"/jupyterhub/{leaver.cluster}/hub/home")


@pytest.mark.alone
def test_nobody_is_out_because_the_directory_is_away(
    visitor: Callable[[str, str], Visitor], service: Services, settings: Settings
):
    """For as long as three looks of a hub at somebody with a token take."""
    stayer = visitor(STAYER, "hpc")
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def looks() -> list[str]:
        log = compose.run(settings, "logs", "--no-color", "--since", began, "hpc-minter").stdout.decode()
        return re.findall(rf"refuse person='{STAYER}' .*does not answer", log)

    compose.run(settings, "stop", "--timeout", "5", "ldap")
    try:
        wait_until(lambda: len(looks()) >= 3, timeout=2 * OUT, what="three looks of the hub", every=1)
        assert not service("leavers").check_output("ls /run/leavers")
    finally:
        # not `up --no-deps`, after which the next `up` would make half of the facility anew
        compose.run(settings, "start", "ldap")
        wait_until(
            lambda: service("slurmctld").run("id alice").rc == 0,
            timeout=OUT,
            what="nslcd to look again",
            every=1,
        )
    wait_until(lambda: stayer.looks() in {200, 302}, timeout=OUT, what="Apache to ask the directory again")
    assert stayer.by_token("GET", stayer.api).status_code == 200
