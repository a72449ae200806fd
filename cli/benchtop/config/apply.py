"""Make changed configuration live: checked first, announced, and undone where it does not do well.

What changed is what differs from the live copy (live.py), checks.py judges it, and here is what each part
takes to be taken up: the least that makes it live. `make up` does the same for what runs already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from benchtop.config import checks, live
from benchtop.config.live import Part
from benchtop.console import Problem, log, say, step
from benchtop.keys import changed, secrets
from benchtop.people import accounts, keycloak, realm
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose, notices, services
from benchtop.stack.compose import Container

_WELL_WITHIN = 120.0  # seconds; Keycloak is the slowest, with 20 s on an idle machine
_NODES = ("gpu-1", "gpu-2", "cpu-1")
# slurm.conf(5): these are read once, at the start of a daemon
_SLURM_RESTART = {
    "authtype", "credtype", "authalttypes", "authaltparameters", "slurmctldport", "slurmdport", "slurmuser",
    "slurmdparameters", "slurmctldhost", "statesavelocation", "slurmdspooldir", "slurmctldpidfile",
    "slurmdpidfile", "selecttype", "clustername", "port", "accountingstoragetype", "accountingstoragehost",
}  # fmt: skip
# Of HTCondor's settings, those that a daemon reads when it starts: names, and how names begin
_CONDOR_RESTART = {
    "NUM_CPUS", "MEMORY", "DAEMON_LIST", "CONDOR_HOST", "COLLECTOR_NAME", "SCHEDD_NAME", "SCHEDD_ARGS",
    "TRUST_DOMAIN", "UID_DOMAIN", "FILESYSTEM_DOMAIN", "LOG", "SPOOL", "EXECUTE", "RUN", "LOCK",
    "USE_GID_PROCESS_TRACKING", "MIN_TRACKING_GID", "MAX_TRACKING_GID", "USE_PROCD",
}  # fmt: skip
_CONDOR_RESTART_TOO = ("SLOT_TYPE_", "NUM_SLOTS", "SEC_", "SHARED_PORT")


# Not `docker kill`: the engine would take it for our wish that the container stays away when it ends.
_READ_ANEW = """
for process in /proc/[0-9]*; do
  if [ "$(cat "$process/comm" 2>/dev/null)" = condor_master ]; then kill -HUP "${process#/proc/}"; fi
