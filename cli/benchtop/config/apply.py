"""Make changed configuration live: checked first, announced, and undone where it does not do well.

What changed is what differs from the live copy (live.py); each part knows how it is judged and what makes
it live. `make up` does the same for what runs already.
"""

from __future__ import annotations

from benchtop.config import live, restart
from benchtop.config.apache import APACHE
from benchtop.config.condor import CONDOR
from benchtop.config.directory import DIRECTORY
from benchtop.config.hub import HUB
from benchtop.config.part import Part, Plan
from benchtop.config.people import PEOPLE
from benchtop.config.realm import REALM
from benchtop.config.slurm import SLURM
from benchtop.config.theme import THEME
from benchtop.console import Problem, log, say, step
from benchtop.people.roster import People
from benchtop.settings import Settings

# In the order in which they are made live: who may do what, before the services that go by it.
PARTS: tuple[Part, ...] = (DIRECTORY, PEOPLE, REALM, THEME, SLURM, CONDOR, HUB, APACHE)


def settle(settings: Settings) -> None:
    """Before a start: take the checkout's files for whatever does not run, which then starts with them.

    What runs keeps what it has, until `bring_in`; but for what starts anew with a new image, whose code and
    configuration belong together.
    """
    running = restart.running(settings) - restart.outdated(settings)
    for part in PARTS:
        if live.missing(settings, part) or (
            part.folder and not running & restart.readers(settings, part.folder)
        ):
            live.adopt(settings, part)
            live.end(settings, part)


def changes(settings: Settings) -> dict[Part, list[str]]:
    """The parts that are not live as they are in the checkout, with the files that differ."""
    unfinished = live.unfinished(settings)
    found = {part: live.changed(settings, part) for part in PARTS if _is_here(settings, part)}
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
                plans.append(part.check(settings, found[part], everybody))
        for plan in plans:
            say(f"  {plan.part.name}: {plan.notice}")
        for plan in plans:
            others = [each.part for each in plans if each.part.name == plan.part.takes_along]
            _make_live(settings, plan, [plan.part, *others])
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
            plan.make_live()
    except Problem as problem:
        _go_back(settings, plan, parts, problem)
    live.end(settings, part)


def _go_back(settings: Settings, plan: Plan, parts: list[Part], problem: Problem) -> None:
    """Take up again what was live before; raises what went wrong and how to give the change up."""
    part = plan.part
    for each in parts:
        live.restore(settings, each)
    try:
        with step(f"Rolling back {part.name}"):
            part.go_back(settings, plan)
    except Problem as worse:
        raise Problem(
            f"The change to {part.name} failed, and rolling it back failed too: {worse} "
            "See `make status`; `make up` repairs what it can.",
            [str(problem), *problem.details, *worse.details],
        ) from problem
    for each in parts:
        live.end(settings, each)
    raise Problem(
        f"The change to {part.name} failed and was rolled back; the previous configuration is live again. "
        f"Fix it and run `make apply` again, or discard it: git checkout -- {' '.join(plan.files)}",
        [str(problem), *problem.details],
    ) from problem


def _is_here(settings: Settings, part: Part) -> bool:
    """Whether a part belongs to a cluster that runs here."""
    return not part.cluster or part.cluster in settings.clusters
