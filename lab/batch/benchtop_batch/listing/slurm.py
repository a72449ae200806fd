"""Slurm's jobs, by squeue, sacct and sstat.

Fields and words are those of 24.11 (src/squeue/opts.c, src/sacct/print.c, src/common/slurm_protocol_defs.c).
A job's name is whatever its owner writes, line breaks included: so fields are kept apart by a mark that
nobody knows before.
"""

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from benchtop_batch import guardian, systems
from benchtop_batch.listing.job import Job, State

QUEUE = ("%i", "%A", "%T", "%r", "%N", "%C", "%m", "%S", "%V", "%j")
RECORDS = (
    "JobID", "State", "ExitCode", "Submit", "Start", "End", "ReqCPUS", "AllocCPUS", "ReqMem", "TotalCPU",
    "MaxRSS", "TRESUsageInTot", "NodeList", "WorkDir", "JobName", "StdOut",
)  # fmt: skip
# By name, and until now: without, it leaves out what was cancelled before it could start, or was on hold
ALL = "--state=BF,CA,CD,DL,F,NF,OOM,PD,PR,R,RV,S,TO"
USAGE = ("JobID", "TRESUsageInTot", "MaxRSS")
MOST = 40  # jobs whose use is asked for at a time: each is a question to its node
_LIVE: dict[str, State] = {
    "PENDING": "waiting", "RUNNING": "running", "CONFIGURING": "running", "RESIZING": "running",
    "SUSPENDED": "suspended", "STOPPED": "suspended", "COMPLETING": "ending", "STAGE_OUT": "ending",
    "SIGNALING": "ending", "REQUEUED": "waiting", "REQUEUE_FED": "waiting", "REQUEUE_HOLD": "held",
    "RESV_DEL_HOLD": "held", "SPECIAL_EXIT": "held",
}  # fmt: skip
_ENDED: dict[str, tuple[State, str]] = {
    "COMPLETED": ("done", ""),
    "CANCELLED": ("cancelled", "it was cancelled"),
    "TIMEOUT": ("failed", "it reached its time limit"),
    "DEADLINE": ("failed", "it could not have ended before its deadline"),
    "OUT_OF_MEMORY": ("failed", "it used more memory than it had requested"),
    "NODE_FAIL": ("failed", "its node was lost"),
    "BOOT_FAIL": ("failed", "its node did not start"),
    "PREEMPTED": ("failed", "another job needed its place"),
    "REVOKED": ("cancelled", "another cluster took it"),
    "FAILED": ("failed", "it failed"),
}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?)([KMGTP]?)[cn]?")
_TIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)(?:\.(\d+))?")
_PATTERN = re.compile(r"%(\d*)([%AaJjNnstux])")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """That of a command: a person's own wishes for what squeue shows are no matter of ours."""
    kept = {
        name: value for name, value in env.items() if not name.startswith(("SQUEUE_", "SACCT_", "SSTAT_"))
    }
    return {**kept, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard", "SLURM_BITSTR_LEN": "0"}


def queue(env: Mapping[str, str], within: float) -> list[Job]:
    """The jobs that have not ended. Raises NoAnswerError."""
    mark = os.urandom(8).hex()
    form = "".join(f"{field}{mark}" for field in QUEUE)
    words = ["squeue", "--noheader", f"--user={guardian.user()}", f"--format={form}"]
    return list(of_squeue(systems.answer(words, environment(env), within), mark))


def of_squeue(said: str, mark: str) -> Iterator[Job]:
    """Of squeue's fields QUEUE, each with the mark behind it."""
    for number, raw, state, reason, node, cpus, memory, start, submit, name in _rows(said, mark, len(QUEUE)):
        known = _LIVE.get(state.partition("+")[0])
        if known is None:
            continue  # it has ended: sacct knows more of it
        if known == "waiting" and reason.startswith(("JobHeld", "JobHold")):
            known = "held"
        waits = known in {"waiting", "held"}
        yield Job(
            "slurm", plain(number), name, known,
            reason=systems.why_slurm(reason) if waits else "",
            node="" if waits else node, submitted=_moment(submit), started=None if waits else _moment(start),
            cpus=_number(cpus), memory=amount(memory) or 0, count=tasks(number), raw=raw,
        )  # fmt: skip


def records(env: Mapping[str, str], since: float, within: float) -> list[Job]:
    """What accounting says of jobs that were there since then, ended or not. Raises NoAnswerError."""
    mark = os.urandom(8).hex()
    begin = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    words = [
        "sacct",
        "--noheader",
        f"--user={guardian.user()}",
        f"--starttime={begin}",
        "--endtime=now",
        ALL,
        "--parsable",
    ]
    for fields in (RECORDS, RECORDS[:-1]):  # before 24.05, it does not know where a job prints to
        with_fields = [*words, f"--delimiter={mark}", f"--format={','.join(fields)}"]
        try:
            return of_sacct(systems.answer(with_fields, environment(env), within), mark, fields)
        except systems.NoAnswerError as error:
            if "Invalid field" not in str(error) or fields != RECORDS:
                raise
    raise AssertionError


def of_sacct(said: str, mark: str, fields: Sequence[str] = RECORDS) -> list[Job]:
    """Of sacct's fields, each with the mark behind it: a line a job, then one for each of its steps."""
    found: dict[str, Job] = {}
    paths: dict[str, str] = {}
    for values in _rows(said, mark, len(fields)):
        row = dict(zip(fields, values, strict=True))
        number, _, step = plain(row["JobID"]).partition(".")
        if not step:
            found[number] = _of_record(row, number)
            said = row.get("StdOut", "")
            paths[number] = str(PurePosixPath(row["WorkDir"], said)) if said else ""
            continue
        most = usage(row["TRESUsageInTot"]).get("mem") or amount(row["MaxRSS"])
        if most and number in found:
            found[number] = replace(found[number], memory_used=max(found[number].memory_used or 0, int(most)))
    return [
        replace(job, log=_path(paths[number], job)) if job.started else job for number, job in found.items()
    ]


def _of_record(row: Mapping[str, str], number: str) -> Job:
    word, _, by = row["State"].partition(" ")
    state, reason = _ENDED.get(word, (_LIVE.get(word, "failed"), ""))
    if word == "FAILED":
        reason = _failed(row["ExitCode"]) if _moment(row["Start"]) else "Slurm could not start it"
    if word == "CANCELLED" and by.removeprefix("by ") == str(os.getuid()):
        reason = "you cancelled it"
    return Job(
        "slurm", number, row["JobName"], state, reason=reason,
        node="" if row["NodeList"].startswith("None") else row["NodeList"],
        submitted=_moment(row["Submit"]), started=_moment(row["Start"]),
        ended=_moment(row["End"]), cpus=_number(row["AllocCPUS"]) or _number(row["ReqCPUS"]),
        cpu_time=seconds(row["TotalCPU"]) if state not in _LIVE.values() else None,
        memory=amount(row["ReqMem"]) or 0, count=tasks(number),
    )  # fmt: skip


def _failed(code: str) -> str:
    """Of EXIT:SIGNAL."""
    status, _, number = code.partition(":")
    if number.isdecimal() and int(number):
        with suppress(ValueError):
            name = signal.Signals(int(number)).name.removeprefix("SIG")
            if int(number) == signal.SIGKILL:
                return "it was killed, as a job is that uses more memory than it had requested: see its log"
            return f"it was ended by signal {number} ({name})"
        return f"it was ended by signal {number}"
    return f"it ended with exit code {status}"


def _path(said: str, job: Job) -> str:
    """Where a job prints to, with sbatch's placeholders filled in as far as they are known here."""
    if said == "/dev/null":
        return ""
    array, _, task = job.number.partition("_")
    known = {"A": array, "x": job.name, "u": guardian.user(), "%": "%"}
    known |= {"a": task} if task else {"j": array, "J": array}
    if job.node and not set(job.node) & set("[,"):
        known["N"] = job.node

    def fill(found: re.Match[str]) -> str:
        width, letter = found.groups()
        value = known.get(letter, found[0])
        return value.zfill(min(int(width or 0), 10)) if value.isdecimal() else value

    return _PATTERN.sub(fill, said)


def used(env: Mapping[str, str], jobs: Mapping[str, str], within: float) -> dict[str, tuple[float, int]]:
    """Seconds of CPU and bytes of memory that running jobs use now. Raises NoAnswerError.

    jobs: Slurm's own number of each (squeue's %A), by the number that people know
    """
    asked = list(jobs.items())[:MOST]
    words = ["sstat", "--noheader", "--allsteps", "--parsable", f"--format={','.join(USAGE)}"]
    said = systems.answer([*words, f"--jobs={','.join(raw for _, raw in asked)}"], environment(env), within)
    found = of_sstat(said)
    return {number: found[raw] for number, raw in asked if raw in found}


def of_sstat(said: str) -> dict[str, tuple[float, int]]:
    """By Slurm's own numbers, of all steps together."""
    found: dict[str, tuple[float, int]] = {}
    for ident, text, most in _rows(said, "|", len(USAGE)):
        raw = ident.partition(".")[0]
        now = usage(text)
        cpu, memory = found.get(raw, (0.0, 0))
        found[raw] = cpu + now.get("cpu", 0.0), memory + int(now.get("mem") or amount(most) or 0)
    return found


def usage(text: str) -> dict[str, float]:
    """Of cpu=00:01:02,mem=12345K,…: seconds and bytes."""
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        number = seconds(value) if name == "cpu" else amount(value)
        if number is not None and name in {"cpu", "mem"}:
            found[name] = float(number)
    return found


def amount(text: str) -> int | None:
    """Bytes, of 500M, 1.5G or 1130496."""
    found = _AMOUNT.fullmatch(text.strip())
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def seconds(text: str) -> float | None:
    """Of 00:01.234, 01:02:03 or 2-03:04:05."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    days, hours, minutes, rest, part = (int(value or 0) for value in found.groups())
    thousandths = part / 10 ** len(found[5]) if found[5] else 0
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest + thousandths


def plain(number: str) -> str:
    """Without how many may run at a time: 12_[4-99] of 12_[4-99%5]."""
    return re.sub(r"%\d+\]", "]", number)


def tasks(number: str) -> int:
    """How many tasks are meant by 12_[0-9:2,20%4]; 1 of what is no such expression."""
    listed = number.partition("[")[2].rstrip("]").partition("%")[0]
    total = 0
    for part in filter(None, listed.split(",")):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return max(total, 1)
        total += (int(last or first) - int(first)) // max(1, _number(step)) + 1
    return max(total, 1)


def _rows(said: str, mark: str, width: int) -> Iterator[list[str]]:
    """Whatever stands before a mark, `width` at a time. Raises NoAnswerError for what is cut off."""
    *values, rest = said.split(mark)
    if rest.strip() or len(values) % width:
        raise systems.NoAnswerError("Slurm: the answer was cut off")
    for at in range(0, len(values), width):
        yield [value.strip() for value in values[at : at + width]]


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None  # N/A, Unknown, None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
