"""Messages that a notebook loses while its hub is killed with -9, and how long the hub is away."""

import time

from benchtop.settings import Settings
from figures import Figure, until
from support.facility import kill
from support.hub import Hub
from support.traffic import Traffic


def measure(settings: Settings, own: Hub) -> list[Figure]:
    """Cells all the time, from before the kill until after the hub is back; `own` has a session."""
    with Traffic(own) as work:
        began = time.monotonic()
        kill(settings, own.cell)
        until(lambda: not own.answers(), "the hub to be away", timeout=30)
        until(own.answers, "the hub to be back")
        took = time.monotonic() - began
        work.goes_on(timeout=30, cells=50)
    lost = len(work.failed) + work.cuts
    own.jupyter("DELETE", f"kernels/{work.kernel}")
    return [
        Figure(f"hub killed with -9: failed of {work.answered + lost} messages", str(lost), bar="0", aim="0"),
        Figure("the same: until the hub serves its people again", f"{took:.1f} s", bar="≤ 30 s"),
    ]
