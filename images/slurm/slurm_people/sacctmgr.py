"""Slurm's own commands, and what they say of what is there."""

import subprocess
from collections.abc import Mapping

from slurm_people import Refused


def run(*command: str) -> str:
    """Run a command; its output. Raises Refused with what it printed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        printed = " ".join((done.stderr + done.stdout).split())
        raise Refused(f"`{' '.join(command)}` failed: {printed}")
    return done.stdout


def change(*words: str) -> None:
    """One change by sacctmgr, without asking back."""
    run("sacctmgr", "--immediate", "--quiet", *words)


def show(what: str, *columns: str) -> list[dict[str, str]]:
    """The rows of `sacctmgr show`, by column."""
    out = run("sacctmgr", "--noheader", "--parsable2", "show", *what.split(), f"format={','.join(columns)}")
    return [dict(zip(columns, line.split("|"), strict=True)) for line in out.splitlines()]


def cleared(key: str, value: str, before: str) -> str:
    """How to tell sacctmgr a value: an absent limit, or a resource that is no longer limited, is -1."""
    if key in ("MaxTRESPU", "MaxTRES"):
        gone = {word.split("=")[0] for word in before.split(",") if word} - {
            word.split("=")[0] for word in value.split(",")
        }
        return ",".join([*filter(None, [value]), *(f"{name}=-1" for name in sorted(gone))])
    if key in ("MaxJobsPU", "MaxWall", "Flags", "MaxJobs", "MaxSubmit"):
        return value or "-1"
    return value


def set_words(before: Mapping[str, str], different: Mapping[str, str]) -> list[str]:
    """The words by which sacctmgr sets these values."""
    return [f"{key}={cleared(key, value, before[key])}" for key, value in different.items()]


def in_words(before: Mapping[str, str], different: Mapping[str, str]) -> str:
    """The same for an admin: MaxJobs 10 → none."""
    return ", ".join(f"{key} {before[key] or 'none'} → {value or 'none'}" for key, value in different.items())


class Changes:
    """Prints each change; knows whether slurmctld has to read its partitions again."""

    def __init__(self) -> None:
        self.count = 0
        self.reread = False

    def say(self, sentence: str) -> None:
        """Tell one change."""
        self.count += 1
        print(sentence, flush=True)
