"""Sessions on the login node, for real: what is started, limited, told of, ended; and nothing is left."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchtop_lab.login_node import commands, keeper, processes, records
from benchtop_lab.login_node.request import Refused
from support.wait import wait_until

GONE = 20  # seconds on a busy machine
SLEEP = "import time; time.sleep(600)"
# A grandchild that nobody waits for: double fork and a session of its own, deaf to SIGTERM
ORPHAN = """
import os, signal, sys, time
if not os.fork():
    os.setsid()
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[0] + ".pid", "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
Start = Callable[..., str]


def records_in(node: Path, uid: int | None = None) -> Path:
    """The folder of a person's records, by default of one's own; root makes it when they first come."""
    return node / "sessions" / str(os.getuid() if uid is None else uid)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A login node of one's own: its records and homes in a folder."""
    records_in(tmp_path).mkdir(parents=True)
    monkeypatch.setattr(records, "RECORDS", tmp_path / "sessions")
    monkeypatch.setattr(keeper, "LEAVERS", tmp_path / "leavers")
    monkeypatch.setattr(keeper, "EVERY", 0.1)
    monkeypatch.setattr(keeper, "PRESENCE", 0.1)
    monkeypatch.setattr(keeper, "GRACE", 0.5)
    yield tmp_path
    for record in records.own_records():
        if record.alive:
            os.kill(record.pid, signal.SIGTERM)
            wait_until(lambda record=record: not record.alive, timeout=GONE, what="the end of a session")


