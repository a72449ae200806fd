"""How a server ends: JupyterHub does it only when a person asks for it, and not at any stage."""

import asyncio
import time
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.user import User

from benchtop_hub.errors import ForPerson

PATIENCE = 5.0  # seconds for a start to notice that it is over


async def end_server(user: User, name: str) -> None:
    """End a server as its Stop button does, for parts of the hub that act by themselves.

    The way to it, its job, and what the hub knows of it.
    """
    spawner: Any = user.spawners[name]
    settings: Any = user.settings
    spawner._stop_pending = True  # before anything is awaited, as in upstream's own stop
    try:
        await settings["proxy"].delete_user(user, name)
        await user.stop(name)
    finally:
        spawner._stop_pending = False


async def stop_server(handler: BaseHandler, user: User, name: str) -> None:
    """End a server at whatever stage it is. What takes longer than some seconds goes on by itself.

    Raises ForPerson when the server cannot be ended now.
    """
    spawner: Any = user.spawners[name]
    until = time.monotonic() + PATIENCE
    start = spawner._spawn_future
    if spawner.pending == "spawn" and start and not spawner._stop_pending:
        # From now on: a start that is cut off has left an address, by which it would count as ready.
        spawner._stop_pending = True
        while not start.done() and time.monotonic() < until:
            if spawner._spawn_pending:  # else it has failed in this moment, and clears up after itself
                start.cancel()
            await asyncio.wait({start}, timeout=0.5)
        await asyncio.sleep(0)  # for what upstream does when a start is over
        if start.done() or spawner._spawn_pending:
            spawner._stop_pending = False
        if not spawner.pending and spawner.active:
            await handler.stop_single_user(user, name)  # which says, before it waits, that it stops
            return
    while spawner.pending not in {None, "stop"} and time.monotonic() < until:
        await asyncio.sleep(0.05)  # somebody else ends it, or a hub that was restarted looks at it
    if not spawner.pending and spawner.active:
        await handler.stop_single_user(user, name)
    elif spawner.pending not in {None, "stop"}:
        sentence = "The hub is still working on this session. Try again in a few seconds."
        raise ForPerson(503, f"{user.name}/{name} does not stop: pending {spawner.pending}", sentence)


async def delete_server(handler: BaseHandler, user: User, name: str) -> None:
    """Forget a server that does not run; its owner's files are not its own."""
    spawner: Any = user.spawners[name]
    await user._delete_spawner(spawner)
    handler.db.delete(spawner.orm_spawner)
    user.spawners.pop(name, None)
    handler.db.commit()
