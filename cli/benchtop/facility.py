"""Start, show and remove the facility."""

from __future__ import annotations

import contextlib
import html
import shutil
import sys
from pathlib import Path

import click
from rich.markup import escape

from benchtop import topology
from benchtop.config import apply, live
from benchtop.config.people import PEOPLE
from benchtop.console import OUT, Problem, say, step
from benchtop.host import base_image, doctor, egress, engine
from benchtop.keys import changed, secrets
from benchtop.people import accounts
from benchtop.people.roster import PEOPLE_GID, People
from benchtop.settings import Settings
from benchtop.software import area, publish
from benchtop.stack import cells, compose, images, notices, services, session_image


def up(settings: Settings) -> None:
    """Bring the facility up, whatever state it is in; changes nothing where nothing is to do.

    First everything that only looks, then what changes the machine; each part can be interrupted
    and is taken up where it was by the next call.
    """
    doctor.require(doctor.gather(settings))
    everybody = accounts.load(settings)
    if engine.ensure_running():  # an engine that was just started revives containers of its own
        doctor.require(doctor.gather(settings))
    cells.refuse_moves(settings)
    base_image.ensure(settings)
    foreign = doctor.foreign_data(settings)
    if foreign:
        raise Problem(foreign.fix)
    apply.settle(settings)
    images.write_host_ca(settings)
    secrets.keep_host_network(settings, egress.prepare(settings))
    changed.note(settings, secrets.ensure(settings))
    accounts.prepare(settings, everybody)
    notices.prepare(settings)
    session_image.prepare(settings)
    images.build(settings, *session_image.profiles(settings))
    apply.settle(settings)
    if stale := services.stale_networks(settings):
        say(f"Recreating networks, for which everything stops: {', '.join(stale)}")
        down(settings)
        if stuck := services.stale_networks(settings):
            raise Problem(
                f"Containers that are not the facility's hold its network {stuck[0]}: "
                f"`docker network inspect {settings.project}_{stuck[0]}` names them. Stop them, "
                "then run `make up` again."
            )
    running = {one.service for one in compose.containers(settings.project) if one.state == "running"}
    cells.leave_out(settings)
    # people before everything else: no node or minter is well as long as it knows nobody
    services.start(settings, only=("ldap", topology.ENGINE) if settings.engine else ("ldap",))
    accounts.apply(settings, everybody, "ldap")
    changed.take_up(settings, running)
    finish_image = session_image.begin(settings)
    services.start(settings)
    finish_image()
    accounts.apply(settings, everybody, "slurmctld")
    accounts.enrol_missing(settings, everybody)
    live.adopt(settings, PEOPLE)
    apply.bring_in(settings, everybody)
    welcome(settings, everybody)
    publish.by_default(settings)


def down(settings: Settings) -> None:
    """Stop the facility; every volume stays."""
    require_engine()
    with step("Stopping the facility") as current:
        # Jobs end with their nodes. Slurm, which stops too, would not miss them for minutes when it is back;
        # a node that comes back takes jobs again by itself (ReturnToService).
        away = ("scontrol", "update", "NodeName=ALL", "State=DOWN", "Reason=stopped")
        with contextlib.suppress(Problem):  # one that does not answer stops like any other
            compose.run(settings, "exec", "-T", "slurmctld", *away, check=False, timeout=30)
        compose.run(settings, "--profile", "*", "down", "--remove-orphans")
        current.outcome = "all data is kept; `make up` brings it back"


