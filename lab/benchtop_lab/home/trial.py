"""Which of a person's own programs of settings fail, found by trying each: for who does without them.

A file of a shell or of Jupyter may be well-formed and end whatever reads it. So each is read once more, as
its owner, by a shell or a Python of its own, which has a few seconds.
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from benchtop_lab.home import own, settings

PATIENCE = 5.0  # seconds of each
_DONE = "benchtop: read to the end"
_BASH = f". \"$1\" >/dev/null 2>&1; echo '{_DONE}'"
_PROGRAM = f"import runpy, sys; runpy.run_path(sys.argv[1]); print({_DONE!r})"
_PYTHON = f"""
import sys
from traitlets.config.loader import PyFileConfigLoader
PyFileConfigLoader(sys.argv[1]).load_config()
print({_DONE!r})
"""
JUPYTER = tuple(f".jupyter/jupyter_{name}.py" for name in ("config", "server_config", "lab_config"))
IPYTHON = tuple(f".ipython/profile_default/{name}_config.py" for name in ("ipython", "ipython_kernel"))


def failing(home: Path) -> dict[Path, str]:
    """Those that end, hold up or fail whoever reads them, with the end of a sentence about each."""
    found = {}
    for name in own.SHELL_FILES:
        found[home / name] = _tried(home / name, ["/bin/bash", "--norc", "--noprofile", "-c", _BASH, "bash"])
    for path in home.glob(settings.CUSTOMIZE):
        found[path] = _tried(path, [sys.executable, "-I", "-c", _PROGRAM])
    for name in (*JUPYTER, *IPYTHON):
        found[home / name] = _tried(home / name, [sys.executable, "-I", "-c", _PYTHON])
    return {path: why for path, why in found.items() if why}


def _tried(path: Path, command: list[str]) -> str:
    if not path.is_file():
        return ""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("JUPYTERHUB_", "BENCHTOP_"))
    }
    process = subprocess.Popen(
        [*command, str(path)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True, text=True, errors="replace",
    )  # fmt: skip
    try:
        printed, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"does not come to an end within {PATIENCE:.0f} seconds"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if _DONE in printed:
        return ""
    code = process.returncode
    return f"ends whatever reads it ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
