"""The first process of a container that is somebody's session: `python -I -m benchtop_lab.container`.

It looks after the session as on a login node (login_node/keeper.py): its memory, its time, whether its owner
may still be here. An engine that runs without root can limit memory on some kernels only, and time on none.
When this process ends, the kernel ends all else in the container.
"""

import json
import os
import signal
from collections.abc import MutableMapping
from typing import NoReturn

from benchtop_lab.login_node.keeper import Session
from benchtop_lab.login_node.request import Asked

LIMITS = "BENCHTOP_CONTAINER"  # of the environment: hub/benchtop_hub/backends/container/description.py
# By which the hub knows how it ended; a session that ends by itself has a status of its own
STATUS = {"COMPLETED": 0, "TIMEOUT": 124, "OUT_OF_MEMORY": 125}
# Of one that was told to end: by the hub, or because its owner may not be here any more
STOPPED, LEFT = 0, 123


def asked_for(env: MutableMapping[str, str]) -> Asked:
    """What is to be started, by the environment, which loses what is not the session's.

    Raises request.Refused, KeyError and ValueError for what no hub has sent.
    """
    limits = json.loads(env.pop(LIMITS))
    return Asked.read(json.dumps({"env": dict(env), "home": env["HOME"], **limits}))


def main() -> int:
    """Until nothing is left of the session; how it ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    session = Session(asked_for(os.environ), "of this container")
    state, reason = session.see_out()
    if state == "CANCELLED":
        status = STOPPED if session.stopped else LEFT
    else:
        status = STATUS.get(state, session.status or 1)
    print(f"the session ended: {state} {reason}".rstrip(), flush=True)
    return status


def run() -> NoReturn:
    """As a program."""
    os._exit(main())


if __name__ == "__main__":
    run()
