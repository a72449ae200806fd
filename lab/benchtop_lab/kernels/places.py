"""Where a person's kernels are, beside what Jupyter looks through by itself.

First what the facility's map says of their groups and of the Slurm account of their session, last the
environments of the software area that they may see on this cluster. All of it is read anew whenever somebody
asks: what is published is there at the next look.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from benchtop_lab import software
from benchtop_lab.groups import own_groups
from benchtop_lab.session.environment import ACCOUNT

MAP = Path("/etc/benchtop/kernel-paths.yaml")
CLUSTER = "BENCHTOP_CLUSTER"  # of the environment

log = logging.getLogger("benchtop.kernels")


def read_map(path: Path = MAP) -> Mapping[str, Mapping[str, list[str]]]:
    """Group and account → folders of Jupyter's data; nothing of what cannot be read, which the log names."""
    try:
        return _read_map(path, path.stat().st_mtime_ns)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("%s is not used: %s", path, error)
        return {}


@lru_cache(maxsize=1)
def _read_map(path: Path, changed: int) -> Mapping[str, Mapping[str, list[str]]]:
    import yaml  # noqa: PLC0415 the server has loaded it already, and no other program waits for it

    try:
        content = yaml.safe_load(path.read_text())
    except (ValueError, yaml.YAMLError) as error:
        log.warning("%s is not used: %s", path, error)
        return {}
    found: dict[str, dict[str, list[str]]] = {}
    for kind in ("groups", "accounts"):
        rules = content.get(kind) if isinstance(content, dict) else None
        for pattern, paths in (rules if isinstance(rules, dict) else {}).items():
            if (
                isinstance(pattern, str)
                and isinstance(paths, list)
                and all(isinstance(p, str) for p in paths)
            ):
                found.setdefault(kind, {})[pattern] = paths
            else:
                log.warning("%s: the entry %r of %s is not used", path, pattern, kind)
    return found


def mapped(rules: Mapping[str, list[str]], names: Iterable[str]) -> list[Path]:
    """The folders of those rules that fit one of the names, each once, in the order of the rules."""
    found: dict[Path, None] = {}
    every = list(names)
    for pattern, paths in rules.items():
        for name in every:
            try:
                fits = re.fullmatch(pattern, name)
                for path in paths if fits else ():
                    found[Path(fits.expand(path) if fits else path)] = None
            except re.error as error:
                log.warning("%s: the rule %r is not used: %s", MAP, pattern, error)
                break
    return list(found)


def shared(env: Mapping[str, str], rules: Path = MAP) -> list[Path]:
    """The folders of kernels that groups and accounts have for this person, those that go first first."""
    known = read_map(rules)
    accounts = [env[ACCOUNT]] if env.get(ACCOUNT) else []
    found = [*mapped(known.get("groups", {}), own_groups()), *mapped(known.get("accounts", {}), accounts)]
    return [folder / "kernels" for folder in found]


def published(env: Mapping[str, str], root: Path = software.AREA) -> list[Path]:
    """The folders of kernels of the environments that this person may see here."""
    return [data / "kernels" for data in _data(env, root)]


def widgets(env: Mapping[str, str], root: Path = software.AREA) -> list[Path]:
    """The folders of what those kernels need in JupyterLab's page to show something: ipywidgets, ipympl.

    Files for a browser alone, nothing that a server runs. Where two environments have the same, JupyterLab
    takes the first. They are of the versions of this moment, as the session's own environment is.
    """
    return [folder for data in _data(env, root) if (folder := data / "labextensions").is_dir()]


def _data(env: Mapping[str, str], root: Path) -> list[Path]:
    offered = software.environments(root, groups=own_groups(), cluster=env.get(CLUSTER, ""))
    return [environment.data for environment in offered]
