"""How long the spawn form takes in a large facility, for somebody with many accounts.

floor: the hub's home page, which asks no scheduler
warm:  the form, by answers of the scheduler that the hub has
cold:  the form when somebody reloads it, which asks the scheduler anew for what people may use

Accounting holds 2,000 people with two associations each, and the asker is in 200 accounts, all of which two
partitions let in. All of it is removed afterwards.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import starts
from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from figures import Figure, p95, until
from support.hub import Hub

ASKER = starts.PERSON
PEOPLE, ACCOUNTS = 2000, 200
OWN = 2  # accounts of the asker that are there anyway
OPENED = ("debug", "harvester")  # partitions that let every account in meanwhile
RELOADED = 1.1  # seconds: what the hub knows is asked for anew by who reloads after that
BAR, AIM = "≤ 100 ms", "50 ms"


def measure(settings: Settings, rounds: int) -> list[Figure]:
    """The three pages in turn, so that whatever else the machine does meets all of them."""
    own = Hub(settings, enrol.login(settings, ASKER), ASKER)
    starts.stop(own)
    with crowd(settings):
        # which partitions let in whom is remembered for a while, also for who reloads
        until(
            lambda: fetch(own, "spawn", reload=True)[1].count('value="bench-') >= ACCOUNTS - OWN,
            f"the form to offer all of {ASKER}'s {ACCOUNTS} accounts",
        )
        taken: list[tuple[float, float, float]] = []
        for _ in range(rounds):
            time.sleep(RELOADED)  # an appointment, not a condition
            cold, _ = fetch(own, "spawn", reload=True)
            taken.append((fetch(own, "home")[0], fetch(own, "spawn")[0], cold))
    # what is gone is remembered for a while, and a start would be refused for it
    until(lambda: 'value="bench-' not in fetch(own, "spawn", reload=True)[1], "the form as it was")
    floors, warm, cold = zip(*taken, strict=True)
    size = f"{PEOPLE} people, {2 * PEOPLE} associations, {ACCOUNTS} of the asker's"
    return [
        Figure(f"form, {size}, median", describe(warm), describe(floors), bar=BAR, aim=AIM),
        Figure(
            "the same, what people may use asked of Slurm anew",
            describe(cold),
            describe(floors),
            bar=BAR,
            aim=AIM,
        ),
    ]


def describe(seconds: tuple[float, ...]) -> str:
    """The median and the 95th percentile."""
    return f"{1000 * median(seconds):.0f} ms (p95 {1000 * p95(seconds):.0f})"


def fetch(own: Hub, page: str, *, reload: bool = False) -> tuple[float, str]:
    """Seconds until a page of the hub is here, and the page; `reload`: as a browser's reload asks for it."""
    headers = {"Cache-Control": "max-age=0"} if reload else {}
    began = time.monotonic()
    answer = own.browser.get(f"{own.base}/hub/{page}", headers=headers, timeout=starts.ANSWER)
    took = time.monotonic() - began
    answer.raise_for_status()
    return took, answer.text


@contextmanager
def crowd(settings: Settings) -> Iterator[None]:
    """Everybody, and the asker's accounts, for as long as it takes."""
    names = [f"bench{number:04}" for number in range(PEOPLE)]
    accounts = [f"bench-{number:03}" for number in range(ACCOUNTS - OWN)]
    who, what = f"name={','.join(names)}", ",".join(accounts)
    qos = ("qos=normal,interactive,scavenger", "defaultqos=normal")
    try:
        # sacctmgr takes many names at once; one call for each would take an hour
        accounting(settings, "add", "account", f"name={what}", "cluster=hpc", "description=bench", *qos)
        accounting(settings, "add", "user", f"name={ASKER}", f"account={what}", "cluster=hpc", *qos)
        accounting(settings, "add", "user", who, "account=default,tier3", "cluster=hpc")
        for partition in OPENED:
            control(settings, "update", f"PartitionName={partition}", "AllowAccounts=ALL")
        yield
    finally:
        control(settings, "reconfigure")  # the partitions are as in their file again
        for gone in (
            ("user", who),
            ("user", f"name={ASKER}", f"account={what}"),
            ("account", f"name={what}"),
        ):
            accounting(settings, "delete", *gone, check=False)  # what was not added cannot be deleted


def accounting(settings: Settings, *words: str, check: bool = True) -> None:
    """A change of accounting."""
    compose.run(
        settings, "exec", "-T", "slurmctld", "sacctmgr", "--immediate", "--quiet", *words, check=check
    )


def control(settings: Settings, *words: str) -> None:
    """A change of what slurmctld goes by."""
    compose.run(settings, "exec", "-T", "slurmctld", "scontrol", *words)
