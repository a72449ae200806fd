"""Why somebody's session ended, told to them once: on the next page of the hub that they look at."""

from typing import Any


def tell(user: Any) -> list[str]:
    """What is to be told to a user, who then knows: it is not told again."""
    found = []
    for kept in getattr(getattr(user, "orm_user", None), "_orm_spawners", ()):
        state = dict(kept.state or {})
        if said := state.pop("ended", ""):
            found.append(f"{kept.name}: {said}" if kept.name else str(said))
            kept.state = state
            if kept.name in user.spawners:
                user.spawners[kept.name].ended = ""
    if found:
        user.db.commit()
    return found
