"""A person's jobs on both batch systems, by what these print."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import benchtop_batch
from benchtop_batch import guardian, place, systems
from benchtop_batch.listing import CannotCancelError, Job, Jobs, Overview, cancel, condor, overview, slurm

MARK = "5f3a"
# squeue of Slurm 24.11: TZ=UTC, SLURM_TIME_FORMAT=standard, SLURM_BITSTR_LEN=0
SQUEUE = [
    "811|811|RUNNING|None|cpu-1|1|512M|2026-11-30T20:00:00|2026-11-30T19:59:59|jh-hpc-1-alice",
    "820_0|821|RUNNING|None|gpu-[1-2]|2|1G|2026-11-30T20:01:00|2026-11-30T20:00:10|fit | two\nlines",
    "820_[1-9,12%4]|820|PENDING|JobArrayTaskLimit||2|1G|N/A|2026-11-30T20:00:10|fit | two\nlines",
    "822|822|PENDING|JobHeldUser||1|512M|N/A|2026-11-30T20:00:11|",
    "823|823|COMPLETING|None|cpu-1|1|512M|2026-11-30T20:00:12|2026-11-30T20:00:11|short",
]
# sacct of 24.11: a line a job, then its steps
SACCT = [
    "820_0|RUNNING|0:0|2026-11-30T20:00:10|2026-11-30T20:01:00|Unknown|2|2|1G|00:00:00|||gpu-[1-2]|/home/a|fit|"
    "/home/a/slurm-%A_%a.out",
    "700|COMPLETED|0:0|2026-11-30T19:00:00|2026-11-30T19:00:01|2026-11-30T19:01:41|2|2|1000M|02:30.500|||cpu-1|"
    "/home/a|good|/home/a/logs/%x-%06j.txt",
    "700.batch|COMPLETED|0:0|2026-11-30T19:00:01|2026-11-30T19:00:01|2026-11-30T19:01:41|2|2||02:30.500|307200K|"
    "cpu=00:02:30,energy=0,fs/disk=4202496,mem=300M,pages=0,vmem=400M|cpu-1||batch|",
    "701|CANCELLED by 4242|0:0|2026-11-30T19:00:00|None|2026-11-30T19:00:05|1|0|512M|00:00:00|||"
    "None assigned|/home/a|stopped|/home/a/slurm-%j.out",
    "702|FAILED|0:9|2026-11-30T19:00:00|2026-11-30T19:00:01|2026-11-30T19:00:02|1|1|512M|00:00:00|||cpu-1|"
    "/home/a|greedy|/dev/null",
    "703|FAILED|3:0|2026-11-30T19:00:00|2026-11-30T19:00:01|2026-11-30T19:00:02|1|1|512M|00:00:00|||cpu-1|"
    "/home/a|three|out.txt",
    "704|TIMEOUT|0:0|2026-11-30T19:00:00|2026-11-30T19:00:01|2026-11-30T19:01:02|1|1|512M|00:00:00|||cpu-1|"
    "/home/a|long|/home/a/slurm-%j.out",
]
AT = 1796068920.0  # 2026-11-30 20:02 UTC
QUEUED: list[dict[str, Any]] = [
    {
        "ClusterId": 31, "ProcId": 0, "JobStatus": 2, "JobBatchName": "map", "Cmd": "/bin/sh",
        "QDate": AT - 120, "RemoteHost": "standard2_1@condor-ep-1", "JobCurrentStartDate": AT - 100,
        "RequestCpus": 2, "RequestMemory": 128, "ResidentSetSize": 65536, "RemoteUserCpu": 90.0,
        "RemoteSysCpu": 10.0,
        "MemoryUsage": "/Expr(( ( ResidentSetSize + 1023 ) / 1024 ))/", "Iwd": "/home/a", "Out": "out.0",
    },
    {"ClusterId": 31, "ProcId": 1, "JobStatus": 1, "Cmd": "/usr/bin/sleep", "QDate": AT - 120,
     "LastRejMatchReason": "no match found ", "RequestMemory": "/Expr(ifthenelse(MemoryUsage,1,2))/"},
    {"ClusterId": 32, "ProcId": 0, "JobStatus": 5, "JobBatchName": "<b>big</b>", "QDate": AT - 60,
     "HoldReason": "Error from slot1: memory usage exceeded request_memory", "RequestMemory": 64},
]  # fmt: skip
PAST: list[dict[str, Any]] = [
    {"ClusterId": 29, "ProcId": 0, "JobStatus": 4, "ExitBySignal": False, "ExitCode": 0, "CpusUsage": 0.0,
     "RemoteUserCpu": 48.0, "RemoteSysCpu": 2.0,
     "JobCurrentStartDate": AT - 300, "EnteredCurrentStatus": AT - 200, "RequestCpus": 1, "Cmd": "/bin/a",
     "LastRemoteHost": "slot1_1@condor-ep-2", "Out": "/dev/null", "Iwd": "/home/a"},
    {"ClusterId": 29, "ProcId": 1, "JobStatus": 4, "ExitBySignal": True, "ExitSignal": 11, "Cmd": "/bin/a",
     "EnteredCurrentStatus": AT - 200},
    {"ClusterId": 30, "ProcId": 0, "JobStatus": 3, "Cmd": "/bin/a", "EnteredCurrentStatus": AT - 100,
     "RemoveReason": f"via condor_rm (by user {guardian.user()})"},
]  # fmt: skip


def squeue(mark: str = MARK) -> str:
    """As squeue prints it."""
    return "".join(f"{mark.join(line.split('|', len(slurm.QUEUE) - 1))}{mark}\n" for line in SQUEUE)


def sacct(mark: str = MARK) -> str:
    """As sacct prints it."""
    return "".join(f"{line.replace('|', mark)}{mark}\n" for line in SACCT)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What each command says: a text, or an error; "asked" has the words of all."""
    said: dict[str, Any] = {
        "condor_q": json.dumps(QUEUED), "condor_history": json.dumps(PAST), "asked": [],
    }  # fmt: skip

    def answer(words: Sequence[str], env: object = None, within: float = 0.0) -> str:
        said["asked"].append(list(words))
        mark = next((word for word in words if word.startswith(("--delimiter=", "--format=%i"))), "")
        mark = mark.removeprefix("--delimiter=").removeprefix("--format=%i").partition("%")[0]
        text = {"squeue": lambda: squeue(mark), "sacct": lambda: sacct(mark)}.get(words[0], lambda: "")()
        text = said.get(words[0], text)
        if isinstance(text, Exception):
            raise text
        return str(text)

    def both(*_: object) -> list[place.Cluster]:
        return ["slurm", "condor"]

    monkeypatch.setattr(systems, "answer", answer)
    monkeypatch.setattr(place, "clusters", both)
    settings = tmp_path / "batch.ini"
    settings.write_text("[jobs]\nsessions = jh-*\n")
    monkeypatch.setattr(place.settings, "__defaults__", (settings,))
    return said