def clean(settings: Settings, *, yes: bool, images_too: bool, all_too: bool) -> None:
    """Remove the facility with its data and secrets; the CA stays unless `all_too`."""
    require_engine()
    what = f"everything of {settings.project}: its homes, databases, people's passwords and keys"
    if not yes:
        if not sys.stdin.isatty():
            raise Problem(f"`make clean` removes {what}. To skip this question: `make clean YES=1`.")
        click.confirm(f"Remove {what}?", abort=True)
    with step("Removing the facility and its data") as current:
        compose.run(settings, "--profile", "*", "down", "--volumes", "--remove-orphans")
        for name in ("secrets", "private", "notices", "live", "live-before", "software", "egress", "engine"):
            _remove(settings.state / name)
        if images_too:
            built = compose.docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{settings.project}/*")
            for image in built.stdout.decode().split():
                compose.docker("rmi", image)
            (settings.state / "built.json").unlink(missing_ok=True)
        if all_too:
            _remove(settings.state / "ca")
        elif (settings.state / "ca").is_dir():
            current.outcome = "the CA that browsers trust is kept (ALL=1 removes it too)"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def require_engine() -> None:
    """Raise Problem where no engine answers; unlike `up`, nothing else wants one to be started."""
    if not engine.look():
        raise Problem(
            engine.verdict() or "The container engine is not running: `make up` starts it and the facility."
        )


def status(settings: Settings) -> bool:
    """Print one line a service; whether all is well."""
    require_engine()
    found = {one.service: one for one in compose.containers(settings.project)}
    names = list(compose.config(settings)["services"])
    names += [name for name in found if name not in names]
    stopped = notices.in_maintenance(settings)
    rows = [(name, *services.describe(name, found.get(name))) for name in names]
    away = {name for cell in stopped for name in topology.services_of(cell)}
    rows = [
        (name, True, "out of service") if name in away else (name, well, text) for name, well, text in rows
    ]
    width = max(len(name) for name in names)
    for name, well, text in rows:
        mark = "[green]✓[/green]" if well else "[red]✗[/red]"
        OUT.print(f"{mark} {name:<{width}}  {escape(text)}")
    ill = sum(not well for _, well, _ in rows)
    if found:
        _print_cells(settings, stopped)
    if published := area.remembered(settings):
        labels = ", ".join(f"{name} {entry['version']}" for name, entry in published.items())
        OUT.print(f"  environments  {escape(labels)}\n")
    announced = notices.announced(settings)
    if announced.message:
        OUT.print(f"  announced {notices.in_words(announced.since)}: {escape(announced.message)}\n")
    if len(found) == 0:
        say("The facility is down: `make up` starts it.")
    elif ill:
        say(
            f"{ill} of {len(rows)} services are not healthy: `make logs SERVICE=…` shows why, "
            "and `make up` repairs what it can."
        )
    else:
        say(f"All {len(rows)} services are healthy: {settings.url}")
    return ill == 0


def _print_cells(settings: Settings, stopped: dict[str, str]) -> None:
    """One line a cell: how many people it knows, and whose servers it has."""
    try:
        seen = cells.look(settings, settings.cell_names)
    except Problem as problem:
        say(str(problem))
        return
    OUT.print()
    for cell in seen:
        sessions = _count(len(cell.servers), "session", "sessions")
        whose = f": {', '.join(map(str, cell.servers))}" if cell.servers else ""
        text = f"{_count(cell.people, 'person', 'people')}, {sessions}{whose}"
        if cell.name in stopped:
            text += f"; out of service: {html.unescape(stopped[cell.name])}"
        OUT.print(f"  cell {cell.name}  {escape(text)}")
    OUT.print()


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def logs(settings: Settings, names: list[str]) -> None:
    """Show the end of the logs, and follow them when a person watches."""
    require_engine()
    for name in names:
        _known(settings, name)
    if sys.stdout.isatty():
        compose.replace(settings, "logs", "--tail", "200", "--follow", *names)
    for line in compose.log_text(settings, "--tail", "200", *names):
        click.echo(line)


def shell(settings: Settings, service: str | None, person: str | None) -> None:
    """Become a shell inside a service, or one of a person on the login node of their cluster."""
    require_engine()
    terminal = [] if sys.stdin.isatty() else ["--no-TTY"]
    if person:
        everybody = accounts.load(settings)
        one = everybody.people.get(person)
        if one is None:
            raise Problem(f"Unknown user “{person}”: see `make people`.")
        if person in everybody.confined:
            advice = "confined people have no shell on a login node. Use a terminal in a session of theirs"
            raise Problem(f"{person} is in a confined group, and {advice}.")
        node = next((f"{cluster}-login" for cluster in one.clusters if cluster in settings.clusters), None)
        if node is None:
            raise Problem(
                f"{person} may use no cluster that runs here, so there is no login node to open a shell on."
            )
        # the engine's own --user knows the image's passwd alone, in which no person is
        become = ["setpriv", f"--reuid={person}", f"--regid={PEOPLE_GID}", "--init-groups"]
        home = ["env", f"HOME=/home/{person}", f"USER={person}", f"LOGNAME={person}"]
        words = ["--workdir", f"/home/{person}", node, *become, *home, "bash", "--login"]
        compose.replace(settings, "exec", *terminal, *words)
    if not service:
        raise Problem("Name a service, `make shell SERVICE=slurmctld`, or a person, `make shell USER=alice`.")
    _known(settings, service)
    compose.replace(settings, "exec", *terminal, service, "sh", "-c", "exec bash || exec sh")


def _known(settings: Settings, service: str) -> None:
    names = compose.config(settings, "*")["services"]
    if service not in names:
        raise Problem(f"Unknown service {service}. Services: {', '.join(names)}.")


def make_live(settings: Settings) -> None:
    """Make what changed in the checkout's configuration live, in a facility that is up."""
    everybody = accounts.load(settings)
    require_engine()
    if live.missing(settings, PEOPLE):
        raise Problem("The facility has never been started: `make up` starts it with the files as they are.")
    away = {name for cell in notices.in_maintenance(settings) for name in topology.services_of(cell)}
    well = {one.service for one in compose.containers(settings.project) if one.well}
    ill = sorted(set(compose.config(settings)["services"]) - well - away)
    if ill:
        raise Problem(f"Some services are not healthy ({', '.join(ill)}): run `make up` first.")
    if apply.bring_in(settings, everybody):
        say("All changes are live.")
    else:
        say("Nothing to apply: the live configuration matches the checkout.")


def welcome(settings: Settings, everybody: People) -> None:
    """What a person wants to know when the facility is up."""
    OUT.print()
    OUT.print(f"[bold]The facility is up: {settings.url}[/bold]")
    OUT.print()
    OUT.print(accounts.table(settings, everybody))
    OUT.print()
    say("One-time code:  make otp USER=alice")
    say("Trust its CA:   make trust           (until then the browser warns of an unknown certificate)")
    say("Try first:      log in as alice, choose partition debug and one pascal GPU, start, and run")
    say("                !nvidia-smi in a notebook. make status and make help show what else there is.")
