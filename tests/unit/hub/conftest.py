"""A JupyterHub of its own for tests of pages, and people whom Apache vouches for."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from benchtop.keys import pki
from benchtop_hub.sessions import start
from standins import OnSlurm, Slurm
from standins import session as made
from support.visitors import ADMIN, SECRET, Visitor
from support.wait import wait_until


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a hub that runs until the last test is over."""
    folder = tmp_path_factory.mktemp("hub")
    for kind in ("key", "pem"):
        shutil.copy(keys / f"sessions-ca.{kind}", folder)
    (folder / "sso.secret").write_text(SECRET)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'hub'}:{root / 'lab'}", "HUB_PORT": str(port)}
    environment |= {"HUB_FOLDER": str(folder)}
    log = folder / "log"
    command = [sys.executable, str(Path(__file__).with_name("little_hub.py"))]
    address = f"http://127.0.0.1:{port}/jupyterhub/hpc/hub"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(f"{address}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            wait_until(answers, timeout=60, what="the hub to answer")
            yield address, folder
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a hub's keys, with those of its sessions CA."""
    folder = tmp_path_factory.mktemp("keys")
    pki.authority(folder, "sessions CA", now=pki.today(), names={"session"})
    for kind in ("key", "pem"):
        (folder / f"ca.{kind}").rename(folder / f"sessions-ca.{kind}")
    return folder


@pytest.fixture
def visitor(hub: tuple[str, Path]) -> Visitor:
    """Somebody whom the hub has never seen: tests share the hub, not its people."""
    return Visitor(hub[0], f"p{secrets.token_hex(4)}")


@pytest.fixture
def admin(hub: tuple[str, Path]) -> Visitor:
    """An administrator, who has no cookie of this hub."""
    return Visitor(hub[0], "erin", ADMIN)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a session is asked as its start waits for it; it answers at once. And nobody waits for long."""
    asked: list[str] = []

    async def fetch(url: str, **_: object) -> SimpleNamespace:
        asked.append(url)
        return SimpleNamespace(status=200, release=lambda: None)

    monkeypatch.setattr(start, "fetch", fetch)
    monkeypatch.setattr(start, "LOOK_EVERY", 0.01)
    return asked


@pytest.fixture
def slurm() -> Slurm:
    """Slurm with one job, told by the test what to say."""
    return Slurm()


@pytest.fixture
def session(slurm: Slurm, keys: Path, answers: list[str]) -> OnSlurm:
    """Alice's on that Slurm."""
    return made(OnSlurm, slurm, keys=keys)