done
"""


@dataclass
class Plan:
    """A part that changed: what is done to make it live, and what people notice of it."""

    part: Part
    files: list[str]
    notice: str
    act: Callable[[], None]


def settle(settings: Settings) -> None:
    """Before a start: take the checkout's files for whatever does not run, which then starts with them.

    What runs keeps what it has, until `bring_in`.
    """
    running = _running(settings)
    for part in live.PARTS:
        if live.missing(settings, part) or (part.folder and not running & _readers(settings, part)):
            live.adopt(settings, part)
            live.end(settings, part)


def changes(settings: Settings) -> dict[Part, list[str]]:
    """The parts that are not live as they are in the checkout, with the files that differ."""
    unfinished = live.unfinished(settings)
    found = {part: live.changed(settings, part) for part in live.PARTS if _here(settings, part)}
    return {part: files for part, files in found.items() if files or part.name in unfinished}


def bring_in(settings: Settings, everybody: People) -> bool:
    """Make every change live; whether there was one. Nothing is touched before all of them are checked.

    Raises Problem with the mistakes, or with what did not come back well; that part is then as before.
    """
    with live.locked(settings):
        found = changes(settings)
        if not found:
            return False
        say("Changed: " + ", ".join(name for part, files in found.items() for name in files or [part.name]))
        plans = []
        with step("Checking it") as current:
            for part in found:
                current.now(part.name)
                plans.append(_plan(settings, part, found[part], everybody))
        for plan in plans:
            say(f"  {plan.part.name}: {plan.notice}")
        # a new partitions.conf was checked against the new list of people, and goes with it
        together = [plan.part for plan in plans if plan.part in (live.PEOPLE, live.SLURM)]
        for plan in plans:
            _make_live(settings, plan, together if plan.part is live.PEOPLE else [plan.part])
        return True


def _make_live(settings: Settings, plan: Plan, parts: list[Part]) -> None:
    part = plan.part
    for each in parts:
        if each.name not in live.unfinished(settings):  # else what is aside is the former one
            live.keep(settings, each)
            live.begin(settings, each)
        live.adopt(settings, each)
    log.info("apply part=%s files=%s", part.name, ",".join(plan.files))
    try:
        with step(f"Making {part.name} live"):
            plan.act()
    except Problem as problem:
        _go_back(settings, plan, parts, problem)
    live.end(settings, part)


def _go_back(settings: Settings, plan: Plan, parts: list[Part], problem: Problem) -> None:
    """Take up again what was live before; raises what went wrong and how to give the change up."""
    part = plan.part
    for each in parts:
        live.restore(settings, each)
    try:
        with step(f"Going back to the {part.name} of before"):
            if part is live.REALM:
                _realm_act(settings, {})
            elif part is not live.PEOPLE:  # whose own check and its order leave nothing to take back
                fallen = sorted(_readers(settings, part) & _ill(settings))
                if part is live.SLURM:  # falls over again and again, and runs in between
                    fallen = sorted({*fallen, "slurmctld"})
                if fallen:
                    _restart(settings, fallen)
                plan.act()
    except Problem as worse:
        raise Problem(
            f"The change to {part.name} did not do well, and what was before does not come back: {worse} "
            "See `make status`; `make up` mends what it can.",
            [str(problem), *problem.details, *worse.details],
        ) from problem
    for each in parts:
        live.end(settings, each)
    raise Problem(
        f"The change to {part.name} did not do well and was taken back; what was live before runs again. "
        f"Mend it and run `make apply` again, or give it up: git checkout -- {' '.join(plan.files)}",
        [str(problem), *problem.details],
    ) from problem


# ---- what each part takes -----------------------------------------------------------------------


def _plan(  # noqa: PLR0911 - one for each part
    settings: Settings, part: Part, files: list[str], everybody: People
) -> Plan:
    """Check a part; raises Problem with its mistakes."""
    match part:
        case live.DIRECTORY:
            checks.directory(settings)
            notice = "ldap restarts; logins wait for some seconds, nobody is logged out"
            return Plan(part, files, notice, lambda: _restart(settings, ["ldap"]))
        case live.PEOPLE:
            notice = "the directory, homes and Slurm's accounting follow; who is taken off the list is out"
            return Plan(part, files, notice, lambda: people(settings, everybody))
        case live.REALM:
            dropped = checks.keycloak(settings)
            notice = "Keycloak takes it up as it runs; nobody is logged out, second factors stay"
            return Plan(part, files, notice, lambda: _realm_act(settings, dropped))
        case live.THEME:
            checks.theme(settings)
            notice = "keycloak restarts; for half a minute nobody can log in, nobody is logged out"
            return Plan(part, files, notice, lambda: _restart(settings, ["keycloak"]))
        case live.SLURM:
            checks.slurm(settings, everybody)
            return slurm_plan(settings, files)
        case live.CONDOR:
            return _condor(settings, files, checks.condor(settings))
        case live.HUB:
            checks.hub(settings)
            hubs = _hubs(settings)
            notice = f"{', '.join(hubs)} restart one after the other; running notebooks go on, no login ends"
            return Plan(part, files, notice, lambda: _one_after_the_other(settings, hubs))
        case _:
            checks.apache(settings)
            who = sorted(keycloak.signed_in(settings))
            names = ", ".join(who[:8]) + ", …" * (len(who) > 8)
            lost = f"who is signed in ({len(who)}: {names}) logs in again" if who else "nobody is signed in"
            notice = f"apache restarts; {lost}, running notebooks go on"
            return Plan(part, files, notice, lambda: _restart(settings, ["apache"]))


def people(settings: Settings, everybody: People) -> None:
    """Make the list of people live: passwords, directory, homes, accounting, second factors."""
    accounts.follow(settings, everybody)
    accounts.enrol_missing(settings, everybody)


def _realm_act(settings: Settings, dropped: Mapping[str, object]) -> None:
    # whoever else has new keys, because a certificate was renewed, takes them up with the next `make up`
    changed.note(settings, secrets.ensure(settings) - {"keys-keycloak"})
    compose.run(settings, "run", "--rm", "--no-deps", "volumes")  # for the day when Keycloak starts empty
    for sentence in realm.follow(settings, dropped):
        say(sentence)


def slurm_plan(settings: Settings, files: list[str]) -> Plan:
    """`scontrol reconfigure` tells slurmctld and the nodes; some lines take a restart."""
    keys = {key for name in files if name != "slurm/slurmdbd.conf" for key in _changed_keys(settings, name)}
    accounting = ["slurmdbd"] if "slurm/slurmdbd.conf" in files else []
    hard = sorted(keys & _SLURM_RESTART)
    notice = "slurmctld and its nodes read it anew; nobody is logged out, jobs go on"
    if hard:
        notice = f"all of Slurm restarts for {', '.join(hard)}: THE JOBS ON THE NODES END, notebooks too"
    elif files == ["slurm/slurmdbd.conf"]:
        notice = "slurmdbd restarts; nobody notices"

    def act() -> None:
        if accounting:
            _restart(settings, accounting)
        if hard:
            _restart(settings, ["slurmctld", *_NODES])
        elif files != ["slurm/slurmdbd.conf"]:
            _reconfigure(settings)
        _work(settings, ["slurmctld", *_NODES])

    return Plan(live.SLURM, files, notice, act)


def _changed_keys(settings: Settings, name: str) -> set[str]:
    """The keys, in lower case, of the words that differ between the two versions of a file."""
    words = []
    for base in (settings.root, live.former(settings, live.SLURM)):
        file = base / name
        text = file.read_text() if file.is_file() else ""
        lines = [line.split("#")[0].split() for line in text.splitlines()]
        # a word counts with the first of its line: which node, which partition
        words.append({(line[0], word) for line in lines if line for word in line})
    return {word.partition("=")[0].lower() for _, word in words[0] ^ words[1]}


def _reconfigure(settings: Settings) -> None:
    """Tell slurmctld, and wait until its successor serves: the command's own answer comes before that."""
    since = datetime.now(UTC).isoformat()
    compose.run(settings, "exec", "-T", "slurmctld", "scontrol", "reconfigure", timeout=60)
    end = time.monotonic() + _WELL_WITHIN
    while True:
        text = compose.log_text(settings, "--no-log-prefix", "--since", since, "slurmctld")
        if any("Running as primary controller" in line for line in text):
            return
        wrong = [line for line in text if "fatal:" in line]
        if wrong or time.monotonic() > end:
            raise Problem("slurmctld did not take it up.", wrong or text[-8:])
        time.sleep(0.2)


