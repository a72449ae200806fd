"""Whoever waits reads why, how many are before them and until when, and nothing that is a guess."""

from datetime import UTC, datetime, timedelta

import pytest

from benchtop_hub import wording
from benchtop_hub.backends.queue import Job
from benchtop_hub.backends.slurm import reasons

NOW = datetime(2026, 11, 25, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("", ""),
        ("Resources", "all suitable nodes are busy"),
        ("QOSMaxGRESPerUser", "you already use as many GPUs as you may have at a time"),
        ("QOSMaxCpuPerUserLimit", "you already use as many CPUs as you may have at a time"),
        ("QOSMaxMemoryPerUser", "you already use as much memory as you may have at a time"),
        ("QOSMaxJobsPerUserLimit", "you already have as many jobs as you may have at a time"),
        ("AssocMaxJobsLimit", "you already have as many jobs as you may have at a time"),
        ("QOSGrpCPURunMinutesLimit", "the CPUs time of this quality of service is used up"),
        (
            "AssocGrpGRES",
            "all jobs of your account together have reached their limit (GPUs)",
        ),
        ("AssocMaxWallDurationPerJobLimit", "it requests more than your account allows (time)"),
        (
            "MaxGRESPerAccount",
            "all jobs of your account together have reached their limit (GPUs)",
        ),
        ("QOSMinGRES", "it requests fewer GPUs than this quality of service requires"),
        ("JobHeldUser", "you put it on hold"),
        ("RaisedSignal:9(Killed)", wording.KILLED),
        ("RaisedSignal:11(Segmentation_fault)", "JupyterLab was killed"),
        ("ReqNodeNotAvail, UnavailableNodes:gpu-1", "the nodes are not available (gpu-1)"),
        ("ReqNodeNotAvail, May be reserved for other job", "the nodes are not available"),
        ("NonZeroExitCode", "JupyterLab stopped by itself"),
        (
            "RaisedSignal:53(Real-time_signal_19)",
            "the node could not open its log: your home directory may be full or missing",
        ),
        ("AReasonOfTomorrow", "Slurm says “AReasonOfTomorrow”"),
    ],
)
def test_a_reason_is_told_in_plain_words(reason, words):
    assert reasons.explain(reason) == words


def queued(reason, priority, partition="debug", state="PENDING"):
    return Job(state, "", reason, partition=partition, priority=priority)


QUEUE = {
    "1": queued("", 9, state="RUNNING"),
    "2": queued("Priority", 5),
    "3": queued("Resources", 8),
    "4": queued("JobHeldUser", 99),
    "5": queued("Priority", 5),
    "6": queued("Priority", 9, partition="usatlas"),
}


@pytest.mark.parametrize(("number", "place"), [("3", 1), ("2", 2), ("5", 3), ("6", 1)])
def test_the_position_is_that_among_those_who_wait_for_their_turn(number, place):
    assert reasons.position(QUEUE, number) == place


@pytest.mark.parametrize("number", ["1", "4", "99"])
def test_who_does_not_wait_for_a_turn_has_no_position(number):
    assert reasons.position(QUEUE, number) is None


def test_no_position_is_guessed_where_an_array_waits():
    assert reasons.position({**QUEUE, "7_[1-9]": queued("Priority", 9)}, "3") is None


@pytest.mark.parametrize(
    ("seconds", "about"), [(20, "immediately"), (300, "in about 5 minutes"), (10800, "in about 3 hours")]
)
def test_the_expected_start_is_told_as_a_time_to_wait(seconds, about):
    said = reasons.describe_turn(2, NOW + timedelta(seconds=seconds), NOW)
    assert said == f"You are number 2 in the queue. Expected start: {about}."


def test_what_is_not_known_is_not_told():
    assert reasons.describe_turn(None, None, NOW) == ""
    assert reasons.describe_turn(1, NOW - timedelta(1), NOW) == "You are next in the queue."
