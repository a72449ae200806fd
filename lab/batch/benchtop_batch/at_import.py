"""Mend somebody else's package when it is imported, so that who does not import it pays nothing.

A site may have each Python load this as it begins: it has to be small, and so does what it imports. A mender
has one function, `mend(module, load)`: it calls `load` to have the module made, and changes what it likes.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # not typing's: loading typing would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

MENDERS = {
    "dask_jobqueue": "benchtop_batch.dask.jobqueue",
    "distributed": "benchtop_batch.dask.protect",
    "htmap": "benchtop_batch.maps.mended",
    "htmap.cli": "benchtop_batch.maps.command",
}


class _Loader:
    """Loads a module by its own loader, with a mender round it."""

    def __init__(self, own: Any, mender: str) -> None:
        self._own = own
        self._mender = mender

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._own.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__:
            module.__spec__.loader = self._own
        from importlib import import_module

        import_module(self._mender).mend(module, lambda: self._own.exec_module(module))

    def __getattr__(self, name: str) -> Any:  # of whoever looks for its source
        return getattr(self._own, name)


class _Finder:
    """Finds what is to be mended where it is found anyway."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in MENDERS:
            return None
        from importlib.machinery import PathFinder

        found = PathFinder.find_spec(name, path, target)
        if found and found.loader:
            found.loader = _Loader(found.loader, MENDERS[name])  # type: ignore[assignment]
        return found


def begin() -> None:
    """Mend dask_jobqueue, distributed and htmap where they are imported from now on; once is enough."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
