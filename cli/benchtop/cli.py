"""The verbs of `benchtop`; `make VERB` calls them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click

from benchtop import console, facility, testing
from benchtop.console import Problem
from benchtop.host import base_image, doctor, engine
from benchtop.host import trust as trusting
from benchtop.people import accounts
from benchtop.settings import Settings
from benchtop.software import publish
from benchtop.stack import cells, compose, notices

# A full disk, a file of somebody else: not the tool's mistake
BEYOND_US = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}

FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
pass_settings = click.make_pass_decorator(Settings)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Build, start, show and remove a Jupyter analysis facility on this machine."""
    settings = Settings.load(root())
    console.keep_log(settings.state / "log")
    console.log.info("benchtop %s", " ".join(sys.argv[1:]))
    context.obj = settings


def root() -> Path:
    """The checkout: where bootstrap.py says, else the one that this file belongs to."""
    return Path(os.environ.get("BENCHTOP_ROOT") or Path(__file__).parents[2]).resolve()


@cli.command()
@pass_settings
def up(settings: Settings) -> None:
    """Build and start the facility, or bring it back; a second run changes nothing."""
    facility.up(settings)


@cli.command()
@pass_settings
def down(settings: Settings) -> None:
    """Stop it and keep all data."""
    facility.down(settings)


@cli.command()
@click.option("--yes", is_flag=True, help="do not ask")
@click.option("--images", is_flag=True, help="remove the images that were built here too")
@click.option("--all", "all_too", is_flag=True, help="remove the CA too, which browsers may trust")
@pass_settings
def clean(settings: Settings, yes: bool, images: bool, all_too: bool) -> None:
    """Remove the facility, its data and its secrets, after asking."""
    facility.clean(settings, yes=yes, images_too=images, all_too=all_too)


@cli.command()
@pass_settings
def apply(settings: Settings) -> None:
    """Check changed configuration and make it live; what is wrong is refused, and nothing changes."""
    facility.make_live(settings)


@cli.command()
@pass_settings
def status(settings: Settings) -> None:
    """Each service: healthy, or what is wrong with it; exit 0 only when all is well."""
    if not facility.status(settings):
        sys.exit(1)


@cli.group("cell")
def cell_group() -> None:
    """Take a cell out of service, and back; `benchtop status` lists them."""


@cell_group.command("stop")
@click.argument("cell")
@click.option("--message", default="", help="what its people read meanwhile, and until when")
@pass_settings
def cell_stop(settings: Settings, cell: str, message: str) -> None:
    """Stop the hub and the proxy of CELL; its people get a page with the message, their jobs keep running."""
    facility.require_engine()
    cells.stop(settings, cell, message)


@cell_group.command("start")
@click.argument("cell")
@pass_settings
def cell_start(settings: Settings, cell: str) -> None:
    """Bring CELL back into service, with the servers that it had."""
    facility.require_engine()
    cells.start(settings, cell)


@cli.command("dev")
@click.argument("cell")
@pass_settings
def dev_command(settings: Settings, cell: str) -> None:
    """Run the hub of CELL from the checkout, reloaded at each change, until Ctrl-C."""
    from benchtop import dev  # noqa: PLC0415 - only this verb needs to watch files

    facility.require_engine()
    dev.run(settings, cell)


@cli.command()
@click.argument("message", default="")
@click.option("--clear", is_flag=True, help="show nothing any more")
@pass_settings
def announce(settings: Settings, message: str, clear: bool) -> None:
    """Show MESSAGE on every page of the facility, in place of what was announced before."""
    if clear:
        notices.clear(settings)
    else:
        notices.announce(settings, message)


@cli.command("software")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--recipes", "folder", type=FOLDER, help="read the recipes from this folder")
@click.option("--remove", metavar="NAME[/VERSION]", help="remove an environment, or one version of it")
@pass_settings
def software_command(
    settings: Settings, names: tuple[str, ...], folder: Path | None, remove: str | None
) -> None:
    """Build and publish the environments NAME… (or all) whose recipes' versions are not published yet."""
    facility.require_engine()
    if remove is not None:
        publish.remove(settings, remove)
    else:
        publish.publish(settings, names, folder)


@cli.command()
@click.argument("services", nargs=-1)
@pass_settings
def logs(settings: Settings, services: tuple[str, ...]) -> None:
    """Show the end of the logs of SERVICES (or of all); on a terminal, follow them."""
    facility.logs(settings, list(services))


@cli.command()
@click.option("--service", help="open it in this service")
@click.option("--user", "person", help="open it as this person, on the login node of their cluster")
@pass_settings
def shell(settings: Settings, service: str | None, person: str | None) -> None:
    """Open a shell in a service, or as a person on a login node."""
    facility.shell(settings, service, person)


@cli.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="as JSON, for a program")
@pass_settings
@click.pass_context
def people(context: click.Context, settings: Settings, as_json: bool) -> None:
    """The demo people, their passwords and clusters."""
    if context.invoked_subcommand:
        return
    everybody = accounts.load(settings)
    if as_json:
        click.echo(accounts.as_json(settings, everybody))
    else:
        console.OUT.print(accounts.table(settings, everybody))


