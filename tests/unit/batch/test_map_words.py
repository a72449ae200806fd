"""What HTMap says of components that do not run, in the words of the facility."""

import pytest

from benchtop_batch.maps import component, pool, words

CPU = {"Cpus": 1, "Memory": 256, "Disk": 1024}
NODE = {"Cpus": 6, "Memory": 2048, "Disk": 1 << 20}
FULL = {"Cpus": 0, "Memory": 512, "Disk": 1 << 20}


@pytest.mark.parametrize(
    ("reason", "said", "advice"),
    [
        (
            "The startd put this job on hold.  Memory usage exceeded request_memory",
            "it used more memory than requested (256 MB)",
            'htmap.load("squares").set_memory(1024)',
        ),
        ("via condor_hold (by user alice)", "it was put on hold by alice", "release()"),
        ("ended by signal 11", "its Python ended by signal 11", "stderr[3]"),
        (
            "ended with exit code 3",
            "its Python ended with exit code 3, not by its function's return",
            "stderr[3]",
        ),
        (
            f"ended with exit code {component.NO_SPACE}",
            "there was no space left for its result in the home",
            "Delete what you do not need",
        ),
        ("Cannot open /x: no such file", "Cannot open /x: no such file", "When the reason is gone"),
        ("", "HTCondor gives no reason", "release()"),
    ],
)
def test_a_hold_is_said_in_words_with_what_to_do(reason: str, said: str, advice: str):
    whole = words.held("squares", 3, 0, reason, memory="256", printed="")
    assert whole.startswith(f"Component 3 of the map “squares” is on hold: {said}.")
    assert advice in whole


def test_a_hold_of_many_is_said_once_with_the_last_that_one_printed():
    whole = words.held(
        "squares", 3, 98, "ended with exit code 1", memory="256", printed="one\n" * 50 + "ValueError: no\n"
    )
    assert "Component 3 (and 98 more)" in whole
    assert "    ValueError: no\n" in whole
    assert whole.count("one") <= words.LAST_LINES


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([4], "Component 4 of the map “m” was removed from the queue"),
        ([4, 5], "Components 4, 5 of the map “m” were removed from the queue"),
    ],
)
def test_what_was_removed_by_hand_can_be_run_anew(numbers: list[int], said: str):
    whole = words.removed("m", numbers)
    assert said in whole
    assert f'htmap.load("m").rerun({numbers})' in whole


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("Failed to locate schedd", "cannot be reached at the moment"),
        (
            "AUTHENTICATE:1003:Failed to authenticate with any method",
            "did not accept this session's credential",
        ),
        ("Number of submitted jobs would exceed MAX_JOBS_PER_OWNER", "takes no more jobs of yours"),
    ],
)
def test_a_queue_that_takes_nothing(error: str, said: str):
    whole = words.unreachable(error, "nothing was submitted")
    assert said in whole
    assert "nothing was submitted" in whole


def test_without_a_credential_the_session_s_own_reason_is_said():
    assert words.no_pool("Your account was disabled.", "nothing was submitted").startswith(
        "Your account was disabled. So nothing was submitted."
    )
    assert "no credential for the HTCondor pool" in words.no_pool("", "nothing was submitted")


@pytest.mark.parametrize(
    ("wants", "rejected", "slots", "said"),
    [
        (CPU, "", pool.Slots((NODE,), (NODE,)), "the pool has not considered it yet"),
        (CPU, "no match found", pool.Slots((NODE,), (FULL,)), "all suitable slots are busy (it needs 1 CPU;"),
        (
            CPU | {"Memory": 9999},
            "",
            pool.Slots((NODE,), (NODE,)),
            "no machine has 9999 MB of memory (the largest has 2048 MB)",
        ),
        (CPU | {"Cpus": 99}, "", pool.Slots((NODE,), (NODE,)), "no machine has 99 CPUs (the largest has 6)"),
        (CPU, "no match found", pool.Slots(refusing=True), "no machine of the pool meets what it requires"),
        (CPU, "", pool.Slots(), "no machine offers slots for it at the moment"),
        (
            CPU,
            "submitter limit exceeded",
            pool.Slots((NODE,), (NODE,)),
            "you are using your share of the pool",
        ),
        (CPU, "odd", pool.Slots((NODE,), (NODE,)), "HTCondor says “odd”"),
    ],
)
def test_why_one_waits(wants: dict[str, int], rejected: str, slots: pool.Slots, said: str):
    assert pool.explain(wants, rejected, slots).startswith(said)


def test_what_lacks_is_named_where_no_slot_lacks_it_alone():
    one, other = {"Cpus": 6, "Memory": 100, "Disk": 1}, {"Cpus": 1, "Memory": 2048, "Disk": 1}
    said = pool.explain({"Cpus": 4, "Memory": 1000}, "", pool.Slots((one, other), (one, other)))
    assert said == "no machine has 1000 MB of memory (the largest has 100 MB)"


def test_how_far_a_map_is():
    counts = {"COMPLETED": 3, "RUNNING": 2, "IDLE": 4, "HELD": 1, "ERRORED": 0}
    assert words.progress("m", 10, counts, "") == "m: 3 of 10 done, 2 running, 4 waiting, 1 on hold"
    assert (
        words.progress("m", 4, {"IDLE": 4}, "all slots are busy")
        == "m: 0 of 4 done, 4 waiting: all slots are busy"
    )
