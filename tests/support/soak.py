"""Sessions are started, stopped and killed, again and again, while hubs, proxies and schedulers restart.

What must never be, whatever happens when:

unknown  a job of a session that no server of a hub knows, for longer than the hub's reaper takes
stuck    a server that neither runs nor ends: a Stop that does not stop, an end that is not noticed
double   two live jobs of one server

A round is one start of one server of one person, something that happens to it, and the look afterwards. What
happens in which round follows from the seed; at which moment, from the machine too. Everybody of PEOPLE
plays their own rounds beside the others'.
"""

import argparse
import os
import random
import secrets
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

import requests
from bs4 import BeautifulSoup

from benchtop.console import Problem
from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from benchtop_hub.backends.queue import ENDED
from support import sessions
from support.as_person import become
from support.facility import kill, restart, well
from support.hub import Hub
from support.wait import wait_until

# Two people of one cell, and one of another; the administrator reads the list of all sessions.
PEOPLE: Mapping[str, tuple[str, ...]] = {"alice": ("hpc", "htc"), "erin": ("hpc", "htc"), "carol": ("hpc",)}
ADMINISTRATOR = "erin"
NODES: Mapping[str, tuple[str, ...]] = {
    "hpc": ("cpu-1", "gpu-1", "gpu-2"),
    "htc": ("condor-ep-1", "condor-ep-2"),
}
NAMES = ("", "soak")  # the usual server, and one that has a name
LATEST = 4.0  # seconds after the click: by then a session runs, where nothing is in its way
BREAK_EVERY = 3  # rounds
OF_ANY = ("hub", "hub with -9", "proxy")  # of the cell of whoever plays the round
OF_CLUSTER: Mapping[str, tuple[str, ...]] = {"hpc": ("slurmctld",), "htc": ("condor-ap", "condor-cm")}
START = 150  # seconds until a start has come up or has failed, restarts included
NOTICED = 120  # … until a hub knows that a job is gone: twice a look every half minute, after a restart
STOPPED = 90  # … until a server that was told to stop has ended
GONE = 150  # … until no job is left of a server that has ended: the reaper's two looks, and the end itself
BACK = 60  # … until a part that was restarted answers
EVERY = 2.0  # seconds between two looks for double jobs


@dataclass(frozen=True)
class Round:
    """One start and what happens to it.

    when: seconds after the click; None: as soon as the session runs
    what: stop (by its person), cancel (its job, at the scheduler), kill (its process, with -9),
          twice (a second click at the same time, then stop), use (JupyterLab is opened, then stop)
    breaks: what is restarted just before; "" for nothing
    """

    number: int
    person: str
    cluster: str
    name: str
    login: bool
    when: float | None
    what: str
    breaks: str


def plan(seed: str, rounds: int, clusters: tuple[str, ...]) -> list[Round]:
    """All rounds, by the seed alone; each kind of break comes as often as every other."""
    chance = random.Random(seed)  # noqa: S311 to be repeated, not to be secret
    kinds = [*OF_ANY, *(part for cluster in clusters for part in OF_CLUSTER[cluster])]
    chance.shuffle(kinds)
    people = [name for name in PEOPLE if set(PEOPLE[name]) & set(clusters)]
    made = []
    for number in range(rounds):
        person = people[number % len(people)]
        turn, rest = divmod(number, BREAK_EVERY)
        made.append(
            Round(
                number=number + 1,
                person=person,
                cluster=chance.choice([one for one in PEOPLE[person] if one in clusters]),
                name=chance.choice(NAMES),
                login=chance.random() < 0.25,
                when=chance.choice([None, round(chance.uniform(0.0, LATEST), 1)]),
                what=chance.choice(["stop", "stop", "cancel", "kill", "twice", "use"]),
                breaks=kinds[turn % len(kinds)] if rest == turn % BREAK_EVERY else "",
            )
        )
    return made


# ---- what the schedulers say ---------------------------------------------------------------------


class Unanswered(Exception):  # noqa: N818  # what it is, not that it is an error
    """A scheduler did not say; it is being restarted."""


@dataclass(frozen=True)
class Job:
    """A session's job that is alive; `of`: the name that all jobs of the same server have."""

    of: str
    number: str
    owner: str