@people.command()
@click.argument("name")
@pass_settings
def reset(settings: Settings, name: str) -> None:
    """Forget NAME's second factor and open sessions: the next login shows the QR code again."""
    from benchtop.people import keycloak  # noqa: PLC0415 - slow to import, and only this verb needs it

    _person(settings, name)
    keycloak.reset(settings, name)


@cli.command()
@click.argument("name")
@pass_settings
def otp(settings: Settings, name: str) -> None:
    """Print the one-time code of NAME right now."""
    from benchtop.people import enrol  # noqa: PLC0415 - likewise

    _person(settings, name)
    click.echo(enrol.code(settings, name))


@cli.command()
@click.option("--install", is_flag=True, help="do it here: Chromium's store, and as root the system's")
@pass_settings
def trust(settings: Settings, install: bool) -> None:
    """How to make a browser or this machine trust the facility's CA."""
    trusting.trust(settings, install=install)


@cli.command("doctor")
@pass_settings
def check(settings: Settings) -> None:
    """Check this machine; each failure says what to do."""
    findings = doctor.examine(doctor.gather(settings))
    doctor.report(findings)
    if any(finding.fix for finding in findings):
        sys.exit(1)


@cli.group("engine", invoke_without_command=True)
@click.pass_context
def engine_group(context: click.Context) -> None:
    """Use the container engine that is there, or install and start one."""
    if not context.invoked_subcommand:
        found = engine.ensure()
        click.echo(f"Docker {found.version} with Compose {found.compose}")


@engine_group.command("stop")
def engine_stop() -> None:
    """Stop the engine, if it is one that we started without an init system."""
    engine.stop()


@cli.command("base")
@click.option("--renew", is_flag=True, help="make it anew, for the latest security updates")
@pass_settings
def base_command(settings: Settings, renew: bool) -> None:
    """Make the base image: pulled by digest, or by mmdebstrap where no registry answers."""
    base_image.ensure(settings, renew=renew)


@cli.command("test")
@click.argument("suites", nargs=-1, metavar="[SUITE…]")
@click.option("-k", "keyword", help="only tests whose name matches, as with pytest -k")
@click.option("--shuffle", metavar="SEED", help="in another order, which the same seed gives again")
@click.option("--workers", type=click.IntRange(1), help="how many run side by side: by default 4 a core")
@pass_settings
def test_command(
    settings: Settings, suites: tuple[str, ...], keyword: str | None, shuffle: str | None, workers: int | None
) -> None:
    """Prove that it works: lint, unit, stack, browser, security, or the SUITEs that are named."""
    sys.exit(testing.run(settings, list(suites), keyword, shuffle, workers))


@cli.command()
@click.option("--rounds", default=20, show_default=True, help="how often each start is measured")
@pass_settings
def bench(settings: Settings, rounds: int) -> None:
    """Measure the facility that is up, each figure beside its floor; writes docs/benchmarks.md."""
    sys.exit(_beside_the_tests(settings, "bench", "--rounds", str(rounds), "--write"))


@cli.command()
@click.option("--rounds", default=200, show_default=True, help="how many sessions are started")
@click.option("--seed", default="", help="that of an earlier run: for the same rounds again")
@pass_settings
def soak(settings: Settings, rounds: int, seed: str) -> None:
    """Start, stop and kill sessions while hubs and schedulers restart; 0 only when nothing is left over."""
    words = ["--rounds", str(rounds), *(["--seed", seed] if seed else [])]
    sys.exit(_beside_the_tests(settings, "-m", "support.soak", *words))


def _beside_the_tests(settings: Settings, *words: str) -> int:
    """Run a program that has the facility, the browser and more in common with the tests; its exit code."""
    facility.require_engine()
    testing.install(settings)
    environment = compose.environment(settings)
    testing.prepare(settings, environment)
    paths = [environment.get("PYTHONPATH", ""), "hub", "tests"]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=settings.root, env=environment, check=False).returncode


def _person(settings: Settings, name: str) -> None:
    """Raise Problem for a name that is not one of the people."""
    if not name:
        raise Problem("Name a user, for example USER=alice.")
    if name not in accounts.load(settings).people:
        raise Problem(f"Unknown user “{name}”: see `make people`.")


def main() -> None:
    """Run a verb; what went wrong is told as a sentence, with the traceback in the log only."""
    try:
        cli(standalone_mode=False)
    except Problem as problem:
        console.log.error("%s", problem)
        console.complain(problem)
        sys.exit(1)
    except click.exceptions.Abort:  # Ctrl-C, or “no” to a question
        console.ERR.print("Stopped. Run the same command again to continue.")
        sys.exit(130)
    except KeyboardInterrupt:
        console.ERR.print("Stopped. Run the same command again to continue.")
        sys.exit(130)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except Exception as wrong:
        console.log.exception("unexpected")
        if isinstance(wrong, OSError) and wrong.errno in BEYOND_US:
            console.complain(Problem(f"{wrong}: free some space or fix the permissions, then try again."))
            sys.exit(1)
        console.ERR.print(
            "[bold red]The tool itself failed; this is a bug, not your mistake.[/bold red] "
            "Details are at the end of .benchtop/log/benchtop.log."
        )
        sys.exit(1)
