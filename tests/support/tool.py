"""The host tool, as an admin uses it."""

import subprocess
import sys

from benchtop.settings import Settings
from benchtop.stack import compose


def run_tool(settings: Settings, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run a verb, whatever becomes of it; changed: settings of the environment."""
    environment = {**compose.environment(settings), "PYTHONPATH": str(settings.root / "cli"), **changed}
    return subprocess.run(
        [sys.executable, "-m", "benchtop", *words],
        cwd=settings.root, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def tool_prints(settings: Settings, *words: str) -> str:
    """What a verb that must succeed prints."""
    done = run_tool(settings, *words)
    assert done.returncode == 0, f"benchtop {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout
