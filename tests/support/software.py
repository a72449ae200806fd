"""Environments on the software area of a facility that runs, as tests need them: real, and made in a second.

What `make software` builds takes minutes. These have the facility's own packages beside a Python of their
own.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchtop.settings import Settings
from support.homes import Home
from support.software_examples import about

# A virtual environment that finds the packages of the facility's JupyterLab, and is none of its own otherwise
_VENV = """\
python3 -m venv --without-pip "$1" || exit
packages="$(echo "$1"/lib/python3*/site-packages)"
mkdir -p "$1/share/jupyter" "$1/etc/jupyter"
ln -s /opt/lab/share/jupyter/lab "$1/share/jupyter/lab"
cp -r /opt/lab/etc/jupyter/jupyter_server_config.d "$1/etc/jupyter/"
"""
WITH_LAB = _VENV + 'echo /opt/lab/lib/python3*/site-packages >"$packages/facility.pth"\n'
WITHOUT_ANYTHING = _VENV
# All that ipykernel needs, and neither JupyterLab nor JupyterHub
WITH_KERNEL = (
    _VENV
    + 'for path in /opt/lab/lib/python3*/site-packages/*; do case "$path" in\n'
    + "*/jupyterlab*|*/jupyterhub*|*/jupyter_server*|*/benchtop*) ;;\n"
    + '*) ln -s "$path" "$packages/" ;; esac; done\n'
)
# An image of the node's own system, as far as a Python and a shell need it, with the same packages
_IMAGE = """\
root="$1/rootfs"
mkdir -p "$root/usr/local/share/jupyter" "$root/usr/local/etc/jupyter"
for path in home software tmp var/tmp opt/lab etc/benchtop dev proc sys run; do mkdir -p "$root/$path"; done
cd /
tar -cf - bin sbin lib lib64 usr/bin usr/lib64 usr/lib/python3* usr/lib/*-linux-gnu etc | tar -C "$root" -xf -
packages="$root/usr/local/lib/$(basename "$(readlink -f /usr/bin/python3)")/dist-packages"
mkdir -p "$packages"
echo /opt/lab/lib/python3*/site-packages >"$packages/facility.pth"
ln -s /opt/lab/share/jupyter/lab "$root/usr/local/share/jupyter/lab"
cp -r /opt/lab/etc/jupyter/jupyter_server_config.d "$root/usr/local/etc/jupyter/"
"""
_KERNEL = """\
mkdir -p "$1/share/jupyter/kernels/$2"
cp /opt/lab/share/jupyter/kernels/python3/logo-* "$1/share/jupyter/kernels/$2/"
printf %s "$3" >"$1/share/jupyter/kernels/$2/kernel.json"
printf %s "$4" >"$1/environment.json"
chmod -R a+rX "$1/.."
"""


@dataclass(frozen=True)
class Area:
    """The software area of a facility."""

    settings: Settings

    def publish(self, name: str, version: str, **more: object) -> None:
        """A version of an environment, from which a session can be started; it is the current one."""
        folder = f"/software/{name}/{version}"
        title = str(more.get("title", name.title()))
        image = more.get("kind") == "container"
        inside = ["/usr/local/bin/benchtop-container", f"{folder}/rootfs", "python3"]
        python = inside if image else [f"{folder}/bin/python"]
        spec = {
            "argv": [*python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": title, "language": "python",
            "metadata": {"benchtop": {"environment": name, "version": version, "title": title}},
        }  # fmt: skip
        content = about(f"{name}/{version}", more)
        self.run(
            (_IMAGE if image else WITH_LAB) + _KERNEL, folder, name, json.dumps(spec), json.dumps(content)
        )
        self.switch(name, version)

    def switch(self, name: str, version: str) -> None:
        """Make another version the current one."""
        self.run('ln -sfn "$2" "$1/.new" && mv -T "$1/.new" "$1/current"', f"/software/{name}", version)

    def remove(self, *paths: str) -> None:
        """Whatever is there."""
        self.run('cd /software && rm -rf -- "$@"', *paths)

    def run(self, script: str, *words: str) -> None:
        """A shell script, by whoever may write there."""
        volume = f"{self.settings.project}_software:/software"
        image = f"{self.settings.project}/slurm-node"
        options = ["--rm", "--network=none", "--user=root", "--entrypoint=sh", f"--volume={volume}"]
        subprocess.run(
            ["docker", "run", *options, image, "-c", script, "sh", *words], check=True, capture_output=True
        )


@contextmanager
def published(settings: Settings, name: str, version: str, **more: object) -> Iterator[Area]:
    """An environment that is there meanwhile."""
    area = Area(settings)
    area.remove(name)
    area.publish(name, version, **more)
    try:
        yield area
    finally:
        area.remove(name)


def own_environment(home: Home, name: str, script: str) -> str:
    """A virtual environment in somebody's home; its path, as they write it."""
    home.remove(name)
    home.run(f'set -- "$HOME/$1"\n{script}', name)
    return f"~/{name}"
