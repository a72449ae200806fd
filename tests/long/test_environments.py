"""Each environment that the facility ships does what it is for, in a session of each cluster."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from benchtop.settings import Settings
from benchtop.software import publish
from support import sessions
from support.batch import Batch
from support.computations import COMPUTATIONS
from support.hub import Hub
from support.notebooks import Shown, run_cells, run_notebook
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long, pytest.mark.together("environments")]

NOTEBOOKS = Path(__file__).parents[2] / "lab/notebooks"
MEMORY = 2000  # MB: ROOT and XGBoost take a third of that, and a kernel ends before the next begins
OFFERED = 60  # seconds until what was published is known in a session
ERRORS = 3  # how many of its own errors a fitted value may be away from the truth
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?"
PLACES = [
    pytest.param(
        (cluster, person), id=cluster, marks=pytest.mark.needs(f"{cluster}/{person}", throughout=True)
    )
    for cluster, person in {"hpc": "carol", "htc": "bob"}.items()
]


@pytest.fixture(scope="module", autouse=True)
def published(settings: Settings) -> None:
    """All of them are there; where they were before, this takes seconds."""
    publish.publish(settings)


@pytest.fixture(scope="module", params=PLACES)
def own(
    request: pytest.FixtureRequest,
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    published: None,
) -> Iterator[Hub]:
    """Somebody's session, which all tests of one cluster share."""
    cluster, person = request.param
    worker = Hub(settings, signed_in(person), person, cluster)
    sessions.end(worker)
    sessions.begin(worker, memory=MEMORY)
    yield worker
    sessions.end(worker)
    Batch(settings, cluster).clear(person)


def offers(own: Hub, kernel: str) -> bool:
    """Is it among the kernels of the Launcher?"""
    return kernel in own.jupyter("GET", "kernelspecs").json()["kernelspecs"]


@pytest.mark.parametrize("kernel", COMPUTATIONS)
def test_each_kernel_does_a_real_computation(own: Hub, kernel: str):
    wait_until(lambda: offers(own, kernel), timeout=OFFERED, what=f"the kernel {kernel} to be offered")
    cell, printed = COMPUTATIONS[kernel]
    assert [shown.stdout for shown in run_cells(own, kernel, [cell])] == [printed]


def test_a_notebook_of_cpp_fits_a_histogram_and_draws_it(own: Hub, settings: Settings):
    shown = run_notebook(own, NOTEBOOKS / "root-canvas.ipynb")
    values = re.findall(rf"(\w+) ({NUMBER}) \+- ({NUMBER})", "\n".join(cell.stdout for cell in shown))
    found = {name: (float(value), float(error)) for name, value, error in values}
    for name, truth in {"mean": 6.0, "width": 1.0}.items():
        value, error = found[name]
        assert abs(value - truth) < ERRORS * error, name
    keep(settings, "root-canvas", shown)


def test_a_notebook_of_python_finds_what_a_landau_smeared_by_noise_was_made_of(own: Hub, settings: Settings):
    shown = run_notebook(own, NOTEBOOKS / "root-landau-gauss.ipynb")
    printed = "\n".join(cell.stdout for cell in shown)
    assert "status 0," in printed
    values = re.findall(rf"(\w+): ({NUMBER}) ± ({NUMBER}), true ({NUMBER})", printed)
    assert [name for name, *_ in values] == ["width", "location", "area", "noise"]
    for name, value, error, truth in values:
        assert 0 < float(error) < 0.05 * float(truth), name
        assert abs(float(value) - float(truth)) < ERRORS * float(error), name
    keep(settings, "root-landau-gauss", shown)


def keep(settings: Settings, name: str, shown: list[Shown]) -> None:
    """Each notebook draws one picture, which the documentation can show."""
    (picture,) = [drawn for cell in shown for drawn in cell.pictures]
    assert picture.startswith(b"\x89PNG")
    folder = settings.root / ".benchtop/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(picture)