def _condor(settings: Settings, files: list[str], differ: Mapping[str, set[str]]) -> Plan:
    """Each kind of machine whose values differ reads them anew, or restarts where that takes one."""
    machines = {"central-manager": ["condor-cm"], "access-point": ["condor-ap"],
                "execute": ["condor-ep-1", "condor-ep-2"]}  # fmt: skip
    hard: list[str] = []
    for role, names in machines.items():
        if any(name in _CONDOR_RESTART or name.startswith(_CONDOR_RESTART_TOO) for name in differ[role]):
            hard += names
    soft = [name for names in machines.values() for name in names if name not in hard]
    jobs = [name for name in hard if name in machines["execute"]]
    notice = "the pool's daemons read it anew; nobody is logged out, jobs go on"
    if hard:
        notice = f"{', '.join(hard)} restart" + ("; nobody is logged out, jobs go on" if not jobs else "")
    if jobs:
        notice += f": THE JOBS ON {', '.join(jobs)} END, notebooks too"

    def act() -> None:
        since = int(time.time())
        if soft:  # to condor_master, which tells the others; condor_reconfig would need an admin's token
            for name in soft:
                compose.run(settings, "exec", "-T", name, "sh", "-c", _READ_ANEW, timeout=60)
        if hard:
            _restart(settings, hard)
        _work(settings, [*hard, *soft])
        _wait_for_pool(settings, since)

    return Plan(live.CONDOR, files, notice, act)


