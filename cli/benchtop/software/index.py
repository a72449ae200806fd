"""Where this host gets Python packages from, for those who install in its place.

No tracked file names an index: what the host's own pip and uv would use is handed to the build container when
it runs, and so are its proxies. pip says itself what it would use (`pip config list`: files and variables).
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchtop.console import log

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# uv's own variables, which go on as they are
_OF_UV = (
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_TIMEOUT",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_NO_INDEX",
)
# What pip calls it → what uv calls it, and what stands between several
_FROM_PIP = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "no-index": ("UV_NO_INDEX", " "),
}


@dataclass(frozen=True)
class Index:
    """What a build is handed: variables for uv, the same for pip, and folders of this host with packages."""

    variables: Mapping[str, str]
    pip_conf: str
    folders: tuple[Path, ...]


def of_host(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Index:
    """What pip and uv of this host would use; where both have an opinion, uv's."""
    environ = os.environ if environ is None else environ
    pip = {key: value.split() for key, value in _pip(environ).items()}
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # as pip does; a hash decides what is taken
    variables |= {_FROM_PIP[key][0]: _FROM_PIP[key][1].join(words) for key, words in pip.items() if words}
    variables |= _uv(Path.home() if home is None else home)
    variables |= {name: environ[name] for name in _OF_UV if environ.get(name)}
    if proxy := " ".join(pip.get("proxy", [])):
        variables |= {name.lower(): proxy for name in ("HTTP_PROXY", "HTTPS_PROXY")}
    for name in PROXIES:
        if value := environ.get(name.lower()) or environ.get(name):
            variables |= {name: value, name.lower(): value}
    links = variables.get("UV_FIND_LINKS", "").split(",")
    folders = tuple(Path(link) for link in links if link.startswith("/") and Path(link).is_dir())
    kept = {key: " ".join(words) for key, words in pip.items() if key in _FROM_PIP and words}
    if "UV_DEFAULT_INDEX" in variables:
        kept["index-url"] = variables["UV_DEFAULT_INDEX"]
    conf = "\n".join(
        ["[global]", *(f"{key} = {value}" for key, value in kept.items() if key != "find-links")]
    )
    return Index(variables, f"{conf}\n", folders)


def _pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Pip's settings by their long names; of several places the one that pip would follow."""
    words = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(words, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode:  # a Python without pip: its variables are still there
        log.info("pip config list exited %d: %s", done.returncode, done.stderr.strip())
        pairs = [
            (f":env:.{name[4:].lower().replace('_', '-')}", environ[name])
            for name in environ
            if name[:4] == "PIP_"
        ]
        lines = {key: value for key, value in pairs if key.removeprefix(":env:.") in {*_FROM_PIP, "proxy"}}
    else:
        lines = dict(_pairs(done.stdout))
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        keys = {key.removeprefix(section): value for key, value in lines.items() if key.startswith(section)}
        found |= {key: value for key, value in keys.items() if key in {*_FROM_PIP, "proxy"}}
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        try:
            pairs.append((key, str(ast.literal_eval(value))))
        except (ValueError, SyntaxError):
            log.info("pip config list said something else: %s", key)
    return pairs


def _uv(home: Path) -> dict[str, str]:
    """What uv's own configuration file says of indexes: the person's, else the machine's."""
    for file in (home / ".config/uv/uv.toml", Path("/etc/uv/uv.toml")):
        try:
            content = tomllib.loads(file.read_text())
        except (OSError, ValueError):
            continue
        found: dict[str, str] = {}
        if isinstance(url := content.get("index-url"), str):
            found["UV_DEFAULT_INDEX"] = url
        others = [*content.get("extra-index-url", [])]
        for entry in content.get("index", []):
            if entry.get("default"):
                found["UV_DEFAULT_INDEX"] = str(entry["url"])
            else:
                others.append(str(entry["url"]))
        if others:
            found["UV_INDEX"] = " ".join(others)
        if links := content.get("find-links"):
            found["UV_FIND_LINKS"] = ",".join(links)
        return found
    return {}
