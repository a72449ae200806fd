"""People who have left, or whose login is disabled: their servers end and their tokens are void.

Apache lets no request of theirs in any more, but an open notebook needs none. So the minter, which looks
people up each time, is asked again for everybody who has something here: whoever it refuses has to go.
"""

import asyncio
from collections import Counter
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.user import User
from sqlalchemy import exists
from tornado.ioloop import PeriodicCallback

from benchtop_hub.access.minter import Minter, Refused, Unavailable
from benchtop_hub.upstream import ending

EVERY = 15.0  # seconds: out within a minute, TIMES looks and the stop included
TIMES = 2  # refusals in a row: a directory that comes and goes must not cost anybody their notebook


def watch(app: JupyterHub, cell: str) -> None:
    """Look every few seconds for as long as the hub runs."""
    refused: Counter[str] = Counter()
    PeriodicCallback(lambda: sweep(app, cell, refused), EVERY * 1000, jitter=0.1).start()


async def sweep(app: JupyterHub, cell: str, refused: Counter[str]) -> None:
    """Look at everybody who has a server or a token once. refused: how often in a row, kept by the caller."""
    if not hasattr(app, "users"):  # the hub is still starting
        return
    runs = exists().where(orm.Spawner.user_id == orm.User.id, orm.Spawner.server_id.is_not(None))
    has_something = orm.User.api_tokens.any() | runs
    people = [app.users[one.id] for one in app.db.query(orm.User).filter(has_something)]
    looks = [_look(app, cell, user, refused) for user in people]
    for result in await asyncio.gather(*looks, return_exceptions=True):
        if isinstance(result, Exception):
            app.log.error("leavers: %s: %s", type(result).__name__, result)


async def _look(app: JupyterHub, cell: str, user: User, refused: Counter[str]) -> None:
    minter: Minter = user.spawner.backends[0].cell.minter
    try:
        await minter.renew(user.name)
        del refused[user.name]
    except Unavailable as unavailable:  # nobody goes because a service restarts
        app.log.debug("nobody can tell about %s: %s", user.name, unavailable)
    except Refused as why:
        refused[user.name] += 1
        if refused[user.name] >= TIMES:
            await _turn_out(app, cell, user, str(why))


async def _turn_out(app: JupyterHub, cell: str, user: User, why: str) -> None:
    names = [name for name, spawner in user.spawners.items() if spawner.ready]  # who starts is next time's
    known: Any = user.orm_user
    tokens = list(known.api_tokens)
    app.log.warning(
        "person out user=%s cell=%s servers=%d tokens=%d: %s",
        user.name, cell, len(names), len(tokens), why,
    )  # fmt: skip
    for token in tokens:  # first: a token is a way in
        app.db.delete(token)
    app.db.commit()
    await asyncio.gather(*(ending.end_server(user, name) for name in names))
