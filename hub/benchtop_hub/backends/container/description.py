"""What runs in a session's container, and by what the engine's list tells whose it is."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from benchtop_hub.backends.backend import Launch
from benchtop_hub.backends.container import listing
from benchtop_hub.backends.container.form import Granted
from benchtop_hub.upstream import engine

COMMAND = ("/opt/lab/bin/python", "-I", "-m", "benchtop_lab.container")
LIMITS = "BENCHTOP_CONTAINER"  # of its environment, for that program


def program(granted: Granted, launch: Launch, own: Mapping[str, object]) -> engine.Program:
    """The session's first process, with its environment and limits, on the one port that leads inside.

    own: of these limits, those that the site sets for all
    """
    seconds = granted.runtime * 60
    limits = {
        "log": f"{launch.home}/{launch.log}",
        "runtime": seconds,
        "memory": granted.memory,
        "cpu": seconds * granted.cpus,
        **own,
    }
    service = urlsplit(launch.env["JUPYTERHUB_SERVICE_URL"])
    address = urlunsplit(service._replace(netloc=f"{service.hostname}:{engine.PORT}"))
    env = {**launch.env, "JUPYTERHUB_SERVICE_URL": address, LIMITS: json.dumps(limits)}
    return engine.Program(launch.person, launch.server, COMMAND, env)


def labels(launch: Launch, cell: str) -> Mapping[str, str]:
    """Whose it is."""
    return {listing.CELL: cell, listing.OWNER: launch.person, listing.MARK: launch.mark}
