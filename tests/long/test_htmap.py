"""HTMap where things go wrong that take their time: a full pool, a full home, a kernel that is killed."""

import pytest

from benchtop.settings import Settings
from benchtop.stack import compose
from support import maps
from support.batch import Batch
from support.homes import Home
from support.hub import Hub
from support.maps import END, FREED, run
from support.notebooks import run_cells
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("htc/bob", "condor", throughout=True),
    pytest.mark.long,
    pytest.mark.together("htmap"),
]

own = maps.own  # a fixture

FULL = 60  # seconds until the Standard pool is full
STUBBORN = """
executable = /bin/sh
transfer_executable = false
arguments = "-c 'trap : TERM; while :; do sleep 1; done'"
should_transfer_files = NO
initialdir = /tmp
request_memory = 16
request_disk = 1M
queue {count}
"""
FREE = ["condor_status", "-constraint", "PartitionableSlot && IsJupyterSlot =?= false", "-autoformat", "Cpus"]
MORE_THAN_FIT = 20


def submit(batch: Batch, count: int) -> None:
    """Jobs of bob's that do not listen when they are told to end."""
    text = STUBBORN.format(count=count).encode()
    words = ["exec", "-T", "condor-ap", "condor-as", "bob", "condor_submit", "-terse", "-"]
    compose.run(batch.settings, *words, input=text)


def test_a_job_that_does_not_end_when_it_is_told_to_frees_its_place(own: Hub, settings: Settings):
    batch = Batch(settings, "htc")
    submit(batch, 1)
    wait_until(
        lambda: [job.state for job in batch.jobs("bob")].count("RUNNING") == 2, timeout=FULL, what="it to run"
    )
    batch.said("bob", "condor_rm", "-constraint", 'JobBatchName =?= undefined && Cmd == "/bin/sh"')
    wait_until(lambda: len(batch.jobs("bob")) == 1, timeout=FREED, what="its place to be free")


def test_in_a_full_pool_the_notebook_says_what_it_waits_for(own: Hub, settings: Settings):
    batch = Batch(settings, "htc")
    submit(batch, MORE_THAN_FIT)
    try:
        wait_until(lambda: set(batch.said("bob", *FREE).split()) == {"0"}, timeout=FULL, what="a full pool")
        (shown,) = run(
            own,
            "waits = htmap.map(abs, [-1], tag='test-full')\n"
            "try:\n    waits.wait(timeout=20)\n"
            "except htmap.exceptions.TimeoutError as error:\n    print(error)\n",
        )
    finally:
        batch.said("bob", "condor_rm", "-constraint", 'JobBatchName =?= undefined && Cmd == "/bin/sh"')
    assert any("1 waiting: all suitable slots are busy (it needs 1 CPU" in text for text in shown.texts)
    wait_until(lambda: len(batch.jobs("bob")) == 1, timeout=2 * FREED, what="the pool to be free again")


def test_a_full_home_is_a_sentence_and_nothing_is_left_of_the_map(own: Hub, settings: Settings):
    home = Home(settings, "bob")
    with home.full("htc"):
        cell = (
            "import os\nimport htmap\n"
            "try:\n    htmap.map(abs, range(100), tag='test-full-home')\n"
            "except htmap.exceptions.NoSpaceLeft as error:\n    print(error)\n"
            "print([os.listdir(os.path.expanduser('~/.htmap/' + name)) for name in ('maps', 'tags')])\n"
        )
        shown = run_cells(own, "python3", [cell])[-1]
    assert shown.stdout.startswith("Your home has no space left, so the map was not made")
    assert shown.stdout.endswith("[[], []]")
    assert "Traceback" not in shown.stdout
    assert len(Batch(settings, "htc").jobs("bob")) == 1


def test_a_map_goes_on_when_its_kernel_is_killed_and_is_found_again(own: Hub):
    run_cells(
        own,
        "python3",
        [
            END,
            "import os, time, signal\n"
            "htmap.map(lambda number: time.sleep(5) or -number, range(3), tag='test-orphan')\n"
            "print('made')",
        ],
    )
    (shown,) = run_cells(own, "python3", ["import htmap\nprint(list(htmap.load('test-orphan')))"])
    assert shown.stdout == "[0, -1, -2]"