def _wait_for_pool(settings: Settings, since: int) -> None:
    """Wait until each daemon has told the collector that it has read its configuration after `since`.

    What the collector knows of people is left out: it carries the time of the daemon that told of
    them, and nobody tells of a person anew who has no job any more.
    """
    late_ones = f'DaemonLastReconfigTime < {since} && MyType != "Submitter" && MyType != "Accounting"'
    query = ["condor_status", "-any", "-constraint", late_ones, "-autoformat", "Name"]
    end = time.monotonic() + _WELL_WITHIN
    while True:
        late = compose.run(settings, "exec", "-T", "condor-cm", *query, check=False, timeout=60)
        names = late.stdout.decode(errors="replace").split()
        if late.returncode == 0 and not names:
            return
        if time.monotonic() > end:
            raise Problem(f"These did not take it up: {', '.join(sorted(set(names)))}.")
        time.sleep(0.3)


def _hubs(settings: Settings) -> list[str]:
    away = notices.in_maintenance(settings)
    return [cell for cell in settings.cell_names if cell not in away]


def _one_after_the_other(settings: Settings, names: Iterable[str]) -> None:
    for name in names:
        _restart(settings, [name])


# ---- services -----------------------------------------------------------------------------------


def _here(settings: Settings, part: Part) -> bool:
    """Whether a part belongs to a cluster that runs here."""
    cluster = {live.SLURM: "hpc", live.CONDOR: "htc"}.get(part)
    return cluster is None or cluster in settings.clusters


def _readers(settings: Settings, part: Part) -> set[str]:
    """The services that mount a part's live copy."""
    source = str(live.root(settings) / part.folder)
    parsed = compose.config(settings, "*")["services"]
    return {
        name for name, one in parsed.items() if any(v.get("source") == source for v in one.get("volumes", []))
    }


def _running(settings: Settings) -> set[str]:
    """The services that have started and can tell us of their state; one that falls over has not."""
    return {one.service for one in compose.containers(settings.project) if one.state == "running"}


def _ill(settings: Settings) -> set[str]:
    return {one.service for one in compose.containers(settings.project) if not one.well}


def _restart(settings: Settings, names: list[str]) -> None:
    """Restart services and wait until they are well; raises Problem with the log of one that is not."""
    before = {one.service: one.restarts for one in compose.containers(settings.project)}
    compose.run(settings, "restart", "--no-deps", *names)
    _wait(settings, names, lambda one: one.well, before)


def _work(settings: Settings, names: list[str]) -> None:
    """Wait until services do their job by a health check that is made now, not when the engine looks next."""
    parsed = compose.config(settings)["services"]
    before = {one.service: one.restarts for one in compose.containers(settings.project)}

    def healthy(one: Container) -> bool:
        words = parsed[one.service]["healthcheck"]["test"][1:]
        done = compose.run(settings, "exec", "-T", one.service, *words, check=False, timeout=30)
        return done.returncode == 0

    _wait(settings, names, healthy, before, patient=True)


def _wait(
    settings: Settings,
    names: list[str],
    good: Callable[[Container], bool],
    before: Mapping[str, int],
    *,
    patient: bool = False,
) -> None:
    """Wait for what is good. patient: what the engine last saw of their health may be out of date."""
    end = time.monotonic() + _WELL_WITHIN
    waiting = list(names)
    while True:
        found = {one.service: one for one in compose.containers(settings.project)}
        waiting = [name for name in waiting if name not in found or not good(found[name])]
        if not waiting:
            return
        one = found.get(waiting[0])
        if one is None:
            raise Problem(f"{waiting[0]} has no container any more: `make up` makes it anew.")
        fell = one.restarts - before.get(one.service, 0) >= services.TOO_MANY_RESTARTS
        ended = one.state in {"exited", "dead"}
        if ended or fell or (one.failed and not patient) or time.monotonic() > end:
            _, text = services.describe(one.service, one)
            raise Problem(f"{one.service}: {text}.", compose.last_lines(settings, one.service, 8))
        time.sleep(0.3)
