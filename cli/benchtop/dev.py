"""Run one cell's hub from the checkout, for whoever changes the hub: `make dev CELL=hpc-1`.

A second Compose file lays the checkout's hub/ over the package and the configuration of the image; Compose
makes only this container anew. Sessions go on, as with every restart of a hub. Any other start of the cell
(`make up`, the end of this verb) goes by compose.yaml alone, and so is back at what the image has.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import watchfiles

from benchtop.console import Problem, log, say, step
from benchtop.settings import Settings
from benchtop.stack import cells, compose, notices, services

_PACKAGE = "import benchtop_hub; print(benchtop_hub.__path__[0])"
_CONFIGURATION = "/etc/jupyterhub"
# Milliseconds: how long a burst of saves is taken for one change, and how often one is looked for
_BURST, _LOOK = 200, 50


def run(settings: Settings, cell: str) -> None:
    """Run CELL from the checkout until Ctrl-C, and start its hub anew after each change."""
    cells.require_known(settings, cell)
    if cell in notices.in_maintenance(settings):
        raise Problem(f"{cell} is out of service: bring it back first with `make cell-start CELL={cell}`.")
    file = _override(settings, cell)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the end of a terminal is a Ctrl-C, too
    try:
        with step(f"Starting {cell} from hub/ of this checkout"):
            _start(settings, cell, "--file", "compose.yaml", "--file", str(file))
        say("  Save a file below hub/: it is checked, and the hub restarts with it; sessions keep running.")
        say("  A mistake is shown, and the hub keeps the code it had. Ctrl-C returns to the image's code.")
        log.info("dev cell=%s", cell)
        _follow(settings, cell)
    except KeyboardInterrupt:
        say()
    finally:
        file.unlink(missing_ok=True)
        say(f"Back to the image's code; if you stop this too, `make up` does it. What {cell} had is in hub/.")
        services.start(settings, only=(cell,))


def _override(settings: Settings, cell: str) -> Path:
    """Write what differs from compose.yaml: the checkout's files, and who starts the hub from them."""
    running = _container(settings, cell)
    package = compose.run(settings, "exec", "-T", cell, "python", "-c", _PACKAGE).stdout.decode().strip()
    (image,) = json.loads(compose.docker("image", "inspect", running.image).stdout)
    health = compose.config(settings)["services"][cell]["healthcheck"]["test"][1:]
    hub = settings.root / "hub"
    service = {
        "entrypoint": ["python", f"{_CONFIGURATION}/reloader.py", *image["Config"]["Entrypoint"]],
        "environment": {"HEALTH_CHECK": " ".join(health)},
        # of two mounts at one place, the later file's counts
        "volumes": [f"{hub}:{_CONFIGURATION}:ro", f"{hub / 'benchtop_hub'}:{package}:ro"],
    }
    file = settings.state / "dev" / f"{cell}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"services": {cell: service}}, indent=1))
    return file


def _start(settings: Settings, cell: str, *files: str) -> None:
    compose.run(settings, *files, "up", "--detach", "--no-deps", "--no-build", cell)


def _container(settings: Settings, cell: str) -> compose.Container:
    for each in compose.containers(settings.project):
        if each.service == cell and each.state == "running":
            return each
    raise Problem(f"{cell} is not running: `make up` starts it.")


def _follow(settings: Settings, cell: str) -> None:
    """Show the hub's log, and tell its reloader of each change, until the container is another one."""
    container = _container(settings, cell).id
    words = ["docker", "logs", "--follow", container]
    shown = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)  # Ctrl-C is ours
    try:
        for changes in watchfiles.watch(
            settings.root / "hub", debounce=_BURST, step=_LOOK, rust_timeout=1000, yield_on_timeout=True
        ):
            if shown.poll() is not None:
                raise Problem(f"Another command has restarted {cell}: run `make dev CELL={cell}` again.")
            if changes:
                names = sorted({str(Path(name).relative_to(settings.root)) for _, name in changes})
                say(f"{time.strftime('%H:%M:%S')} changed: {', '.join(names)}")
                compose.docker("kill", "--signal", "HUP", container)
    finally:
        shown.terminate()
        shown.wait()
