"""Build the environments of recipes and publish them on the software area: `make software`.

Everything happens in containers, and this tool says in which order: judge all recipes, build one below
`.building`, start its kernels, and only then move it to its place and point `current` at it. What fails on
the way is never visible, and what is left of it goes when the next build begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchtop.console import Problem, Step, log, say, step
from benchtop.keys import secrets
from benchtop.people import accounts
from benchtop.settings import Settings
from benchtop.software import area, container, groups, recipes
from benchtop.software.area import Full, Published
from benchtop.software.recipes import Recipe
from benchtop.stack import images

LOCK = "software.lock"  # of `.benchtop`: whoever has it may change the area


def publish(settings: Settings, names: Sequence[str] = (), folder: Path | None = None) -> None:
    """Build and publish the environments `names` (all, where none is named) that are not there yet.

    folder: where the recipes are, if not in the checkout
    Raises Problem before anything is built where a recipe is wrong or a version exists with other content.
    One that cannot be built keeps no other from being published; what went wrong is raised at the end.
    """
    wanted = judge(settings, names, folder)
    with secrets.locked(settings, LOCK):  # of two who build at once, the second one waits, and finds it done
        prepare(settings)
        there = area.look(settings)
        refuse_other_content(wanted.values(), there)
        missing = [recipe for recipe in wanted.values() if _current(there, recipe) != recipe.version]
        failures = []
        for recipe in missing:
            try:
                _bring(settings, recipe, built=recipe.version in there.get(recipe.name, Published()).versions)
            except Full:
                raise
            except Problem as problem:
                log.error("%s: %s", recipe.label, problem)
                failures.append(problem)
        if folder is None:
            groups.hand_in(settings)
        area.remember(settings, area.look(settings) if missing else there)
    if failures:
        raise _together(failures)
    if not missing:
        say(f"Nothing to build: {', '.join(recipe.label for recipe in wanted.values()) or 'no recipe'}.")


def _current(there: Mapping[str, Published], recipe: Recipe) -> str:
    """The version that is current of the environment of a recipe."""
    return there.get(recipe.name, Published()).current


def judge(settings: Settings, names: Sequence[str] = (), folder: Path | None = None) -> dict[str, Recipe]:
    """The recipes of `names`, after all of the folder were judged: two may be in each other's way."""
    everybody = accounts.load(settings)
    found = recipes.load(folder or settings.root / recipes.FOLDER, everybody.groups)
    groups.judge(settings, everybody.groups)
    for name in names:
        if name not in found:
            there = ", ".join(found) or "there is none yet"
            raise Problem(f"There is no recipe of an environment “{name}” in {recipes.FOLDER} ({there}).")
    return {name: found[name] for name in names or found}


def prepare(settings: Settings) -> None:
    """Have what every run in the build container needs: its image, and folders to mount."""
    images.write_host_ca(settings)
    area.handed_in(settings).mkdir(parents=True, exist_ok=True)
    images.build(settings, "software", only=(area.SERVICE,))


def refuse_other_content(wanted: Iterable[Recipe], there: Mapping[str, Published]) -> None:
    """Raise Invalid where a version is published that was built from something else."""
    changed = [
        recipe
        for recipe in wanted
        if there.get(recipe.name, Published()).versions.get(recipe.version, recipe.digest) != recipe.digest
    ]
    if changed:
        raise recipes.Invalid(
            "A version that is published never changes: sessions run in it. Nothing was built.",
            [
                f"{recipe.line_of('version')}: {recipe.label} is published with other content: "
                "give the changed recipe another version"
                for recipe in changed
            ],
        )


def _bring(settings: Settings, recipe: Recipe, *, built: bool) -> None:
    """Build a version, try it, and make it current; one that is built already, or was once, only the last."""
    area.hand_in(settings, recipe)
    with step(f"Publishing {recipe.label}") as current:
        try:
            if not built:
                _build(settings, recipe, current)
                area.run(settings, area.TRIAL, "try", recipe.name, current=current)
            area.run(settings, area.SERVICE, "publish", recipe.name, current=current)
        except Full as full:
            area.run(settings, area.SERVICE, "discard")  # others need the space now
            raise Full(
                f"There is no space left to build {recipe.label}, and nothing of it is visible. Make room "
                "where the engine keeps its volumes, then run `make software` again.",
                full.details,
            ) from full
        except Problem as problem:
            raise Problem(
                f"{recipe.label} was not published: {problem} The log is .benchtop/log/software.log.",
                problem.details,
            ) from problem
        current.outcome = "current" if built else "built, tried and current"


def _build(settings: Settings, recipe: Recipe, current: Step) -> None:
    if recipe.described.kind == "container":
        container.build(settings, recipe, current)
    else:
        area.run(settings, area.SERVICE, "build", recipe.name, current=current, online=True)


def _together(failures: list[Problem]) -> Problem:
    if len(failures) == 1:
        return failures[0]
    lines = [line for problem in failures for line in (str(problem), *problem.details[-4:])]
    return Problem(f"{len(failures)} environments were not published.", lines)


def remove(settings: Settings, what: str) -> None:
    """Remove an environment (NAME) or one version of it (NAME/VERSION); sessions that run in it lose it."""
    with secrets.locked(settings, LOCK), step(f"Removing {what}"):
        prepare(settings)
        area.run(settings, area.SERVICE, "remove", what)
        area.remember(settings, area.look(settings))


def by_default(settings: Settings) -> None:
    """Publish the environments of the setting BENCHTOP_SOFTWARE, as far as that is possible now.

    Raises nothing: a facility without them is one that works. What is missing is said, and what to do.
    """
    try:
        everything = judge(settings)
        found = everything if settings.software == ALL else judge(settings, settings.software)
        names = list(found) if settings.software else []
        wanted = {name: found[name].digest for name in names}
        if wanted and not area.remembers(settings, wanted):
            publish(settings, names)
        if rest := [name for name in everything if name not in area.remembered(settings)]:
            say(f"Environments:   make software builds those that are not there yet: {', '.join(rest)}")
            say(f"                make software ENV={rest[0]} builds one")
    except Problem as problem:
        log.error("%s", problem)
        say(f"Not all environments are there: {problem}")
        for line in problem.details:
            say(f"  {line}")
        say("Everything else works. `make software` tries again.")


ALL = ("all",)
