"""Whether a session is used is what the session itself says, and nothing else; who ends one that is not."""

import sys

CULLER = "idle-culler"  # the service that ends sessions without use


def culler(idle_after: int, look_every: int, oldest: int, report_every: int) -> list[str]:
    """The command of the service that ends sessions without use; all in seconds, 0 is never.

    A hub that was away for hours knows of no use meanwhile. So each session may report twice before the
    culler, which looks as soon as it is started, is.
    """
    options = [f"--timeout={idle_after or 10**9}", f"--cull-every={look_every}", f"--max-age={oldest}"]
    pause = 2 * report_every + 15  # upstream's pause after a report that failed
    # A shell that just sleeps hears of its end when it has slept, and the hub waits ten seconds for that.
    begin = f'trap exit INT TERM; sleep {pause} & wait $!; trap - INT TERM; exec "$@"'
    return ["/bin/sh", "-c", begin, "sh", sys.executable, "-m", "jupyterhub_idle_culler", *options]