@pytest.fixture
def start(node: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a session that runs a Python program; its number."""

    def begin(program: str, **more: object) -> str:
        script = node / "program.py"
        script.write_text(program)
        monkeypatch.setattr(keeper, "PROGRAM", (sys.executable, str(script)))
        asked = {"env": {"USER": "alice", "SECRET": "told"}, "home": str(node), "log": str(node / "log")}
        asked |= {"runtime": 600, "memory": 200, "cpu": 600, "processes": 100_000, "files": 256}
        return commands.start(json.dumps(asked | {"group": "no-such-group"} | more))

    return begin


def state(number: str) -> tuple[str, str]:
    """What the list says: state and reason; empty when it says nothing."""
    for line in commands.listing().splitlines():
        found, state, _, _, reason = line.split("|", 4)
        if found == number:
            return state, reason
    return "", ""


def becomes(number: str, wanted: str) -> str:
    """Wait for a state; the reason."""
    wait_until(lambda: state(number)[0] == wanted, timeout=GONE, what=f"{number} to be {wanted or 'gone'}")
    return state(number)[1]


def there(pid: int) -> bool:
    return processes.process(pid) is not None


def pid_in(path: Path) -> int:
    return int(wait_until(lambda: path.exists() and path.read_text(), timeout=GONE, what=f"a pid in {path}"))


def test_a_session_runs_with_its_own_environment_and_no_other(start: Start, node: Path):
    number = start("import os; print(sorted(os.environ))")
    becomes(number, "COMPLETED")
    assert "'SECRET', 'USER'" in (node / "log").read_text()
    assert "SSH" not in (node / "log").read_text()
    assert (node / "log").stat().st_mode & 0o077 == 0


def test_a_session_knows_when_its_runtime_is_over(start: Start, node: Path):
    before = int(time.time())
    number = start("import os; print(os.environ['BENCHTOP_ENDS'])", runtime=900)
    becomes(number, "COMPLETED")
    assert before <= int((node / "log").read_text()) - 900 <= time.time()


def test_what_is_told_of_a_session_holds_no_secret(start: Start, node: Path):
    number = start(SLEEP)
    assert state(number)[0] == "RUNNING", "the control: it is told of"
    assert "told" not in "".join(path.read_text() for path in records_in(node).iterdir())


def test_stopping_ends_it_and_forgets_it(start: Start):
    number = start(SLEEP)
    commands.stop(number)
    becomes(number, "")


def test_nothing_survives_the_end_of_a_session(start: Start, node: Path):
    number = start(ORPHAN)
    orphan = pid_in(node / "program.py.pid")
    assert there(orphan), "the control: it had cut itself loose"
    commands.stop(number)
    becomes(number, "")
    assert not there(orphan)


def test_nothing_survives_when_the_session_ends_by_itself(start: Start, node: Path):
    number = start(ORPHAN.replace("os._exit(0)\ntime.sleep(600)", "os._exit(0)\ntime.sleep(1)"))
    orphan = pid_in(node / "program.py.pid")
    becomes(number, "COMPLETED")
    assert not there(orphan)


def test_what_takes_too_much_memory_is_ended_with_the_numbers(start: Start):
    number = start("import time\nheld = [bytearray(1 << 20) for _ in range(300)]\ntime.sleep(600)")
    reason = becomes(number, "OUT_OF_MEMORY")
    assert reason.startswith("it used ")
    assert reason.endswith("the limit on the login node is 200 MB")


def test_the_memory_of_all_its_processes_counts(start: Start):
    hold = "held = [bytearray(1 << 20) for _ in range(120)]; import time; time.sleep(600)"
    number = start(
        f"import subprocess, sys\nhold = [sys.executable, '-c', {hold!r}]\n"
        "a, b = (subprocess.Popen(hold) for _ in '12')\na.wait()"
    )
    becomes(number, "OUT_OF_MEMORY")


def test_another_session_does_not_notice(start: Start, node: Path):
    """Its neighbour, looked after by a process of its own, goes on."""
    neighbour = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        becomes(start("import time\nheld = bytearray(300 << 20)\ntime.sleep(600)"), "OUT_OF_MEMORY")
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()


def test_one_process_that_wants_far_too_much_is_told_no(start: Start, node: Path):
    becomes(start("held = bytearray(1 << 30)"), "FAILED")
    assert "MemoryError" in (node / "log").read_text()


def test_a_session_ends_when_its_time_is_over(start: Start):
    assert becomes(start(SLEEP, runtime=1), "TIMEOUT") == "its time limit of 0 minutes was reached"


def test_cpu_time_is_bounded(start: Start):
    assert "CPU time" in becomes(start("while True: pass", cpu=1), "FAILED")


def test_the_limits_cannot_be_raised(start: Start, node: Path):
    becomes(
        start("import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE))"),
        "COMPLETED",
    )
    assert (node / "log").read_text() == "(256, 256) (0, 0)\n"


def test_a_session_that_fails_says_how(start: Start):
    assert becomes(start("raise SystemExit(3)"), "FAILED") == "JupyterLab stopped by itself (exit code 3)"


@pytest.mark.parametrize("end", ["raise SystemExit('no space left')", "os.kill(os.getpid(), 9)"])
def test_the_last_words_of_one_that_fails_are_told_before_its_end_is(start: Start, listening_hub, end: str):
    program = f"import os; print('no space left', flush=True); {end}"
    becomes(start(program, env={"USER": "alice", **listening_hub.environment}), "FAILED")
    ((path, token, said),) = listening_hub.heard
    assert (path, token) == ("/hub/api/session/last-words", "token its-own-token")
    assert "no space left" in said["log"]


def test_one_that_is_stopped_has_nothing_to_explain(start: Start, listening_hub):
    number = start(SLEEP, env={"USER": "alice", **listening_hub.environment})
    commands.stop(number)
    becomes(number, "")
    assert listening_hub.heard == []


def test_a_second_session_is_refused_and_the_first_lives_on(start: Start):
    number = start(SLEEP)
    with pytest.raises(Refused, match="already"):
        start(SLEEP)
    assert state(number)[0] == "RUNNING"


def test_after_one_ended_the_next_starts(start: Start):
    number = start("")
    becomes(number, "COMPLETED")
    assert start(SLEEP) != number


def test_who_is_disabled_has_no_session_any_more(start: Start, node: Path):
    number = start(SLEEP)
    assert state(number)[0] == "RUNNING", "the control: before"
    (node / "leavers").mkdir()
    (node / "leavers/alice").touch()
    becomes(number, "")


def table(*rows: tuple[int, int, int]) -> dict[int, processes.Process]:
    """Processes by (pid, parent, uid)."""
    return {pid: processes.Process(pid, parent, 0, uid) for pid, parent, uid in rows}


NODE = table(
    (1, 0, 0), (7, 1, 0), (20, 7, 0), (21, 20, 2001),  # init, sshd, somebody who comes by it
    (30, 1, 2001), (31, 30, 2001),                     # a keeper and its session
    (40, 1, 2001), (41, 40, 2001),                     # what a keeper left that was killed
    (50, 0, 2001), (51, 50, 2001),                     # a shell from outside
    (60, 1, 2002),                                     # somebody else's
)  # fmt: skip


def test_what_is_left_of_a_keeper_that_was_killed_is_found_and_nothing_else():
    assert commands.leftovers(NODE, 2001, {30}) == [40, 41]


@pytest.mark.parametrize("uid", [0, 7, 1412, 1499])
def test_nothing_is_ever_left_over_of_root_or_a_service(uid: int):
    assert commands.leftovers(table((1, 0, 0), (7, 1, uid), (8, 7, uid)), uid, ()) == []


def test_one_whose_keeper_was_killed_is_known_as_lost(start: Start, node: Path):
    number = start(SLEEP)
    (record,) = records.own_records()
    left = wait_until(lambda: processes.offspring(record.pid), timeout=GONE, what="the session's process")
    os.kill(record.pid, signal.SIGKILL)
    assert becomes(number, "FAILED") == "the process that looks after it was ended"
    processes.kill(left)  # its own, by number: see leftovers
    commands.stop(number)
    becomes(number, "")


def test_a_record_in_somebody_elses_name_is_not_believed(node: Path):
    record = {"pid": os.getpid(), "born": 1, "state": "RUNNING", "reason": ""}
    other = records_in(node, os.getuid() + 1)
    other.mkdir()
    (other / "7").write_text(json.dumps(record))
    assert commands.listing() == ""
    (records_in(node) / "7").write_text(json.dumps(record))
    assert commands.listing().startswith(f"local-{os.getuid()}-7|"), "the control: one's own is"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 1000,
        '{"pid": 1}',
        '{"pid": 1, "born": 1, "state": "x", "reason": ""}',
        '{"pid": 1e999, "born": 1, "state": "RUNNING", "reason": ""}',
    ],
)
def test_a_record_that_says_nothing_is_left_out(node: Path, text: str):
    (records_in(node) / "7").write_text(text)
    assert commands.listing() == ""


def test_a_reason_cannot_make_up_a_line_of_the_list(node: Path):
    record = {"pid": 1, "born": 1, "state": "FAILED", "reason": "x\nlocal-0-1|RUNNING||" + "y" * 600}
    (records_in(node) / "7").write_text(json.dumps(record))
    (line,) = commands.listing().splitlines()
    assert line.count("|") == 4


def test_no_record_is_read_or_written_through_a_link(
    start: Start, node: Path, monkeypatch: pytest.MonkeyPatch
):
    """Neither a record nor the folder is followed elsewhere, whoever put it there."""
    own = records_in(node)
    elsewhere = node / "elsewhere"
    elsewhere.mkdir()
    record = {"pid": os.getpid(), "born": 1, "state": "RUNNING", "reason": ""}
    (elsewhere / "7").write_text(json.dumps(record))
    (own / "7").symlink_to(elsewhere / "7")
    os.mkfifo(own / "8")
    assert commands.listing() == ""
    secret = node / "secret"
    secret.touch(mode=0o600)
    now = int(time.time())
    for second in range(now, now + GONE):
        (own / str(second)).symlink_to(secret)
    number = start("")
    becomes(number, "COMPLETED")
    assert secret.stat().st_mode & 0o077 == 0
    assert secret.read_text() == ""
    shutil.rmtree(own)
    own.symlink_to(elsewhere)
    assert commands.listing() == ""
    with pytest.raises(Refused, match="cannot be recorded"):
        start("")
    own.unlink()
    elsewhere.rename(own)
    assert commands.listing().startswith(f"local-{os.getuid()}-7|"), "the control: the record in its place"


def test_one_persons_thousand_records_do_not_make_the_list_long(start: Start, node: Path):
    record = {"pid": 1, "born": 1, "state": "FAILED", "reason": ""}
    for second in range(1000):
        (records_in(node) / str(second)).write_text(json.dumps(record))
    assert 0 < len(commands.listing().splitlines()) <= records.LOOKED_AT
    assert len(records.own_records()) == 1000, "the control: they are there"
    assert state(start(SLEEP))[0] == "RUNNING", "the next session is seen all the same"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"env": {}}', "null"])
def test_what_is_not_understood_starts_nothing(node: Path, text: str):
    with pytest.raises(Refused):
        commands.start(text)
    assert list(records_in(node).iterdir()) == []


def test_nobody_stops_what_is_not_theirs(node: Path):
    with pytest.raises(Refused, match="no such session"):
        commands.stop(f"local-{os.getuid() + 1}-7")
