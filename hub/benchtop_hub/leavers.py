"""People who have left, or whose login is disabled: their servers end and their tokens are void.

Apache lets no request of theirs in any more, but an open notebook needs none. So the minter, which looks
people up each time, is asked again for everybody who has something here: whoever it refuses has to go.
"""

import asyncio
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.user import User
from tornado.ioloop import PeriodicCallback

from benchtop_hub.minter import Minter, Refused, Unavailable

EVERY = 20.0  # seconds: out within a minute, the directory's and the stop's own time included


def watch(app: JupyterHub, cell: str) -> None:
    """Look every few seconds for as long as the hub runs."""
    PeriodicCallback(lambda: sweep(app, cell), EVERY * 1000, jitter=0.1).start()


async def sweep(app: JupyterHub, cell: str) -> None:
    """Look at everybody who has a server or a token once."""
    if not hasattr(app, "users"):  # the hub is still starting
        return
    has_something = orm.User.api_tokens.any() | orm.User._orm_spawners.any(orm.Spawner.server != None)  # noqa: E711
    people = [app.users[one.id] for one in app.db.query(orm.User).filter(has_something)]
    for result in await asyncio.gather(*(_look(app, cell, user) for user in people), return_exceptions=True):
        if isinstance(result, Exception):
            app.log.error("leavers: %s: %s", type(result).__name__, result)


async def _look(app: JupyterHub, cell: str, user: User) -> None:
    minter: Minter = user.spawner.cluster.minter
    try:
        await minter.renew(user.name)
    except Unavailable as unavailable:  # nobody goes because a service restarts
        app.log.debug("nobody can tell about %s: %s", user.name, unavailable)
    except Refused as refused:
        await _turn_out(app, cell, user, str(refused))


async def _turn_out(app: JupyterHub, cell: str, user: User, why: str) -> None:
    servers = [name for name, spawner in user.spawners.items() if spawner.ready]  # who starts is next time's
    known: Any = user.orm_user
    tokens = list(known.api_tokens)
    app.log.warning(
        "person out user=%s cell=%s servers=%d tokens=%d: %s",
        user.name, cell, len(servers), len(tokens), why,
    )  # fmt: skip
    for token in tokens:  # first: a token is a way in
        app.db.delete(token)
    app.db.commit()
    await asyncio.gather(*(_end(app, user, name) for name in servers))


async def _end(app: JupyterHub, user: User, name: str) -> None:
    spawner: Any = user.spawners[name]
    spawner._stop_pending = True  # before anything is awaited, as in upstream's own stop
    try:
        await app.proxy.delete_user(user, name)
        await user.stop(name)
    finally:
        spawner._stop_pending = False
