"""Somebody's session, and their kernels in it, for as long as a measurement takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchtop.people import enrol
from benchtop.settings import Settings
from figures import until
from starts import PERSON, stop
from support import traffic
from support.hub import Hub


@contextmanager
def session(settings: Settings, cluster: str, options: Mapping[str, object]) -> Iterator[Hub]:
    """Open in their browser; nothing else of its owner's runs there. options: as the form's fields"""
    own = Hub(settings, enrol.login(settings, PERSON), PERSON, cluster)
    stop(own)
    own.start(**options).raise_for_status()
    try:
        until(own.ready, "a session")
        own.open().raise_for_status()
        yield own
    finally:
        stop(own)


def in_new_kernel(own: Hub, code: str, patience: float) -> str:
    """What a cell prints that is the first of its kernel; patience: seconds that it may take."""
    kernel = own.kernel()
    try:
        return traffic.run(own, kernel, code, patience)
    finally:
        own.jupyter("DELETE", f"kernels/{kernel}")
