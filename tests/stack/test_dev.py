"""`make dev CELL=`: a cell runs the hub of the checkout, follows its changes, and goes back."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.checkout import ROOT, Checkout
from support.hub import Hub
from support.traffic import Traffic
from support.wait import wait_until

pytestmark = pytest.mark.alone  # a hub is away now and then

RELOADS_WITHIN = 3.0  # seconds of work: on a machine with a core to spare, that is what a developer waits
PATIENCE = 240  # seconds, on a busy machine


class Dev:
    """A developer's terminal, in which `make dev` runs."""

    def __init__(self, settings: Settings, cell: str, log: Path) -> None:
        self.settings, self.cell, self.log, self.read = settings, cell, log, 0
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                # what runs in the background of a script ignores Ctrl-C, and hands that on
                ["env", "--default-signal=INT", "make", "dev", f"CELL={cell}"],
                cwd=ROOT,
                env=compose.environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def shows(self, pattern: str) -> str:
        """Wait until something that was not asked for before is on the terminal; the text up to there."""

        def seen() -> str:
            text = self.log.read_text(errors="replace")
            found = re.search(pattern, text[self.read :])
            return text[self.read : self.read + found.end()] if found else ""

        text = wait_until(seen, timeout=PATIENCE, what=f"{pattern!r} in {self.log}")
        self.read += len(text)
        return text

    def reloaded(self) -> float:
        """Wait for the hub that runs the changed code; the seconds of work that it took."""
        text = self.shows(r"the hub runs the code of the checkout \([\d.]+ s, [\d.]+ of them")
        return float(text.split()[-3])

    def leave(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=PATIENCE)

    def mounts(self) -> set[str]:
        """The folders of the checkout that the cell's hub sees."""
        found = compose.docker(
            "inspect", "--format", "{{range .Mounts}}{{println .Source}}{{end}}", self._container()
        )
        return {line for line in found.stdout.decode().split() if line.startswith(f"{ROOT}/hub")}

    def _container(self) -> str:
        return compose.run(self.settings, "ps", "--quiet", self.cell).stdout.decode().strip()


@pytest.fixture
def checkout(settings: Settings) -> Iterator[Checkout]:
    made = Checkout(settings)
    yield made
    made.give_up()


@pytest.mark.alone
def test_a_cell_runs_and_follows_the_checkout_while_sessions_go_on(
    checkout: Checkout, settings: Settings, signed_in: Callable[[str], requests.Session], tmp_path: Path
):
    own = Hub(settings, signed_in("alice"), "alice", settings.clusters[0])
    with sessions.running(own):
        assert own.open().ok
        dev = Dev(settings, own.cell, tmp_path / "terminal")
        try:
            dev.reloaded()
            assert dev.mounts() == {f"{ROOT}/hub", f"{ROOT}/hub/benchtop_hub"}
            with Traffic(own) as traffic:
                checkout.append("hub/benchtop_hub/__init__.py", 'print("this line is new")')
                assert "this line is new" in dev.shows("this line is new")
                assert dev.reloaded() <= RELOADS_WITHIN
                checkout.edit("hub/jupyterhub_config.py", 'FACILITY = "Benchtop"', 'FACILITY = "Workbench"')
                assert dev.reloaded() <= RELOADS_WITHIN
                assert "Workbench" in own.browser.get(f"{own.base}/hub/home", timeout=PATIENCE).text

                checkout.append("hub/benchtop_hub/__init__.py", "nonsense")
                assert "NameError" in dev.shows("the hub goes on with the code that it has")
                checkout.give_up()
                dev.reloaded()
                checkout.append("hub/templates/home.html", "{% nonsense %}")
                assert "hub/templates/home.html:" in dev.shows("the hub goes on with the code that it has")
                assert own.answers(), "the hub of before goes on"
                traffic.goes_on(timeout=PATIENCE)
            assert (traffic.cuts, traffic.failed) == (0, [])
            assert own.ready(), "the session is the cell's as before"
        finally:
            code = dev.leave()
        assert code == -signal.SIGINT, "as every program that a Ctrl-C ends"
        assert "Back to the image's code" in dev.log.read_text()
        assert dev.mounts() == set()
        assert own.ready()


def test_an_unknown_cell_is_refused_with_those_that_there_are(settings: Settings, tmp_path: Path):
    dev = Dev(settings, "nix", tmp_path / "terminal")
    assert dev.process.wait(timeout=PATIENCE) != 0
    text = dev.log.read_text()
    assert "Unknown cell nix" in text
    assert all(cell in text for cell in settings.cell_names)
