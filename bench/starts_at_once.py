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
from readers import readers
from support.hub import Hub

PEOPLE = 20
LOGINS = 4  # at a time: the front door lets an address make few steps of logins in ten seconds
# Ten of each fit: eight CPUs a node in Slurm's debug, six a node in HTCondor's Jupyter slots
Wanted = Mapping[str, Mapping[str, object]]
SMALL: Wanted = {
    "hpc": {"partition": "debug", "cpus": 1, "memory": 384, "runtime": 15},
    "htc": {"cpus": 1, "memory": 320, "disk": "64 MB", "runtime": 15},
}
CONTAINER = {"where": "container", "cpus": 1, "memory": 320, "runtime": 15}  # for 24 of which there is room


def measure(settings: Settings) -> list[Figure]:
    """As jobs, and then in containers: one alone, then all."""
    kinds = {"": SMALL}
    if settings.engine:
        kinds[" in containers"] = dict.fromkeys(SMALL, CONTAINER)
    figures = []
    with readers(settings, PEOPLE) as names, visitors(settings, names) as everybody:
        for kind, wanted in kinds.items():
            figures += all_at_once(everybody, kind, wanted)
            stop(everybody)
    return figures


def all_at_once(everybody: list["Visitor"], kind: str, wanted: Wanted) -> list[Figure]:
    """One alone, then all. kind: behind the word of what starts; wanted: by cluster"""
    alone = start(everybody[0], wanted, None)
    starts.stop(everybody[0].own)
    together = Barrier(len(everybody))
    with ThreadPoolExecutor(len(everybody)) as pool:
        taken = list(pool.map(lambda one: start(one, wanted, together), everybody))
    good = [one for one in taken if one is not None]
    share = Counter(one.own.cell for one in everybody)
    where = ", ".join(f"{count} in {cell}" for cell, count in sorted(share.items()))
    told = f"p95 {p95(good):.1f} s, median {median(good):.1f} s" if len(good) > 1 else "none came up"
    return [
        Figure(f"{PEOPLE} starts{kind} at once ({where}): failed", str(len(taken) - len(good)), bar="0"),
        Figure(
            "the same: click → JupyterLab answers",
            told,
            f"{alone:.1f} s" if alone else "",
            **({} if kind else {"bar": "p95 ≤ 10 s", "aim": "5 s"}),
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
        stop(everybody)


def stop(everybody: list[Visitor]) -> None:
    """End the session of each."""
    with ThreadPoolExecutor(LOGINS) as pool:
        list(pool.map(lambda one: starts.stop(one.own), everybody))


def start(one: Visitor, wanted: Wanted, together: Barrier | None) -> float | None:
    """Seconds from their click until JupyterLab answers them; None when it fails.

    together: where everybody who starts waits for the last one
    """
    if together:
        together.wait()
    try:
        began, _, answered = starts.click(one.own, wanted[one.own.cluster], one.token)
    except (Problem, requests.RequestException) as failed:
        print(f"{one.own.person} on {one.own.cluster} at {time.strftime('%X')}: {failed}")
        return None
    return answered - began
