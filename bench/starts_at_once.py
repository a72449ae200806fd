"""Twenty people press Start at the same moment, on every cluster and every cell that there is.

floor: one of them, while nobody else starts anything

There is room for all of them at once: nobody waits for a place, all wait for the machine's cores.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from threading import Barrier

import requests

import form
import starts
from benchtop.console import Problem
from benchtop.people import enrol
from benchtop.settings import Settings
from figures import Figure, p95
from guests import guests
from support.hub import Hub

PEOPLE = 20
LOGINS = 4  # at a time: the front door lets an address make few steps of logins in ten seconds
# Ten of each fit: eight CPUs a node in Slurm's debug, six a node in HTCondor's Jupyter slots
SMALL: Mapping[str, Mapping[str, object]] = {
    "hpc": {"partition": "debug", "cpus": 1, "memory": 384, "runtime": 15},
    "htc": {"cpus": 1, "memory": 320, "disk": "64 MB", "runtime": 15},
}


def measure(settings: Settings) -> list[Figure]:
    """One alone, then all."""
    with guests(settings, PEOPLE) as names, visitors(settings, names) as everybody:
        alone = start(everybody[0], None)
        starts.stop(everybody[0].own)
        together = Barrier(len(everybody))
        with ThreadPoolExecutor(len(everybody)) as pool:
            taken = list(pool.map(lambda one: start(one, together), everybody))
    good = [one for one in taken if one is not None]
    share = Counter(one.own.cell for one in everybody)
    where = ", ".join(f"{count} in {cell}" for cell, count in sorted(share.items()))
    told = f"p95 {p95(good):.1f} s, median {median(good):.1f} s" if len(good) > 1 else "none came up"
    return [
        Figure(f"{PEOPLE} starts at once ({where}): failed", str(len(taken) - len(good)), bar="0"),
        Figure(
            "the same: click → JupyterLab answers",
            told,
            f"{alone:.1f} s" if alone else "",
            bar="p95 ≤ 10 s",
            aim="5 s",
        ),
    ]


class Visitor:
    """Somebody with a browser and a token for questions to their session."""

    def __init__(self, own: Hub) -> None:
        self.own = own
        self.token = starts.token(own)["token"]


@contextmanager
def visitors(settings: Settings, names: list[str]) -> Iterator[list[Visitor]]:
    """All of them logged in, shared out over the clusters; their sessions end with the block."""

    def enter(number: int, name: str) -> Visitor:
        cluster = settings.clusters[number % len(settings.clusters)]
        own = Hub(settings, enrol.login(settings, name), name, cluster)
        form.fetch(own, "spawn", reload=True)  # the hub may know rights of before they were here
        return Visitor(own)

    with ThreadPoolExecutor(LOGINS) as pool:
        everybody = list(pool.map(enter, range(len(names)), names))
    try:
        yield everybody
    finally:
        with ThreadPoolExecutor(LOGINS) as pool:
            list(pool.map(lambda one: starts.stop(one.own), everybody))


def start(one: Visitor, together: Barrier | None) -> float | None:
    """Seconds from their click until JupyterLab answers them; None when it fails.

    together: where everybody who starts waits for the last one
    """
    if together:
        together.wait()
    try:
        began, _, answered = starts.click(one.own, SMALL[one.own.cluster], one.token)
    except (Problem, requests.RequestException) as failed:
        print(f"{one.own.person} on {one.own.cluster} at {time.strftime('%X')}: {failed}")
        return None
    return answered - began
