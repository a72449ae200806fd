"""Both batch systems' commands, for tests without one: jobs are processes here, one after the other.

`install(FOLDER)` puts them into a folder for PATH. What is in the queue lies in FOLDER/state: a file a task,
with its state, its number and its name. A file FOLDER/wait keeps new jobs waiting.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NAMES = (
    "sbatch", "squeue", "scancel", "sacct", "sinfo", "scontrol", "sacctmgr", "srun",
    "condor_submit", "condor_q", "condor_rm", "condor_history", "condor_status",
)  # fmt: skip
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "HELD"}
CODES = {"PENDING": 1, "RUNNING": 2, "CANCELLED": 3, "COMPLETED": 4, "FAILED": 4, "HELD": 5}


def install(folder: Path) -> Path:
    """Make the commands; the folder for PATH."""
    programs = folder / "bin"
    (folder / "state").mkdir(parents=True)
    programs.mkdir()
    for name in NAMES:
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} {folder} {name} "$@"\n')
        program.chmod(0o755)
    return programs


class Queue:
    """What is known of all tasks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"

    def number(self) -> int:
        """Of the next job."""
        counter = self.folder / "number"
        number = int(counter.read_text()) + 1 if counter.exists() else 100
        counter.write_text(str(number))
        return number

    def put(self, task: str, **facts: object) -> None:
        """Write down what is known of one."""
        known = {**self.get(task), **facts}
        new = self.state / f".{task}.{os.getpid()}"  # the job itself writes as well
        new.write_text(json.dumps(known))
        new.rename(self.state / task)

    def get(self, task: str) -> dict[str, object]:
        """What is."""
        file = self.state / task
        return json.loads(file.read_text()) if file.exists() else {}

    def all(self, **facts: str) -> dict[str, dict[str, object]]:
        """Those with these facts."""
        found = {
            file.name: self.get(file.name) for file in sorted(self.state.iterdir()) if file.name[0] != "."
        }
        return {task: one for task, one in found.items() if all(one.get(k) == v for k, v in facts.items())}


def run(queue: Queue, tasks: list[tuple[str, str, Path, str]], words: list[str]) -> None:
    """In a child: one task after the other. Each: number, its own name, its log, its script."""
    if os.fork():
        return
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(quiet, number)
    while (queue.folder / "wait").exists() and queue.get(tasks[0][0]).get("state") != "CANCELLED":
        time.sleep(0.02)
    if (queue.folder / "wait").exists():
        os._exit(0)
    for task, own, log, script in tasks:
        if queue.get(task)["state"] != "PENDING":
            continue
        env = {**os.environ, "SLURM_ARRAY_TASK_ID": own} if words else dict(os.environ)
        with log.open("ab") as out:
            program = subprocess.Popen(
                ["/bin/sh", *([script] if script else ["-c", words[0]]), own],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True,
            )  # fmt: skip
            queue.put(task, state="RUNNING", pid=program.pid)
            code = program.wait()
        if queue.get(task)["state"] == "RUNNING":
            queue.put(task, state="FAILED" if code else "COMPLETED", code=code)
    os._exit(0)


def kill(queue: Queue, task: str, state: str) -> None:
    """End a task in this way."""
    facts = queue.get(task)
    if facts.get("state") in ENDED - {"HELD"}:
        return
    queue.put(task, state=state)
    if facts.get("pid"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(str(facts["pid"])), signal.SIGKILL)


def option(words: list[str], name: str, default: str = "") -> str:
    """Of a command line."""
    return next((word.partition("=")[2] for word in words if word.startswith(f"--{name}=")), default)


def sbatch(queue: Queue, words: list[str]) -> int:
    script = sys.stdin.read()
    (queue.folder / "submitted").open("a").write(json.dumps(words) + "\n")
    if option(words, "partition") == "refused":
        print("sbatch: error: Batch job submission failed: Invalid qos specification", file=sys.stderr)
        return 1
    number, array = queue.number(), option(words, "array").partition("%")[0]
    ids = []
    for part in filter(None, array.split(",")):
        first, _, last = part.partition("-")
        ids += [str(one) for one in range(int(first), int(last or first) + 1)]
    tasks = []
    for own in ids or ["0"]:
        task = f"{number}_{own}" if array else str(number)
        log = Path(option(words, "output").replace("%a", own).replace("%%", "%"))
        queue.put(task, state="PENDING", name=option(words, "job-name"), job=str(number), node="")
        tasks.append((task, own, log, ""))
    run(queue, tasks, [script])
    print(number)
    return 0


