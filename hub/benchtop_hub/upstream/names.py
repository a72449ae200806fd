"""Find other services where they are now, not where they were.

JupyterHub's HTTP client (and ours) looks names up by c-ares, which keeps an answer as long as it allows: ten
minutes, from a container engine. A proxy, node or minter that was made anew meanwhile has another address,
perhaps its neighbour's. The system's own look-up asks each time.
"""

import aiohttp.connector


def ask_the_system() -> None:
    """Let every HTTP client of this process look names up by the system. To be called before any is made."""
    setattr(aiohttp.connector, "DefaultResolver", aiohttp.ThreadedResolver)  # noqa: B010 not exported