def test_a_name_of_any_kind_takes_nothing_from_squeues_answer():
    own, running, waiting, held, ending = slurm.of_squeue(squeue(), MARK)
    assert (running.number, running.name, running.node) == ("820_0", "fit | two\nlines", "gpu-[1-2]")
    assert (running.cpus, running.memory, running.started) == (2, 1 << 30, AT - 60)
    assert (waiting.number, waiting.count, waiting.group) == ("820_[1-9,12]", 10, "820")
    assert waiting.reason == "no more of them may run at a time"
    assert (held.state, held.reason, held.name) == ("held", "you put it on hold", "")
    assert (own.state, ending.state) == ("running", "ending")


def test_an_answer_of_slurm_that_is_cut_off_is_none():
    with pytest.raises(systems.NoAnswerError, match="cut off"):
        list(slurm.of_squeue(squeue()[:-20], MARK))
    assert slurm.of_sacct("", MARK) == []


def test_accounting_says_what_a_job_used_and_why_it_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    monkeypatch.setattr(guardian, "user", lambda: "a")
    found = {job.number: job for job in slurm.of_sacct(sacct(), MARK)}
    good = found["700"]
    assert (good.state, good.cpu_time, good.cpu(AT)) == ("done", 150.5, pytest.approx(0.7525))
    assert (good.memory, good.memory_used) == (1000 << 20, 300 << 20)
    assert good.log == "/home/a/logs/good-000700.txt"
    assert found["820_0"].log == "/home/a/slurm-820_0.out"
    assert (found["701"].state, found["701"].reason, found["701"].node) == (
        "cancelled",
        "you cancelled it",
        "",
    )
    assert (
        found["702"].reason
        == "it was killed, as a job is that uses more memory than it had requested: see its log"
    )
    assert found["702"].log == ""
    assert (found["703"].reason, found["703"].log) == ("it ended with exit code 3", "/home/a/out.txt")
    assert found["704"].reason == "it reached its time limit"


