"""What JupyterHub does only when a person asks for it, for the parts of the hub that act by themselves."""

from typing import Any

from jupyterhub.user import User


async def end(user: User, name: str) -> None:
    """End a server as its Stop button does: the way to it, its job, and what the hub knows of it."""
    spawner: Any = user.spawners[name]
    settings: Any = user.settings
    spawner._stop_pending = True  # before anything is awaited, as in upstream's own stop
    try:
        await settings["proxy"].delete_user(user, name)
        await user.stop(name)
    finally:
        spawner._stop_pending = False
