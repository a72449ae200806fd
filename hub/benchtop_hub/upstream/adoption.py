"""What a hub that was restarted goes on with: starts that were cut off, and sessions that ran.

A start that a restart of the hub cut off goes on: its job keeps its place in the queue.

Upstream knows starts and running servers. After a restart it takes one that was being started for a running
one, asks it for its page, gets no answer and ends it, a minute later and without a word. Here the start goes
on where it was, and to everybody who asks, it is a start like any other: the waiting page goes on, Stop ends
it, and when it fails, it says why.
"""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.metrics import RUNNING_SERVERS
from sqlalchemy import inspect

from benchtop_hub.upstream import ending


def begin(spawner: Any) -> None:  # noqa: ANN401 upstream's own has no types
    """Go on with this start; to be called as the spawner is made, before anybody else can ask for one."""
    spawner._spawn_pending = True
    spawner._spawn_future = asyncio.get_running_loop().create_task(_finish(spawner))
    spawner._spawn_future.add_done_callback(partial(_over, spawner))


def keep(spawner: Any) -> None:  # noqa: ANN401
    """Look after a session that ran before the restart, by what the scheduler says of its job.

    Upstream asks for its page first, and ends a session that shows none within a minute. One that is
    suspended shows none.
    """
    spawner.add_poll_callback(ending.end_server, spawner.user, spawner.name)
    spawner.start_polling()


async def _finish(spawner: Any) -> None:  # noqa: ANN401
    """What upstream does around a spawner's start()."""
    user, name = spawner.user, spawner.name
    try:
        where, server = urlsplit(await spawner.resume()), spawner.server
        server.proto, server.ip, server.port = where.scheme, where.hostname, where.port
        spawner.orm_spawner.state = spawner.get_state()
        inspect(spawner.orm_spawner).session.commit()
        spawner.start_polling()
        await user.settings["proxy"].add_user(user, name)
        spawner.add_poll_callback(ending.end_server, user, name)
        RUNNING_SERVERS.inc()
    except Exception:
        await user.stop(name)
        raise


def _over(spawner: Any, task: "asyncio.Task[None]") -> None:  # noqa: ANN401
    """As upstream has it: an error is kept, for the page that shows it."""
    if task.cancelled() or task.exception() is None:
        spawner._spawn_future = None
    spawner._spawn_pending = False