class Schedulers:
    """Both of them and the login nodes, asked at the place itself, not by a hub."""

    def __init__(self, settings: Settings) -> None:
        self._ids = {one.service: one.id for one in compose.containers(settings.project)}

    def jobs(self, cluster: str, *, login: bool) -> list[Job]:
        """All sessions' jobs that hold something. Raises Unanswered."""
        if login:
            return list(self._on_login_node(cluster))
        return list(self._of_slurm() if cluster == "hpc" else self._of_condor())

    def cancel(self, cluster: str, job: Job) -> bool:
        """End a job as its owner; False when that did not succeed."""
        if job.number.startswith("local-"):
            script = f"from benchtop_lab.login_node import commands; commands.stop('{job.number}')"
            words = ["/opt/lab/bin/python", "-I", "-c", script]
            return self._try(f"{cluster}-login", *become(job.owner), *words)
        if cluster == "hpc":
            return self._try("hpc-login", *become(job.owner), "scancel", job.number)
        return self._try("condor-ap", "condor-as", job.owner, "condor_rm", job.number)

    def kill(self, cluster: str, person: str, *, login: bool) -> bool:
        """Kill the process of a person's session with -9; False when there is none yet."""
        nodes = (f"{cluster}-login",) if login else NODES[cluster]
        words = ("pkill", "--signal", "KILL", "--uid", person, "--full", sessions.PROCESS)
        # as the person: on the login node, root may not
        return any(self._try(node, *become(person), *words) for node in nodes)

    def _of_slurm(self) -> Iterator[Job]:
        told = self._say("slurmctld", "squeue", "--noheader", "--format=%A|%T|%u|%j")
        for line in told.splitlines():
            number, state, owner, name = line.split("|", 3)
            if name.startswith("jh-") and state not in ENDED | {"COMPLETING"}:
                yield Job(name, number, owner)

    def _of_condor(self) -> Iterator[Job]:
        words = ("ClusterId", "JobStatus", "Owner", "JobBatchName")
        told = self._say("condor-ap", "condor-as", "condor", "condor_q", "-allusers", "-autoformat:,", *words)
        for line in told.splitlines():
            number, state, owner, name = (word.strip() for word in line.split(",", 3))
            if name.startswith("jh-") and state not in {"3", "4"}:  # removed, completed
                yield Job(name, number, owner)

    def _on_login_node(self, cluster: str) -> Iterator[Job]:
        script = "from benchtop_lab.login_node import commands; print(commands.listing(), end='')"
        told = self._say(f"{cluster}-login", "/opt/lab/bin/python", "-I", "-c", script)
        for line in told.splitlines():
            number, state, _, _ = line.split("|", 3)
            if state == "RUNNING":
                uid = int(number.split("-")[1])
                yield Job(f"login-{cluster}-{uid}", number, str(uid))

    def uid(self, person: str) -> str:
        """Their number: a session on a login node says no name."""
        return self._say("cpu-1" if "cpu-1" in self._ids else "condor-ep-1", "id", "-u", person).strip()

    def _say(self, service: str, *words: str) -> str:
        done = compose.docker("exec", self._ids[service], *words, check=False)
        if done.returncode:
            raise Unanswered(f"{service}: {done.stderr.decode().strip()[-200:]}")
        return done.stdout.decode()

    def _try(self, service: str, *words: str) -> bool:
        return compose.docker("exec", self._ids[service], *words, check=False).returncode == 0


# ---- what came of it ------------------------------------------------------------------------------


@dataclass
class Result:
    """What came of all rounds."""

    seed: str
    rounds: int = 0
    up: int = 0
    what: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    double: dict[str, str] = field(default_factory=dict)  # by server and jobs: each pair once

    @property
    def good(self) -> bool:
        """Was there nothing that must never be?"""
        return not (self.unknown or self.stuck or self.double)

    def table(self) -> str:
        """All of it, in Markdown."""
        lines = {
            "rounds": f"{self.rounds} ({self.up} sessions came up)",
            "what happened to them": _counted(self.what),
            "restarts": f"{sum(self.breaks.values())} ({_counted(self.breaks)})",
            "jobs unknown to a hub": str(len(self.unknown)),
            "servers stuck": str(len(self.stuck)),
            "double starts": str(len(self.double)),
        }
        rows = "\n".join(f"| {what} | {said} |" for what, said in lines.items())
        found = [*self.unknown, *self.stuck, *self.double.values()]
        return f"seed {self.seed}\n\n| soak | |\n|---|---|\n{rows}\n" + "".join(f"\n- {one}" for one in found)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