def test_a_slurm_that_does_not_know_where_jobs_print_to_is_asked_without(answers: dict[str, Any]):
    answers["sacct"] = systems.NoAnswerError('sacct: error: Invalid field requested: "StdOut"')
    with pytest.raises(systems.NoAnswerError):
        slurm.records({}, AT, 1)
    first, second = answers["asked"]
    assert "StdOut" in first[-1]
    assert "StdOut" not in second[-1]


def test_what_running_jobs_use_is_of_all_their_steps():
    said = "821.batch|cpu=00:00:10,energy=0,mem=100M|90M|\n821.0|cpu=1-00:00:00,mem=1.5G|80M|\n"
    assert slurm.of_sstat(said) == {"821": (86410.0, (100 << 20) + (3 << 29))}


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 1), ("12_3", 1), ("12_[0-99]", 100), ("12_[0-8:2,20]", 6), ("12_[5%2]", 1), ("12_[1-3...]", 1)],
)
def test_waiting_tasks_are_counted(text: str, number: int):
    assert slurm.tasks(text) == number


def test_htcondors_ads_are_read_whatever_is_in_them():
    running, waiting, held = condor.of_ads(json.dumps(QUEUED), AT)
    assert (running.number, running.name, running.node) == ("31.0", "map", "condor-ep-1")
    assert (running.cpu(AT), running.memory_used, running.memory) == (0.5, 64 << 20, 128 << 20)
    (older,) = condor.of_ads(json.dumps([{**QUEUED[0], "CpusUsage": 1.5}]), AT)
    assert older.cpu(AT) == 0.75, "by the latest rate, where the rest is old"
    assert running.log == "/home/a/out.0"
    assert (waiting.name, waiting.reason) == ("sleep", "no slot with enough CPUs and memory is free")
    assert waiting.memory == 0
    assert (held.state, held.reason) == ("held", "it used more memory than it had requested")
    done, failed, cancelled = condor.of_ads(json.dumps(PAST), AT)
    assert (done.state, done.cpu(AT), done.log, done.ended) == ("done", 0.5, "", AT - 200)
    assert (failed.state, failed.reason) == ("failed", "it was ended by signal 11 (SEGV)")
    assert (cancelled.state, cancelled.reason) == ("cancelled", "you cancelled it")
    for said in ("via condor_hold (by user {})", "submitted on hold at user's request"):
        hold = said.format(guardian.user())
        (held,) = condor.of_ads(json.dumps([{**QUEUED[2], "HoldReason": hold}]), AT)
        assert held.reason == "you put it on hold"
    assert condor.of_ads("", AT) == [], "what it prints when there is no job"
    with pytest.raises(systems.NoAnswerError):
        condor.of_ads('[{"JobStatus": 2}]', AT)


def look(env: dict[str, str] | None = None, clock: Callable[[], float] = lambda: AT) -> Overview:
    return Overview(env=env or {}, clock=clock)


def test_jobs_of_both_systems_are_one_list_and_arrays_one_group(answers: dict[str, Any]):
    found = look({"SLURM_JOB_ID": "811"}).look()
    assert found.missing == []
    by_number = {job.number: job for job in found}
    assert by_number["811"].session == "this"
    assert by_number["820_0"].log == "/home/a/slurm-820_0.out", "of accounting, though it runs"
    assert {"700", "701", "29.0", "30.0"} <= by_number.keys()
    assert [job.active for job in found] == sorted((job.active for job in found), reverse=True)
    (array,) = [group for group in found.groups() if group[0].group == "820"]
    assert overview.counts(array) == {"running": 1, "waiting": 10}
    shown = found._repr_html_()
    assert "&lt;b&gt;big&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert "Slurm 811" in repr(found)


def test_accounting_is_asked_seldom(answers: dict[str, Any]):
    now = [AT]
    known = look(clock=lambda: now[0])
    for _ in range(12):
        known.look()
        now[0] += 5
    asked = [words[0] for words in answers["asked"]]
    assert asked.count("squeue") == 12
    assert asked.count("condor_history") == 1, "nothing has changed within a minute"


def test_a_system_that_does_not_answer_hides_nothing_of_the_other(answers: dict[str, Any]):
    known = look()
    known.look()
    answers["squeue"] = systems.NoAnswerError("squeue: Unable to contact slurm controller")
    found = known.look()
    assert found.missing == ["Slurm does not answer: squeue: Unable to contact slurm controller"]
    assert {job.cluster for job in found} == {"slurm", "condor"}, "the last that was known stays"


