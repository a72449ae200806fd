"""One line in a notebook that changes; in a terminal, what it says when it says something else."""

import html
import sys
import time
from typing import Any

BETWEEN = 0.3  # seconds between two changes
BEFORE = 8  # of a terminal's line


class Line:
    """Begun with the first thing that it shows."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._text = ""
        self._when = 0.0

    def show(self, text: str, done: int = 0, total: int = 0, *, last: bool = False) -> None:
        """Say this instead; last: now, whatever was said a moment ago. total: of a bar, 0 for none"""
        now = time.monotonic()
        if text == self._text or (not last and now - self._when < BETWEEN):
            return
        self._text, self._when = text, now
        if not in_notebook():
            print(text, file=sys.stderr, flush=True)
            return
        shown = Shown(text, done, total)
        if self._handle is None:
            from IPython.display import display  # noqa: PLC0415 in a notebook it is there

            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


class Shown:
    """What a notebook shows, and keeps when it is saved."""

    def __init__(self, text: str, done: int, total: int) -> None:
        self._text, self._done, self._total = text, done, total

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{self._total}" aria-hidden="true"></progress> '
        return f'{bar if self._total > 1 else ""}<span role="status">{html.escape(self._text)}</span>'


def in_notebook() -> bool:
    """Does this run in a kernel?"""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