class Soak:
    """Everything that the rounds share."""

    def __init__(self, settings: Settings, seed: str, tell: Callable[[str], None]) -> None:
        self.settings = settings
        self.schedulers = Schedulers(settings)
        self.result = Result(seed)
        self.tell = tell
        self._browsers = {name: enrol.login(settings, name) for name in PEOPLE}
        self._uids = {name: self.schedulers.uid(name) for name in PEOPLE}
        self._breaking, self._counting = Lock(), Lock()

    def run(self, rounds: list[Round]) -> Result:
        """Play all rounds, everybody theirs, and look at everything once more."""
        own: dict[str, list[Round]] = defaultdict(list)
        for one in rounds:
            own[one.person].append(one)
        try:
            with self._watched(), ThreadPoolExecutor(len(own)) as pool:
                for done in [pool.submit(self._all_of, theirs) for theirs in own.values()]:
                    done.result()
            well(self.settings)
            for cluster in self.settings.clusters:
                self._nothing_is_left(cluster)
        finally:
            self._clear()
        return self.result

    def _all_of(self, rounds: list[Round]) -> None:
        with ThreadPoolExecutor(2) as clicks:
            for one in rounds:
                began = time.monotonic()
                self._again(one.person)
                came = Play(self, one, clicks).through()
                with self._counting:
                    self.result.rounds += 1
                    self.result.up += came
                    self.result.what[one.what] += 1
                where = f"{one.cluster}{' login node' if one.login else ''}"
                broken = f", {one.breaks} restarted" if one.breaks else ""
                took = time.monotonic() - began
                self.tell(f"{one.number}: {one.person} on {where}: {one.what}{broken} ({took:.0f} s)")

    def _again(self, person: str) -> None:
        """Log in once more where the login has ended."""
        page = self._browsers[person].get(f"{self.settings.url}/", timeout=30, allow_redirects=False)
        if page.status_code != 200:
            self._browsers[person] = enrol.login(self.settings, person)

    def hub(self, one: Round) -> Hub:
        """Whose server it is about."""
        return Hub(self.settings, self._browsers[one.person], one.person, one.cluster, one.name)

    def jobs_of(self, one: Round) -> list[Job]:
        """What is alive of that server. Raises Unanswered."""
        return [
            job for job in self.schedulers.jobs(one.cluster, login=one.login) if job.of == self.called(one)
        ]

    def called(self, one: Round) -> str:
        """How the jobs of that server are named."""
        if one.login:
            return f"login-{one.cluster}-{self._uids[one.person]}"
        return "-".join(filter(None, ("jh", self.hub(one).cell, one.person, one.name)))

    def break_something(self, one: Round) -> None:
        """Restart what the round says, if nobody is restarting anything at this moment."""
        cell = self.hub(one).cell
        service = {"hub": cell, "hub with -9": cell, "proxy": f"{cell}-proxy"}.get(one.breaks, one.breaks)
        with self._breaking:
            well(self.settings, service)
            (kill if one.breaks == "hub with -9" else restart)(self.settings, service)
            self.result.breaks[one.breaks] += 1

    def stuck(self, one: Round, why: object) -> None:
        """Take note of it."""
        with self._counting:
            self.result.stuck.append(f"stuck: {one}: {why}")

    def unknown(self, what: str) -> None:
        """Take note of a job that nobody knows."""
        with self._counting:
            self.result.unknown.append(f"unknown: {what}")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Look for servers with two jobs all the time."""
        over = Event()

        def look() -> None:
            while not over.wait(EVERY):
                for cluster in self.settings.clusters:
                    for login in (False, True):
                        with suppress(Unanswered):
                            self._count(self.schedulers.jobs(cluster, login=login))

        watcher = Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _count(self, jobs: list[Job]) -> None:
        numbers: dict[str, list[str]] = defaultdict(list)
        for job in jobs:
            numbers[job.of].append(job.number)
        for name, found in numbers.items():
            if len(found) > 1:
                told = f"{name}: {' and '.join(sorted(found))}"
                self.result.double.setdefault(told, f"double: {told} at {time.strftime('%X')}")

    def _nothing_is_left(self, cluster: str) -> None:
        """No job of anybody's session is unknown to the hubs, and no server of ours is left."""
        unknown: list[Job] = []

        def none() -> bool:
            known, _ = self._known(cluster)
            with suppress(Unanswered):
                jobs = [job for login in (False, True) for job in self.schedulers.jobs(cluster, login=login)]
                unknown[:] = [job for job in jobs if job.number not in known]
                return not unknown
            return False

        try:
            wait_until(none, timeout=GONE, what=f"every job of {cluster} to be known", every=2)
        except AssertionError as late:
            for job in (*unknown, *([] if unknown else [late])):
                self.unknown(f"{cluster}, at the end: {job}")
        for whose in self._known(cluster)[1] & set(PEOPLE):
            with self._counting:
                self.result.stuck.append(f"stuck: a server of {whose} on {cluster} at the end")

    def _known(self, cluster: str) -> tuple[set[str], set[str]]:
        """The jobs that the hubs of a cluster know, and their people, by the administrators' list."""
        browser = self._browsers[ADMINISTRATOR]
        page = browser.get(f"{self.settings.url}/sessions/{cluster}", timeout=60)
        rows = BeautifulSoup(page.text, "html.parser").select('tr:has(> th[scope="row"])')
        jobs = {row.select("td")[2].get_text(strip=True) for row in rows}
        return jobs, {row.select("th")[0].get_text(strip=True) for row in rows}

    def _clear(self) -> None:
        """Nobody keeps a server, whatever went wrong."""
        for person, clusters in PEOPLE.items():
            for cluster in set(clusters) & set(self.settings.clusters):
                for name in NAMES:
                    own = Hub(self.settings, self._browsers[person], person, cluster, name)
                    with suppress(requests.RequestException):
                        own.forget() if name else own.stop()