def test_accounting_that_is_away_is_said_as_long_as_it_is_and_not_asked_at_each_look(answers: dict[str, Any]):
    now = [AT]
    known = look(clock=lambda: now[0])
    answers["sacct"] = systems.NoAnswerError("sacct: error: Problem talking to the database")
    for _ in range(3):
        found = known.look()
        assert found.missing == ["Slurm does not answer: sacct: error: Problem talking to the database"]
        assert "811" in {job.number for job in found}
        now[0] += 3
    assert [words[0] for words in answers["asked"]].count("sacct") == 1
    del answers["sacct"]
    now[0] += overview.SOON
    assert known.look().missing == []


def test_what_a_running_job_uses_does_not_fall_between_two_questions(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(place, "VOUCHER", tmp_path)
    answers["sstat"] = "821.batch|cpu=00:01:00,mem=100M|90M|\n"
    now = [AT]
    known = look(clock=lambda: now[0])
    for _ in range(3):
        (task,) = [job for job in known.look() if job.number == "820_0"]
        assert task.cpu(now[0]) == pytest.approx(0.5)
        assert task.memory_used == 100 << 20
        now[0] += 5
    assert [words[0] for words in answers["asked"]].count("sstat") == 1


def test_a_job_between_the_queue_and_accounting_does_not_vanish(answers: dict[str, Any]):
    now = [AT]
    known = look(clock=lambda: now[0])
    known.look()
    answers["squeue"] = ""
    now[0] += 5
    (left,) = [job for job in known.look() if job.number == "820_0"]
    assert left.state == "ending"


def test_why_a_system_cannot_be_asked_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(place, "clusters", lambda *_: [])
    (tmp_path / "why").write_text(
        "Slurm: You are not in the group hpc.\nHTCondor: The hub does not answer.\n"
    )
    found = look({"BENCHTOP_CREDENTIALS": str(tmp_path)}).look()
    assert found.missing == ["Slurm: You are not in the group hpc.", "HTCondor: The hub does not answer."]
    assert look().look().missing == [overview.NOBODY]
    assert repr(look().look()).startswith("No jobs.")


def test_all_are_cancelled_but_no_session(answers: dict[str, Any]):
    found = look({"SLURM_JOB_ID": "811"}).look()
    answers["asked"].clear()
    found.cancel()
    assert sorted(words[0] for words in answers["asked"]) == ["condor_rm", "scancel"]
    (slurms,) = [words[1:] for words in answers["asked"] if words[0] == "scancel"]
    assert set(slurms) == {"820_0", "820_[1-9,12]", "822", "823"}
    (own,) = [job for job in found if job.session == "this"]
    with pytest.raises(CannotCancelError, match="your session itself"):
        own.cancel()


def test_what_is_not_cancelled_is_said_and_what_has_ended_is_no_error(answers: dict[str, Any]):
    answers["scancel"] = systems.NoAnswerError(
        "scancel: error: Kill job error on job id 9: Invalid job id specified"
    )
    cancel("slurm", ["9"])
    answers["scancel"] = systems.NoAnswerError(
        "scancel: error: Kill job error on job id 9: Access/permission denied"
    )
    with pytest.raises(CannotCancelError, match="Job 9 was not cancelled: it is not a job of yours"):
        cancel("slurm", ["9"])
    answers["condor_rm"] = systems.NoAnswerError("condor_rm: AUTHENTICATE:1003:Failed to authenticate")
    with pytest.raises(CannotCancelError, match="authenticate"):
        cancel("condor", ["9.1"])
    for number in ("9; reboot", "--user=bob", "9.", "", "-9"):
        with pytest.raises(CannotCancelError, match="is not a job number"):
            cancel("condor", [number])


def test_the_module_of_the_same_subject_does_not_take_the_name_away():
    assert benchtop_batch.systems is systems
    assert callable(benchtop_batch.jobs)


def test_whose_job_a_process_is_part_of(tmp_path: Path):
    ad = tmp_path / "ad"
    ad.write_text('Args = "a = b"\nClusterId = 31\nProcId = 0\n')
    assert place.own_job({"SLURM_JOB_ID": "5"}) == ("slurm", "5")
    assert place.own_job({"_CONDOR_JOB_AD": str(ad)}) == ("condor", "31.0")
    assert place.own_job({"_CONDOR_JOB_AD": str(tmp_path / "none")}) is None


def test_a_list_of_a_thousand_is_short_in_a_notebook():
    found = Jobs([Job("slurm", str(number), "x", "waiting") for number in range(1000)])
    assert len(repr(found).splitlines()) == overview.SHOWN + 1
    assert repr(found).endswith("… and 980 more")
