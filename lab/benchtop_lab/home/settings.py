"""A person's settings files: can each of them be read?

What cannot is left out by whoever reads it (reading.py), and told of in JupyterLab. A file may be cut off,
empty, binary or huge, and a folder or a pipe may stand in its place.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LARGEST = 1 << 20  # bytes of a settings file
LARGEST_WITH_COMMENTS = 200_000  # … of one that is no plain JSON: json5 takes a second for so much
MOST, PATIENCE = 1000, 3.0  # files that are looked at, and seconds
PLACES = (".jupyter", ".jupyter/lab", ".ipython", ".local", ".local/share", ".local/share/jupyter")
CUSTOMIZE = ".local/lib/python3*/site-packages/*customize.py"  # Python reads these as it begins
FILES = (
    ".jupyter/*.py",
    ".jupyter/*.json",
    ".jupyter/*.d/*.json",
    ".jupyter/labconfig/*.json",
    ".jupyter/labconfig/*.d/*.json",
    ".jupyter/lab/user-settings/**/*.jupyterlab-settings",
    ".jupyter/lab/workspaces/**/*.jupyterlab-workspace",
    ".local/share/jupyter/kernels/*/kernel.json",
    ".local/share/jupyter/labextensions/[!@]*/package.json",
    ".local/share/jupyter/labextensions/@*/*/package.json",
    ".ipython/kernels/*/kernel.json",
    ".ipython/profile_default/*_config.py",
    ".ipython/profile_default/*_config.json",
    ".ipython/profile_default/startup/*.py",
    CUSTOMIZE,
)


def fault(path: Path) -> str:
    """What is wrong with a settings file, as the end of a sentence; "" for nothing, and for no file."""
    try:
        text = _read(path)
    except FileNotFoundError:
        return f"is a link to {path.readlink()}, which does not exist" if path.is_symlink() else ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "is not text"
    except ValueError as wrong:
        return str(wrong)
    return _fault_of_python(text) if path.suffix == ".py" else _fault_of_json(path, text)


def _read(path: Path) -> str:
    """Its text. Raises OSError, and ValueError with the end of a sentence; never waits for a writer."""
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise ValueError("is a folder, not a file")
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("is not a file, but a pipe or a device")
    if about.st_size > LARGEST:
        raise ValueError(f"is too large ({about.st_size / 1e6:.0f} MB)")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return file.read(LARGEST).decode()


def _fault_of_python(text: str) -> str:
    try:
        compile(text, "settings", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"is not Python: {error.msg}, line {error.lineno}"
    except (ValueError, RecursionError, MemoryError):
        return "is not Python"
    return ""


def _fault_of_json(path: Path, text: str) -> str:
    if not text.strip():
        return "is empty" if path.name in _SHAPES or path.suffix == ".jupyterlab-workspace" else ""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix != ".jupyterlab-settings":
            return f"is not JSON: {error}"
        if len(text) > LARGEST_WITH_COMMENTS:
            return "is too large for one with comments"
        try:
            content = _json5(text)
        except (ValueError, RecursionError) as wrong:
            return f"is not JSON: {str(wrong).removeprefix('<string>:')}"
    if not isinstance(content, dict):
        return "is not a JSON object ({…})"
    shape = _SHAPES.get(path.name) or _SHAPES.get(path.suffix) or _SHAPES.get(path.parent.name)
    return shape(content) if shape else ""


def _json5(text: str) -> object:
    import json5  # noqa: PLC0415 JupyterLab's, and seldom needed

    return json5.loads(text)


def _objects(content: dict[str, Any], *names: str) -> str:
    wrong = [name for name in names if not isinstance(content.get(name, {}), dict)]
    return f"has a “{wrong[0]}” that is not a JSON object ({{…}})" if wrong else ""


def _texts(content: dict[str, Any], *names: str) -> str:
    wrong = [name for name in names if not isinstance(content.get(name), str)]
    return f"has no “{wrong[0]}”" if wrong else ""


def _workspace(content: dict[str, Any]) -> str:
    wrong = [name for name in ("data", "metadata") if not isinstance(content.get(name), dict)]
    return f"has no “{wrong[0]}”" if wrong else ""


def _kernel(content: dict[str, Any]) -> str:
    words = content.get("argv")
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        return "has no “argv”, the command of its kernel"
    return _objects(content, "env", "metadata") or _texts({"display_name": "", **content}, "display_name")


def _labextension(content: dict[str, Any]) -> str:
    lab = content.get("jupyterlab", {})
    said = _texts(content, "name", "version") or _objects(content, "jupyterlab", "dependencies")
    if said or "_build" not in lab:
        return said
    return _objects(lab, "_build") or _texts(lab["_build"], "load")


def _server(content: dict[str, Any]) -> str:
    return _objects(content, "ServerApp") or _objects(content.get("ServerApp", {}), "jpserver_extensions")


def _page(content: dict[str, Any]) -> str:
    return _objects(content, "disabledExtensions", "deferredExtensions", "lockedExtensions")


_SHAPES: dict[str, Callable[[dict[str, Any]], str]] = {
    "kernel.json": _kernel,
    "package.json": _labextension,
    "page_config.json": _page,
    "page_config.d": _page,
    "default_setting_overrides.json": lambda content: _objects(content, *content),
    "jupyter_server_config.json": _server,
    "jupyter_server_config.d": _server,
    ".jupyterlab-workspace": _workspace,
}


def fault_of_place(place: Path) -> str:
    """What keeps a folder of settings from being used; "" for nothing, and for no folder."""
    try:
        if not place.is_dir():
            if place.is_symlink() and not place.exists():
                return f"is a link to {place.readlink()}, which does not exist"
            return "is not a folder" if place.exists() else ""
        if not os.access(place, os.R_OK | os.X_OK):
            return f"has permissions that do not let you in (mode {place.stat().st_mode & 0o7777:04o})"
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return ""


def faults(home: Path) -> dict[Path, str]:
    """All settings files and folders of a home that cannot be read, with what is wrong.

    Of more than MOST files, or after PATIENCE seconds, the rest is not looked at.
    """
    found = {home / name: why for name in PLACES if (why := fault_of_place(home / name))}
    end = time.monotonic() + PATIENCE
    for number, path in enumerate(_files(home)):
        if number >= MOST or time.monotonic() > end:
            break
        if why := fault(path):
            found[path] = why
    return found


def _files(home: Path) -> Iterator[Path]:
    for pattern in FILES:
        try:
            yield from sorted(home.glob(pattern))
        except OSError:  # a folder that lets nobody in: fault_of_place says so
            continue
