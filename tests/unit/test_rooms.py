"""Which room of a package may import which: nothing imports back up, and nothing goes round in a circle.

A room is a folder of the package, or a module. The tables are docs/explanation's picture of the house
as a promise: who adds a room says on which floor it is.
"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "benchtop": ROOT / "cli/benchtop",
    "benchtop_hub": ROOT / "hub/benchtop_hub",
    "benchtop_lab": ROOT / "lab/benchtop_lab",
    "benchtop_minter": ROOT / "minter/benchtop_minter",
}
# Package → its floors, from the ground up. A room imports from floors below its own, and within itself.
# A package without floors here is looked at for circles alone.
FLOORS: dict[str, list[set[str]]] = {
    "benchtop": [
        {"console", "topology"},
        {"settings"},
        {"stack"},
        {"host", "keys"},
        {"people"},
        {"config", "software"},
        {"facility", "dev"},
        {"testing"},
        {"cli"},
        {"__main__"},
    ],
    "benchtop_hub": [
        {"errors", "wording"},
        {"upstream"},
        {"access"},
        {"backends"},
        {"sessions"},
        {"api", "pages"},
        {"app"},
        {"__main__", "check"},
    ],
    "benchtop_lab": [],
    "benchtop_minter": [],
}


@cache
def modules(package: str) -> dict[str, Path]:
    """Dotted name → file, for every module of a package."""
    place = PACKAGES[package]
    found = {}
    for file in sorted(place.rglob("*.py")):
        words = (package, *file.relative_to(place).with_suffix("").parts)
        found[".".join(words[:-1] if words[-1] == "__init__" else words)] = file
    return found


def imported(package: str, name: str) -> Iterator[str]:
    """The modules of the same package that a module imports, wherever in it that stands."""
    known, file = modules(package), modules(package)[name]
    here = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(here.split(".")[: len(here.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            for alias in node.names:
                # `from package import module`, or a name out of a module
                whole = f"{source}.{alias.name}"
                if whole in known or source in known:
                    yield whole if whole in known else source


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_in_the_end(package: str):
    graph = {name: set(imported(package, name)) - {name} for name in modules(package)}
    assert any(graph.values()), "the control: something imports something"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(reversed(circle.args[1])))


@pytest.mark.parametrize("package", [package for package, floors in FLOORS.items() if floors])
def test_no_import_runs_back_up(package: str):
    floor = {room: level for level, rooms in enumerate(FLOORS[package]) for room in rooms}
    wrong = []
    for name in modules(package):
        room = name.split(".")[1] if "." in name else ""
        if not room:
            continue
        assert room in floor, f"{package}.{room} has no floor in this file: say which"
        for other in imported(package, name):
            target = other.split(".")[1] if "." in other else room
            if target != room and floor[target] >= floor[room]:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_no_backend_imports_another_one():
    """Who takes one out, or adds one, touches none of the others."""
    backends = {"condor", "container", "login_node", "slurm"}
    inside = "benchtop_hub.backends."

    def backend(name: str) -> str:
        found = name.removeprefix(inside).split(".")[0] if name.startswith(inside) else ""
        return found if found in backends else ""

    pairs = {
        (backend(name), backend(other))
        for name in modules("benchtop_hub")
        for other in imported("benchtop_hub", name)
    }
    assert ("slurm", "") in pairs, "the control"
    assert {(one, other) for one, other in pairs if one and other and one != other} == set()
