"""A class logs in: thirty people within ten seconds, each by password and one-time code.

floor: one person, while nobody else logs in
"""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchtop.console import Problem
from benchtop.people import enrol
from benchtop.settings import Settings
from figures import Figure, p95
from readers import readers

CLASS, WITHIN = 30, 10.0  # people, seconds
PATH = "/jupyterhub/hpc/hub/home"


def measure(settings: Settings) -> list[Figure]:
    """They come one after the other, as evenly as can be; the last one's click is at ten seconds."""
    with readers(settings, CLASS + 1) as names, ThreadPoolExecutor(len(names)) as pool:
        fresh = pool.map(lambda name: enrol.fresh_code(settings, name), names)
        codes = dict(zip(names, fresh, strict=True))
        alone = login(settings, names[-1], codes[names[-1]], 0.0)
        began = time.monotonic()
        waits = [began + WITHIN * number / (CLASS - 1) for number in range(CLASS)]
        each = [
            pool.submit(login, settings, name, codes[name], at)
            for name, at in zip(names, waits, strict=False)
        ]
        taken = [one.result() for one in each]
        until_all = time.monotonic() - began
    failed = sum(one is None for one in taken)
    good = [one for one in taken if one is not None]
    worst = f"p95 {p95(good):.1f} s, median {median(good):.1f} s" if len(good) > 1 else "none got in"
    return [
        Figure(
            f"{CLASS} people log in within {WITHIN:.0f} s: failed",
            str(failed),
            bar="0",
        ),
        Figure(
            f"the same: how long one takes ({worst_of(until_all)})", worst, f"{alone:.1f} s" if alone else ""
        ),
    ]


def worst_of(until_all: float) -> str:
    """How long after the first click the last one was in."""
    return f"all in after {until_all:.1f} s"


def login(settings: Settings, name: str, code: str, at: float) -> float | None:
    """Seconds that a login takes that begins at a time of the clock; None when it fails."""
    time.sleep(max(0.0, at - time.monotonic()))  # an appointment, not a condition
    began = time.monotonic()
    try:
        enrol.login(settings, name, path=PATH, code=code)
    except Problem as problem:
        print(f"{name}: {problem}")
        return None
    return time.monotonic() - began
