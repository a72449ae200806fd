"""HTMap with a site's defaults, and without what breaks it there: put into it when it is imported.

What the site sets lies beneath what a person sets (~/.htmaprc, HTMAP_DELIVERY_METHOD, htmap.settings,
MapOptions). Each function that stands in for one of HTMap's says what that one gets wrong.
"""

import logging
import os
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from benchtop_batch.maps import words

SITE = Path("/etc/benchtop/htmap.toml")  # what a site sets, in the manner of ~/.htmaprc
DELIVERY = "benchtop"
DEFAULTS: dict[str, Any] = {
    "DELIVERY_METHOD": DELIVERY,
    "WAIT_TIME": 0.1,  # seconds between two looks at a map's log, which is a file in the home
    "MAP_OPTIONS": {"request_memory": "256MB", "request_disk": "100MB"},
}


def mend(htmap: ModuleType, load: Callable[[], None]) -> None:
    """Have HTMap loaded, and put in what is different here."""
    if find_spec("htcondor") is None:
        sentence = words.no_bindings(f"{sys.version_info.major}.{sys.version_info.minor}")
        if Path(sys.argv[0]).name == "htmap":  # its command
            sys.exit(sentence)
        raise ImportError(sentence)
    try:
        load()
    except OSError as error:
        if error.errno in words.FULL:
            raise OSError(error.errno, words.home_is_full()) from None
        raise
    _below(htmap.settings, site_settings(SITE))
    for handler in logging.getLogger("htmap").handlers:
        # where a home is full, each line of the log would show a traceback in the notebook
        handler.handleError = lambda record: None  # type: ignore[method-assign]
    sentences(htmap.exceptions)
    from benchtop_batch.maps import delivery, making, results

    for part in (delivery, making, results):
        part.put_in()


def site_settings(file: Path) -> dict[str, Any]:
    """Ours, and above them those of the site."""
    try:
        return merged(DEFAULTS, tomllib.loads(file.read_text()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logging.getLogger("htmap").warning("%s is not read: %s", file, error)
    return merged(DEFAULTS, {})


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two layers of settings as one."""
    both = dict(below)
    for key, value in above.items():
        inner = both.get(key)
        nested = isinstance(inner, dict) and isinstance(value, dict)
        both[key] = merged(inner, value) if nested else value  # type: ignore[arg-type] # both are
    return both


def _below(settings: Any, ours: dict[str, Any]) -> None:
    """Above HTMap's own defaults, into which it takes its variables, and beneath all else."""
    if "HTMAP_DELIVERY_METHOD" in os.environ:
        del ours["DELIVERY_METHOD"]
    settings.maps.insert(-1, ours)


def sentences(exceptions: ModuleType) -> None:
    """A notebook shows what happened, not where in HTMap; what can happen here has names of its own."""

    def shown(error: BaseException) -> list[str]:
        return [f"\x1b[31m{type(error).__name__}\x1b[0m: {error}"]

    base = exceptions.HTMapException
    base._render_traceback_ = shown
    for name, parents in {
        "CannotBeSent": (base, TypeError),
        "CannotSubmit": (base,),
        "MapComponentRemoved": (exceptions.MapComponentError, exceptions.MapComponentHeld),
        "NeverSubmitted": (base,),
        "NoSpaceLeft": (base, OSError),
    }.items():
        setattr(exceptions, name, type(name, parents, {"__doc__": "", "__module__": exceptions.__name__}))
