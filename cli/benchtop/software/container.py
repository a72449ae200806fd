"""An environment that is a container image: built by the host's engine, unpacked on the software area.

No registry is asked: the Dockerfile begins with the base that every image of the facility has, and what comes
out is a folder that Apptainer runs as the person who asks for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchtop.console import Problem, Step
from benchtop.settings import Settings
from benchtop.software import area, index
from benchtop.software.recipes import DOCKERFILE, Recipe
from benchtop.stack import compose
from benchtop.stack.images import Progress

# What is asked of the image before it is a folder
_FACTS = (
    "import json, platform, shutil; session = bool(shutil.which('jupyterhub-singleuser')); "
    "print(json.dumps({'python': platform.python_version(), 'session': session}))"
)


def build(settings: Settings, recipe: Recipe, current: Step) -> None:
    """Build the image of a recipe and unpack it below `.building`; the image goes, the build cache stays."""
    tag = f"{settings.project}/software-{recipe.name}:{recipe.version}"
    _image(settings, recipe, tag, current)
    try:
        asked = compose.docker("run", "--rm", "--network=none", "--entrypoint=", tag, "python3", "-c", _FACTS)
        (area.handed_in(settings) / recipe.name / "facts.json").write_bytes(asked.stdout)
        json.loads(asked.stdout)
        # an image of ours has no command, and none is ever started
        made = compose.docker("create", tag, "true").stdout.decode().strip()
        try:
            current.now("unpacking")
            with subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE) as export:
                area.run(settings, area.SERVICE, "unpack", recipe.name, current=current, stdin=export.stdout)
        finally:
            compose.docker("rm", made)
    finally:
        compose.docker("rmi", tag, check=False)


def _image(settings: Settings, recipe: Recipe, tag: str, current: Step) -> None:
    """Build it as every image is, with the host's CA and index as secrets that stay in no layer."""
    found = index.of_host()
    with tempfile.TemporaryDirectory() as folder:
        pip = Path(folder, "pip.conf")
        pip.write_text(found.pip_conf)
        words = [
            "docker",
            "build",
            "--progress=plain",
            "--tag",
            tag,
            "--file",
            str(recipe.folder / DOCKERFILE),
        ]
        words += ["--build-arg", f"BASE={settings.base}"]
        words += [word for name in index.PROXIES if name in found.variables for word in ("--build-arg", name)]
        words += ["--secret", f"id=ca,src={settings.state / 'host-ca.pem'}", "--secret", f"id=pip,src={pip}"]
        process = subprocess.Popen(
            [*words, str(recipe.folder)],
            env={**os.environ, **found.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        progress = Progress()
        try:
            with (settings.state / "log/software.log").open("a") as out:
                for line in process.stdout or ():
                    out.write(line)
                    progress.read(line.rstrip("\n"))
                    current.now(progress.now())
            code = process.wait()
        finally:
            process.terminate()
    if code:
        what, lines = progress.failure()
        raise Problem(f"Its image could not be built: it failed at {what}.", lines)
