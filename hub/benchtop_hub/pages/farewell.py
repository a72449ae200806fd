"""Why somebody's session ended, told to them once: on the next page of the hub that they look at.

What a program fetches with their login nobody has read: it says the same, and does not count.
"""

from collections.abc import Callable
from typing import Any, cast

from jupyterhub.user import User

from benchtop_hub.upstream import navigation


def for_page(user: User | None) -> Callable[[], list[str]]:
    """What a page's template calls: nothing counts as told that no page shows."""
    return lambda: tell(user, read=navigation.goes())


def tell(user: User | None, *, read: bool = True) -> list[str]:
    """What is to be told to a user. (None: nobody is logged in.)

    read: they know it then, and it is not told again
    """
    if not isinstance(user, User):
        return []
    found = []
    known, database = cast(Any, user.orm_user), cast(Any, user.db)
    for kept in known.orm_spawners.values():
        state = dict(kept.state or {})
        if said := state.pop("ended", ""):
            whose = f"Your session “{kept.name}”" if kept.name else "Your session"
            found.append(str(said).replace("Your session", whose, 1))
            if not read:
                continue
            kept.state = state
            if kept.name in user.spawners:
                user.spawners[kept.name].ended = ""
    if found and read:
        database.commit()
    return found