class Play:
    """One round, from the click to the look afterwards."""

    def __init__(self, soak: Soak, one: Round, clicks: ThreadPoolExecutor) -> None:
        self.soak, self.one, self._clicks = soak, one, clicks
        self.own = soak.hub(one)
        self._clicked: list[Future[str]] = []
        self._over_at_once = False  # it had ended before anything could happen to it

    def through(self) -> bool:
        """Play it; did the session come up?"""
        came = False
        try:
            self._click()
            came = self._meet()
            if self.one.breaks:
                self.soak.break_something(self.one)
            hit = self._happen()
            self._wait(lambda: all(one.done() for one in self._clicked), START, "an answer to the click")
            if hit:
                self._wait(self._over, NOTICED, "the hub to notice")
        except AssertionError as late:
            self.soak.stuck(self.one, late)
        try:
            self._stop()
            self._wait(self._over, STOPPED, "the end of a server that was stopped")
        except AssertionError as late:
            self.soak.stuck(self.one, late)
        self._nothing_is_left()
        return came

    def _click(self) -> None:
        asks = {"where": "login", "runtime": 20} if self.one.login else sessions.SMALL[self.one.cluster]

        def click() -> str:
            try:
                return str(self.own.start(**asks).status_code)
            except requests.RequestException as lost:  # what became of it, nobody was told
                return type(lost).__name__

        self._clicked = [self._clicks.submit(click) for _ in range(2 if self.one.what == "twice" else 1)]

    def _meet(self) -> bool:
        """Wait for the moment at which it happens; does the session run by then?"""
        if self.one.when is not None:
            time.sleep(self.one.when)  # a moment by chance, and no condition
            return self._state() == "ready"

        def settled() -> str:
            state = self._state()
            if state == "ready":
                return state
            return "failed" if state == "none" and all(one.done() for one in self._clicked) else ""

        return self._wait(settled, START, "a start to come up or to fail") == "ready"

    def _happen(self) -> bool:
        """Do what the round says; was something hit whose end the hub must notice by itself?"""
        if self.one.what == "use":
            with suppress(requests.RequestException):
                self.own.open()
        if self.one.what in {"cancel", "kill"}:
            return bool(self._wait(self._strike, START, "something to end")) and not self._over_at_once
        self._stop()
        return False

    def _strike(self) -> bool:
        """End it behind the hub's back, if it is there already; True when there is nothing more to do."""
        hit = False
        if self.one.what == "kill":
            hit = self.soak.schedulers.kill(self.one.cluster, self.one.person, login=self.one.login)
        else:
            with suppress(Unanswered):
                for job in self.soak.jobs_of(self.one):
                    hit = self.soak.schedulers.cancel(self.one.cluster, job) or hit
        if not hit and all(one.done() for one in self._clicked) and self._over():
            self._over_at_once = True
        return hit or self._over_at_once

    def _stop(self) -> None:
        """As the button does it, until the hub has taken it."""

        def taken() -> bool:
            try:
                return self.own.stop().status_code in {202, 204, 404}
            except requests.RequestException:
                return False

        self._wait(taken, BACK, "the hub to take a Stop")

    def _nothing_is_left(self) -> None:
        """The server has ended, so none of its jobs is alive."""
        left: list[Job] = []

        def none() -> bool:
            try:
                left[:] = self.soak.jobs_of(self.one)
            except Unanswered:
                return False
            return not left

        try:
            self._wait(none, GONE, "the end of its jobs")
        except AssertionError as late:
            for job in (*left, *([] if left else [late])):
                self.soak.unknown(f"{self.one}: {job}")

    def _state(self) -> str:
        """What the hub says of the server: ready, pending, none; "unknown" while it does not answer."""
        try:
            server = self.own.server()
        except (requests.RequestException, ValueError, KeyError):
            return "unknown"
        return "none" if server is None else "ready" if server.get("ready") else "pending"

    def _over(self) -> bool:
        return self._state() == "none"

    def _wait(self, condition: Callable[[], object], timeout: float, what: str) -> object:
        return wait_until(condition, timeout=timeout, what=what, every=0.3)


def main() -> int:
    """Play, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", default="", help="for the same rounds again")
    options = parser.parse_args()
    settings = Settings.load(Path(os.environ.get("BENCHTOP_ROOT", Path(__file__).parents[2])))
    seed = options.seed or secrets.token_hex(4)
    print(f"seed {seed}", flush=True)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    result = Soak(settings, seed, tell).run(plan(seed, options.rounds, settings.clusters))
    print(result.table())
    return 0 if result.good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        sys.exit(str(problem))
