"""Why somebody's session ended, told to them once: on the next page of the hub that they look at."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from jupyterhub.user import User


def for_page(user: User | None) -> Callable[[], list[str]]:
    """What a page's template calls: nothing counts as told that no page shows."""
    return partial(tell, user)


def tell(user: User | None) -> list[str]:
    """What is to be told to a user, who then knows: it is not told again. (None: nobody is logged in.)"""
    if not isinstance(user, User):
        return []
    found = []
    known, database = cast(Any, user.orm_user), cast(Any, user.db)
    for kept in known.orm_spawners.values():
        state = dict(kept.state or {})
        if said := state.pop("ended", ""):
            whose = f"Your session “{kept.name}”" if kept.name else "Your session"
            found.append(str(said).replace("Your session", whose, 1))
            kept.state = state
            if kept.name in user.spawners:
                user.spawners[kept.name].ended = ""
    if found:
        database.commit()
    return found
