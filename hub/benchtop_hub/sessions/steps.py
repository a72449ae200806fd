"""How long each step of a start took: for the log, where an admin sees what people waited for."""

import time
from collections.abc import Callable


class Steps:
    """Stops the time from one step to the next; each ends once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the first step. clock: seconds."""
        self._clock = clock
        self._at = clock()
        self._took: dict[str, int] = {}

    def ended(self, step: str) -> None:
        """A step is over, and the next one begins; that it was over before is no news."""
        if step not in self._took:
            now = self._clock()
            self._took[step] = round(1000 * (now - self._at))
            self._at = now

    def __str__(self) -> str:
        """Like `submit_ms=120 queue_ms=310`."""
        return " ".join(f"{step}_ms={took}" for step, took in self._took.items())
