"""What JupyterLab's Jobs panel is told, and what it may cancel."""

from typing import Any

import pytest

from benchtop_batch import listing
from benchtop_batch.listing import Job, Jobs
from benchtop_lab.jobs import board as panel
from benchtop_lab.jobs.board import Board

AT = 10_000.0


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What was cancelled; job 13 cannot be."""
    done: list[tuple[str, list[str]]] = []

    def cancel(cluster: str, numbers: list[str]) -> None:
        if numbers == ["13"]:
            raise listing.CannotCancelError("Job 13 was not cancelled: Slurm is away.")
        done.append((cluster, numbers))

    monkeypatch.setattr(listing, "cancel", cancel)
    return done


def shown(monkeypatch: pytest.MonkeyPatch, *jobs: Job) -> tuple[Board, dict[str, Any]]:
    """The panel of somebody with these jobs, whose JupyterLab shows /home/a."""

    class Overview:
        def __init__(self, **_: object) -> None: ...

        def look(self) -> Jobs:
            return Jobs(jobs, ["HTCondor does not answer."], AT)

    monkeypatch.setattr(listing, "Overview", Overview)
    board = Board("/home/a")
    return board, board.look()


def test_an_array_is_one_line_with_counts_and_what_its_jobs_use_together(monkeypatch: pytest.MonkeyPatch):
    ran = {"started": AT - 100, "cpus": 1, "memory": 100, "node": "cpu-1", "submitted": AT - 200}
    _, told = shown(
        monkeypatch,
        Job("slurm", "5_0", "fit", "done", ended=AT, cpu_time=100.0, memory_used=30, **ran),  # type: ignore[arg-type]
        Job("slurm", "5_1", "fit", "running", cpu_time=50.0, memory_used=60, **ran),  # type: ignore[arg-type]
        Job("slurm", "5_[2-999]", "fit", "waiting", reason="all suitable nodes are busy", count=998),
        Job("slurm", "6", "old", "failed", reason="it reached its time limit", ended=AT - 5),
    )
    (array,), (old,) = told["active"]["groups"], told["ended"]["groups"]
    assert (array["number"], array["counts"]) == ("5", {"running": 1, "waiting": 998, "done": 1})
    assert (array["cpu"], array["memory_used"], array["node"]) == (0.75, 60, "cpu-1")
    assert array["reason"] == "all suitable nodes are busy"
    assert [job["number"] for job in array["jobs"]] == ["5_1", "5_[2-999]", "5_0"]
    assert (old["number"], old["reason"], "jobs" in old) == ("6", "it reached its time limit", False)
    assert told["counts"] == {"running": 1, "waiting": 998}
    assert told["missing"] == ["HTCondor does not answer."]


def test_a_thousand_jobs_are_counted_and_some_of_them_shown(monkeypatch: pytest.MonkeyPatch):
    _, told = shown(monkeypatch, *(Job("condor", f"{number}.0", "x", "waiting") for number in range(1000)))
    active = told["active"]
    assert (len(active["groups"]), active["more"]) == (panel.GROUPS, 1000 - panel.GROUPS)
    assert told["counts"] == {"waiting": 1000}


@pytest.mark.parametrize(
    ("log", "path"),
    [
        ("/home/a/logs/1.txt", "logs/1.txt"),
        ("/home/a/.cache/1.txt", ""),
        ("/home/bob/1.txt", ""),
        ("/home/a/../bob/1.txt", ""),
        ("", ""),
    ],
)
def test_a_log_can_be_opened_where_jupyterlab_shows_it(monkeypatch: pytest.MonkeyPatch, log: str, path: str):
    _, told = shown(monkeypatch, Job("slurm", "1", "x", "running", log=log))
    (job,) = told["active"]["groups"]
    assert (job["log"], job["open"]) == (log, path)


def test_a_session_is_not_cancelled_from_here_and_other_jobs_are(
    monkeypatch: pytest.MonkeyPatch, cancelled: list[tuple[str, list[str]]]
):
    board, _ = shown(
        monkeypatch,
        Job("slurm", "11", "jh-a", "running", session="this"),
        Job("condor", "12.0", "jh-b", "running", session="other"),
        Job("slurm", "12", "mine", "running"),
    )
    assert board.cancel("slurm", "11").startswith("Job 11 is a session")
    assert board.cancel("condor", "12").startswith("Job 12 is a session")
    assert board.cancel("condor", "12.0").startswith("Job 12.0 is a session")
    assert cancelled == []
    assert board.cancel("slurm", "12") == ""
    assert cancelled == [("slurm", ["12"])]
    assert board.cancel("slurm", "13") == "Job 13 was not cancelled: Slurm is away."
