"""What commands of the batch systems say, as pandas tables."""

import json
import shlex
import subprocess
from collections.abc import Sequence
from typing import Any

from benchtop_batch import guardian
from benchtop_batch.systems import SHOWN

PATIENCE = 60.0  # seconds for an answer
OF_HISTORY = 100  # jobs that %condor_history shows when nobody says which
_FORMATS = {
    # what a person names freely is last: it may hold the sign between the columns
    "squeue": "%i|%P|%u|%T|%M|%l|%D|%C|%m|%b|%R|%j",
    "sinfo": "%P|%a|%l|%D|%T|%c|%m|%G|%N",
}
_OWN_FORMATS = ("-o", "-O", "--format", "--Format", "-l", "--long")
_SACCT = (
    "JobID,User,Account,Partition,State,ExitCode,Start,Elapsed,Timelimit,AllocCPUS,TotalCPU,ReqMem,MaxRSS,"
    "NodeList,JobName"
)
_ATTRIBUTES = {
    "condor_q": (
        "ClusterId,ProcId,Owner,JobStatus,QDate,RemoteHost,RequestCpus,RequestMemory,MemoryUsage,HoldReason,"
        "JobBatchName,Cmd"
    ),
    "condor_history": (
        "ClusterId,ProcId,Owner,JobStatus,QDate,CompletionDate,RemoteWallClockTime,RemoteUserCpu,RequestCpus,"
        "RequestMemory,MemoryUsage,ExitCode,ExitSignal,LastRemoteHost,RemoveReason,JobBatchName,Cmd"
    ),
    "condor_status": (
        "Name,State,Activity,Cpus,Memory,TotalSlotCpus,TotalSlotMemory,LoadAvg,RemoteOwner,JobId"
    ),
}
_STATES = {
    1: "idle", 2: "running", 3: "removed", 4: "completed", 5: "held", 6: "running", 7: "suspended",
}  # fmt: skip


class TableError(RuntimeError):
    """There is no table; the message says why."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


def table(name: str, line: str) -> Any:
    """What the command says to these words, as a DataFrame. Raises TableError with a sentence."""
    try:
        import pandas
    except ImportError:
        raise TableError(
            f"This environment has no pandas, which tables need: `pip install pandas`, or use !{name}."
        ) from None
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise TableError(f"The options cannot be read: {error}. Quote what has spaces or quotes.") from None
    if name in _ATTRIBUTES:
        return of_ads(pandas, name, said(name, *_condor(name, words)))
    return of_lines(pandas, said(name, *_slurm(name, words)))


def _slurm(name: str, words: Sequence[str]) -> list[str]:
    if name == "sacctmgr":
        if not {"show", "list", "sh", "li"} & set(words):
            raise TableError(
                "%sacctmgr shows: for example %sacctmgr show assoc. To change something, use !sacctmgr."
            )
        return ["--parsable2", *words]
    own = any(word.startswith(_OWN_FORMATS) for word in words)
    if name == "sacct":
        return ["--parsable2", *([] if own else [f"--format={_SACCT}"]), *words]
    return [*([] if own else [f"--format={_FORMATS[name]}"]), *words]


def _condor(name: str, words: Sequence[str]) -> list[str]:
    given = list(words)
    if name == "condor_history" and not given:
        given = [guardian.user(), "-limit", str(OF_HISTORY)]
    if any(word.startswith("-attr") for word in given):
        return [*given, "-json"]
    return [*given, "-json", "-attributes", _ATTRIBUTES[name]]


def said(*command: str) -> str:
    """What it prints. Raises TableError."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise TableError(f"{command[0]} is not installed here.") from None
    except subprocess.TimeoutExpired:
        raise TableError(f"{command[0]} has not answered within {PATIENCE:.0f} s: try again later.") from None
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[:SHOWN]
        raise TableError(words if words.startswith(command[0]) else f"{command[0]}: {words}")
    return done.stdout


def of_lines(pandas: Any, text: str) -> Any:
    """A table of lines with a heading, in columns by “|”, else by spaces."""
    lines = text.splitlines()
    mark = "|" if lines and "|" in lines[0] else None
    heads = lines[0].split(mark) if lines else []
    rows = [line.split(mark, len(heads) - 1) for line in lines[1:] if line.strip()]
    frame = pandas.DataFrame(rows, columns=heads)
    for head in dict.fromkeys(heads):
        column = frame[head]
        if rows and column.ndim == 1 and column.map(lambda text: str(text).isdecimal()).all():
            frame[head] = column.astype("int64")
    return frame


def of_ads(pandas: Any, name: str, text: str) -> Any:
    """A table of what HTCondor prints as JSON."""
    ads = json.loads(text) if text.strip() else []
    heads = (
        _ATTRIBUTES[name].split(",") if not ads else list(dict.fromkeys(head for ad in ads for head in ad))
    )
    order = [head for head in _ATTRIBUTES[name].split(",") if head in heads]
    frame = pandas.DataFrame(ads, columns=[*order, *(head for head in heads if head not in order)])
    if "JobStatus" in frame:
        frame["JobStatus"] = frame["JobStatus"].map(lambda state: _STATES.get(state, state))
    for head in ("QDate", "CompletionDate"):
        if head in frame:
            frame[head] = pandas.to_datetime(frame[head], unit="s", errors="coerce")
    return frame
