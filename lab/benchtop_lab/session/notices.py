"""When the session ends: what the page that says so has to know.

Nothing but the standard library, so that it is tested without a server.
"""

from collections.abc import Mapping
from datetime import datetime

WARNINGS = (300, 60)  # seconds before the end of the runtime
IDLE_WARNING = 300  # seconds before a session that nobody uses is stopped


def notices(environment: Mapping[str, str], *, now: float, used: datetime) -> dict[str, object]:
    """When the session ends: `ends` with its runtime, `idle_until` without use; null where it does not.

    environment: BENCHTOP_ENDS is set by the job's script, BENCHTOP_IDLE_AFTER by the hub
    used:        when it was last used
    """
    ends, idle = environment.get("BENCHTOP_ENDS"), int(environment.get("BENCHTOP_IDLE_AFTER") or 0)
    return {
        "now": now,
        "ends": int(ends) if ends else None,
        "warnings": WARNINGS,
        "idle_until": used.timestamp() + idle if idle else None,
        "idle_warning": min(IDLE_WARNING, idle // 2),
    }
