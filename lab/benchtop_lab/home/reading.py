"""Jupyter reads a person's settings files through here, so that one that cannot be read is left out.

Upstream, one cut-off file of settings is a blank page for ever: the list of all settings fails with it
(jupyterlab#11983). A workspace, a kernel or an extension that cannot be read fails in the same manner, and a
pipe in the place of any of them holds the whole server up. docs/reference/upstream.md has each.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from traitlets.config import Application
from traitlets.config.loader import ConfigError, JSONFileConfigLoader, PyFileConfigLoader

from benchtop_lab import report
from benchtop_lab.home import own, settings
from benchtop_lab.home.log import FOLDER

ASIDE = ".unreadable"  # at the end of the name of a file that is kept, while a new one takes its place
broken: dict[Path, str] = {}  # settings that are programs, and failed as such: what of it was said
_read: list[Path] = []  # such programs that did not fail


def _home() -> Path:
    return Path(os.environ.get("HOME", "/"))


class JsonSettings(JSONFileConfigLoader):
    """Settings in JSON, unless these cannot be read."""

    def _read_file_as_dict(self) -> dict[str, Any]:
        if why := settings.fault(Path(self.full_filename)):
            raise ConfigError(f"{self.full_filename} {why}")
        return super()._read_file_as_dict()


class PythonSettings(PyFileConfigLoader):
    """Settings that are a program. What ends JupyterLab in there is told of by the name of the file."""

    def _read_file_as_dict(self) -> None:
        path, home = Path(self.full_filename), _home()
        if why := settings.fault(path):
            broken[path] = why
            raise ConfigError(f"{path} {why}")
        if not path.is_relative_to(home):
            super()._read_file_as_dict()
            return
        name = own.shown(path, home)
        report.note_why(f"JupyterLab ended while it was reading {name}", os.environ)
        try:
            super()._read_file_as_dict()
        except SystemExit as ending:
            report.note_why(f"{name} ended it ({_ending(ending)})", os.environ)
            raise
        except Exception as error:
            broken[path] = f"fails with {type(error).__name__}: {error}"
            report.note_why("", os.environ)
            raise
        report.note_why("", os.environ)
        _read.append(path)


def _ending(ending: SystemExit) -> str:
    code = ending.code
    return f"“{code}”" if isinstance(code, str) else f"exit code {code or 0}"


def note_failure() -> None:
    """JupyterLab could not be started: if it had read settings that are programs, these may be the cause."""
    folder = os.environ.get(FOLDER, "")
    if _read and not Path(folder, report.WHY).exists():
        names = ", ".join(own.shown(path, _home()) for path in _read)
        report.note_why(f"JupyterLab could not start with what it had read in {names}", os.environ)


def set_aside(path: Path) -> None:
    """Keep a file that cannot be read, before another one takes its name."""
    if settings.fault(path):
        with suppress(OSError):
            path.replace(path.with_name(path.name + ASIDE))


def install() -> None:
    """From now on, everything of Jupyter reads like this."""
    setattr(Application, "json_config_loader_class", JsonSettings)  # noqa: B010 as mypy wants it
    setattr(Application, "python_config_loader_class", PythonSettings)  # noqa: B010
    _sections()
    _kernels()
    _labextensions()
    _lab_settings()
    _workspaces()


def _sections() -> None:
    from jupyter_server.config_manager import BaseJSONConfigManager, recursive_update  # noqa: PLC0415

    def get(self: BaseJSONConfigManager, section_name: str, include_root: bool = True) -> dict[str, Any]:
        paths = sorted(Path(self.directory(section_name)).glob("*.json")) if self.read_directory else []
        if include_root:
            paths.append(Path(self.file_name(section_name)))
        data: dict[str, Any] = {}
        for path in paths:
            with suppress(OSError):
                if not settings.fault(path):
                    recursive_update(data, json.loads(path.read_text() or "{}"))
        return data

    BaseJSONConfigManager.get = get


def _kernels() -> None:
    from jupyter_client import kernelspec  # noqa: PLC0415

    upstream = kernelspec._is_kernel_dir
    kernelspec._is_kernel_dir = lambda path: upstream(path) and not settings.fault(Path(path, "kernel.json"))


def _labextensions() -> None:
    from jupyterlab_server import config  # noqa: PLC0415

    upstream = config.iglob
    config.iglob = lambda pattern: (path for path in upstream(pattern) if not settings.fault(Path(path)))


def _lab_settings() -> None:
    from jupyterlab_server import settings_handler, settings_utils  # noqa: PLC0415

    read, write = settings_utils._get_user_settings, settings_utils.save_settings

    def file_of(folder: str, name: str) -> Path:
        return Path(settings_utils._path(folder, name, False, settings_utils.SETTINGS_EXTENSION))

    def get_user_settings(settings_dir: str, schema_name: str, schema: object) -> object:
        unread = settings.fault(file_of(settings_dir, schema_name))
        return read(os.devnull if unread else settings_dir, schema_name, schema)

    def save_settings(schemas: str, folder: str, name: str, *more: object, **others: object) -> None:
        set_aside(file_of(folder, name))
        write(schemas, folder, name, *more, **others)

    settings_utils._get_user_settings = get_user_settings
    settings_utils.save_settings = settings_handler.save_settings = save_settings


def _workspaces() -> None:
    from jupyterlab_server import workspaces_handler as handler  # noqa: PLC0415

    manager = handler.WorkspacesManager
    load, save, list_one = manager.load, manager.save, handler._load_with_file_times

    def file_of(self: Any, name: str) -> Path:  # noqa: ANN401 upstream's
        return Path(self.workspaces_dir, handler.slugify(name) + handler.WORKSPACE_EXTENSION)

    def load_sound(self: Any, space_name: str) -> Mapping[str, object]:  # noqa: ANN401
        if settings.fault(file_of(self, space_name)):
            return {"data": {}, "metadata": {"id": f"/{space_name.removeprefix('/')}"}}
        found: Mapping[str, object] = load(self, space_name)
        return found

    def save_anew(self: Any, space_name: str, raw: str) -> Path:  # noqa: ANN401
        set_aside(file_of(self, space_name))
        saved: Path = save(self, space_name, raw)
        return saved

    def listed(path: Path) -> Mapping[str, object]:
        if settings.fault(path):
            return {"data": {}, "metadata": {"id": f"/{path.stem}"}}
        found: Mapping[str, object] = list_one(path)
        return found

    manager.load, manager.save, handler._load_with_file_times = load_sound, save_anew, listed
