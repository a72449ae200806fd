"""What the hub can have done on a login node: a session started, listed, stopped."""

import os
import signal
import socket
from collections.abc import Collection, Mapping

from benchtop_lab.login_node.keeper import look_after
from benchtop_lab.login_node.processes import Process, kill, processes
from benchtop_lab.login_node.records import own_records, records
from benchtop_lab.login_node.request import Asked, Refused

LOWEST_UID = 1500  # below: root and the services; never touched, whoever calls this


def start(text: str) -> str:
    """Start a session; its number. Raises Refused."""
    asked = Asked.read(text)
    reading, writing = os.pipe()
    if not os.fork():
        try:
            os.close(reading)
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            look_after(asked, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        number = answer.read()
    if not number or number.startswith("no "):
        raise Refused(number[3:] or "The login node could not start your session.")
    return number


def listing() -> str:
    """Every session of the node, as squeue would list it."""
    lines = []
    for record in records():
        state, reason = record.state, record.reason
        if state == "RUNNING" and not record.alive:
            state, reason = "FAILED", "the process that looks after it was ended"
        clean = "".join(letter for letter in reason if letter.isprintable() and letter != "|")[:200]
        lines.append(f"{record.number}|{state}|{socket.gethostname()}|{record.mark}|{clean}\n")
    return "".join(lines)


def stop(number: str) -> None:
    """End a session of one's own. Raises Refused."""
    record = next((own for own in own_records() if own.number == number), None)
    if record is None:
        raise Refused("You have no such session on the login node.")
    if record.state == "RUNNING" and record.alive:
        kill([record.pid], signal.SIGTERM)
        return
    kill(leftovers(processes(), os.getuid(), {own.pid for own in own_records() if own.alive}))
    record.remove()


def leftovers(everybody: Mapping[int, Process], uid: int, kept: Collection[int]) -> list[int]:
    """What is left of a person's sessions whose keepers were ended: what hangs on nobody but init.

    Whoever descends from a keeper (`kept`), from sshd, or from a shell that an admin opened (which begins
    outside of this container) is spared. So is everything of an account that is no person's: in its name,
    everything on the machine hangs on init.
    """
    if uid < LOWEST_UID:
        return []

    def hangs_on_init(process: Process) -> bool:
        while process.parent > 1:
            above = everybody.get(process.parent)
            if process.pid in kept or above is None or above.uid != uid:
                return False
            process = above
        return process.parent == 1 and process.pid not in kept

    return [found.pid for found in everybody.values() if found.uid == uid and hangs_on_init(found)]