def squeue(queue: Queue, words: list[str]) -> int:
    ended = "--states=all" in words
    for task, facts in queue.all(name=option(words, "name")).items():
        if ended or facts["state"] not in ENDED:
            if option(words, "format") == "%i":
                print(task)
            else:
                print(f"{task}|{facts['state']}|node-1|{facts.get('reason', 'Resources')}")
    return 0


def scancel(queue: Queue, words: list[str]) -> int:
    name = option(words, "name")
    for task, facts in queue.all().items():
        if task in words or facts["job"] in words or (name and facts["name"] == name):
            kill(queue, task, "CANCELLED")
    return 0


def sacct(queue: Queue, words: list[str]) -> int:
    for task, facts in queue.all(job=option(words, "jobs")).items():
        code = int(str(facts.get("code", 0)))
        status = f"{code}:0" if code >= 0 else f"0:{-code}"
        by = f" by {os.getuid()}" if facts["state"] == "CANCELLED" else ""
        print(f"{task}|{facts['state']}{by}|{status}|node-1")
    return 0


def condor_submit(queue: Queue, words: list[str]) -> int:
    text = Path(words[-1]).read_text()
    (queue.folder / "submitted").open("a").write(json.dumps(text) + "\n")
    said = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    count = int(text.splitlines()[-1].split()[1])
    number = queue.number()
    tasks = []
    for one in range(count):
        task = f"{number}.{one}"
        queue.put(task, state="PENDING", name=said["batch_name"], job=str(number))
        tasks.append(
            (task, str(one), Path(said["output"].replace("$(Process)", str(one))), said["executable"])
        )
    run(queue, tasks, [])
    print(f"{number}.0 - {number}.{count - 1}")
    return 0


def ads(found: dict[str, dict[str, object]]) -> str:
    listed = []
    for task, facts in found.items():
        cluster, _, process = task.partition(".")
        code = int(str(facts.get("code", 0)))
        ad: dict[str, object] = {
            "ClusterId": int(cluster),
            "ProcId": int(process),
            "JobStatus": CODES[str(facts["state"])],
        }
        ad |= {"ExitBySignal": code < 0, "ExitCode": max(code, 0), "ExitSignal": max(-code, 0)}
        ad |= {"RemoveReason": "via condor_rm (by user alice)", "RemoteHost": "slot1@node-1"}
        ad |= {"HoldReason": facts.get("reason", ""), "HoldReasonCode": facts.get("hold", 0)}
        listed.append(ad)
    return json.dumps(listed) if listed else ""


def condor_q(queue: Queue, words: list[str]) -> int:
    name = words[words.index("-constraint") + 1].split('"')[1]
    gone = ENDED - {"HELD"}
    found = {task: one for task, one in queue.all(name=name).items() if one["state"] not in gone}
    print(ads(found) if "-json" in words else "\n".join(found))
    return 0


def condor_history(queue: Queue, words: list[str]) -> int:
    number = words[words.index("-constraint") + 1].split()[-1]
    print(ads({task: one for task, one in queue.all(job=number).items() if one["state"] in ENDED - {"HELD"}}))
    return 0


def condor_rm(queue: Queue, words: list[str]) -> int:
    name = words[words.index("-constraint") + 1].split('"')[1] if "-constraint" in words else ""
    for task, facts in queue.all().items():
        if task in words or facts["job"] in words or (name and facts["name"] == name):
            kill(queue, task, "CANCELLED")
    return 0


def main() -> int:
    queue, name, words = Queue(Path(sys.argv[1])), sys.argv[2], sys.argv[3:]
    said = queue.folder / "says" / name
    if said.exists():  # what a test has it say, by the first words
        answer = json.loads(said.read_text())
        print(next((text for key, text in answer.items() if key in " ".join(words)), ""), end="")
        return 0
    program = globals().get(name)
    return program(queue, words) if program else 0


if __name__ == "__main__":
    sys.exit(main())
