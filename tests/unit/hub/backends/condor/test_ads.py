"""A job is read by its ad, whatever is in it: its states are told apart, and unknown is never gone."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchtop_hub import wording
from benchtop_hub.backends import marks
from benchtop_hub.backends.condor import ads
from benchtop_hub.backends.queue import Job
from standins import COOKIE_SECRET

NOW = 1_800_000_000  # seconds since the epoch
MARK = marks.mark(COOKIE_SECRET, "htc-1", "alice")


def parse(listing):
    return ads.parse(listing, COOKIE_SECRET, "htc-1")


@pytest.mark.parametrize(
    ("ad", "job"),
    [
        ({"JobStatus": 1}, Job("PENDING", "", "")),
        ({"JobStatus": 1, "LastRejMatchReason": "no match found "}, Job("PENDING", "", "no match found")),
        (
            {"JobStatus": 5, "HoldReasonCode": 16, "EnteredCurrentStatus": NOW - ads.SPOOLED},
            Job("PENDING", "", "spooling"),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 16, "EnteredCurrentStatus": NOW - ads.SPOOLED - 1},
            Job("FAILED", "", "", lingers=True, message=ads.CUT_OFF),
        ),
        ({"JobStatus": 2, "RemoteHost": "jupyter1_3@ep-2"}, Job("RUNNING", "ep-2", "")),
        ({"JobStatus": 3, "RemoteHost": "jupyter1_3@ep-2"}, Job("COMPLETING", "ep-2", "")),
        ({"JobStatus": 7, "RemoteHost": "jupyter1_3@ep-2"}, Job("SUSPENDED", "ep-2", "")),
        (
            {"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitCode": 3},
            Job("FAILED", "ep-2", "", message="JupyterLab stopped by itself (exit code 3)"),
        ),
        (
            {"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitBySignal": True},
            Job("FAILED", "ep-2", "", message="JupyterLab was killed"),
        ),
        (
            {"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitBySignal": True, "ExitSignal": 9},
            Job("FAILED", "ep-2", "", message=wording.KILLED),
        ),
        ({"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitCode": 0}, Job("COMPLETED", "ep-2", "")),
        (
            {
                "JobStatus": 5,
                "HoldReasonCode": 34,
                "HoldReason": "Error: memory usage exceeded request_memory",
            },
            Job("FAILED", "", "memory", lingers=True),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "the disks are changed (by user bob)"},
            Job(
                "FAILED",
                "",
                "the disks are changed (by user bob)",
                lingers=True,
                message="it was put on hold: the disks are changed (by user bob)",
            ),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "via condor_hold (by user bob)"},
            Job(
                "FAILED",
                "",
                "via condor_hold (by user bob)",
                lingers=True,
                message="it was put on hold (by user bob)",
            ),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": None},
            Job("FAILED", "", "on hold", lingers=True, message="it was put on hold"),
        ),
        (
            {
                "JobStatus": 5,
                "HoldReasonCode": 3,
                "HoldReason": "its time limit was reached",
                "LastRemoteHost": "a@ep-2",
            },
            Job("FAILED", "ep-2", "", lingers=True, message="its time limit was reached"),
        ),
        ({"JobStatus": 99, "RemoteHost": "a@ep-1"}, Job("RUNNING", "ep-1", "")),
    ],
)
def test_states_are_read_as_htcondor_tells_them(monkeypatch, ad, job):
    monkeypatch.setattr(ads, "time", SimpleNamespace(time=lambda: NOW))
    listed = parse(json.dumps([{"ClusterId": 7, "Owner": "alice", "BenchtopMark": MARK, **ad}]))
    assert listed == {"7": replace(job, owner="alice", mark=MARK)}


TWO = {"ClusterId": 8, "Owner": "alice", "BenchtopMark": MARK, "JobStatus": 2, "RemoteHost": "a@ep-2"}
NASTY = ("x", "", None, True, 1.5, -1, [], [[1]], {"a": 1}, "a\nb|c", 1e999, "/Expr(error)/", 10**30)


@pytest.mark.parametrize("name", ads.ATTRIBUTES.split(","))
def test_whatever_is_in_an_ad_costs_its_owner_alone(name):
    for status in (1, 2, 4, 5):
        for value in (*NASTY, ...):
            ad = {**TWO, "ClusterId": 7, "JobStatus": status, "HoldReasonCode": 16, "EnteredCurrentStatus": 1}
            ad = {key: content for key, content in (ad | {name: value}).items() if content is not ...}
            listed = parse(json.dumps([ad, TWO]))
            assert listed["8"] == Job("RUNNING", "ep-2", "", owner="alice", mark=MARK), (name, value)
            assert all(isinstance(job.state, str) and isinstance(job.reason, str) for job in listed.values())


@pytest.mark.parametrize("status", ["two", None, 2.0, True])
def test_a_job_that_does_not_say_its_state_is_not_gone(status):
    assert parse(json.dumps([TWO | {"JobStatus": status}]))["8"].alive


@pytest.mark.parametrize("wrong", [{"Owner": "bob"}, {"BenchtopMark": MARK[:-1]}, {"BenchtopMark": None}])
def test_a_job_without_the_cells_mark_for_its_owner_is_none_of_its(wrong):
    assert parse(json.dumps([TWO, {**TWO, "ClusterId": 7, **wrong}])).keys() == {"8"}


def test_an_answer_that_is_cut_off_is_no_answer():
    whole = json.dumps([{**TWO, "ClusterId": number} for number in (7, 8)])
    assert set(parse(whole)) == {"7", "8"}
    for length in range(1, len(whole)):
        with pytest.raises(json.JSONDecodeError):
            parse(whole[:length])


def test_an_empty_queue_is_an_answer():
    assert parse("\n") == {}
