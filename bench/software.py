"""All environments: how long they take to build from nothing and again, and what they take on disk.

They are built in a software area of their own, which goes away: what people use stays as it is.
"""

import time
from dataclasses import replace

from benchtop.settings import Settings
from benchtop.software import publish
from benchtop.stack import compose
from figures import Figure

GB = 1e9


def measure(settings: Settings) -> list[Figure]:
    """From nothing, again, and bytes on disk; a file that several environments share counts once."""
    apart = replace(settings, project=f"{settings.project}-bench")
    volume = f"{apart.project}_software"
    try:
        first = seconds(apart)
        again = seconds(apart)
        words = ["run", "--rm", "--network=none", f"--volume={volume}:/software:ro", settings.base]
        size = int(compose.docker(*words, "du", "-sb", "/software").stdout.split()[0])
    finally:
        compose.run(apart, "down", "--volumes")
        compose.docker("image", "rm", "--force", f"{apart.project}/software")
    return [
        Figure("`make software`, all environments from nothing", f"{first / 60:.1f} min", bar="≤ 12 min"),
        Figure("the same again", f"{again:.1f} s", bar="≤ 5 s"),
        Figure("all environments on disk", f"{size / GB:.2f} GB", bar="≤ 6 GB"),
    ]


def seconds(settings: Settings) -> float:
    """How long it takes to have all published."""
    began = time.monotonic()
    publish.publish(settings)
    return time.monotonic() - began
