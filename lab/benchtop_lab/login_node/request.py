"""What the hub asks to be started, and the limits that hold for it."""

import json
import resource
from collections.abc import Mapping
from dataclasses import dataclass

from benchtop_lab.login_node.records import MARK


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """Something that is not done; the message is for the person."""


@dataclass(frozen=True)
class Asked:
    """What is to be started. Memory in MB, runtime and cpu in seconds."""

    env: Mapping[str, str]
    home: str
    log: str
    runtime: int
    memory: int
    cpu: int
    processes: int
    files: int
    group: str
    mark: str = ""

    @classmethod
    def read(cls, text: str) -> "Asked":
        """From the hub's JSON. Raises Refused."""
        try:
            asked = cls(**json.loads(text))
            numbers = (asked.runtime, asked.memory, asked.cpu, asked.processes, asked.files)
            if (
                all(type(number) is int and number > 0 for number in numbers)
                and all(isinstance(value, str) for value in asked.env.values())
                and MARK.fullmatch(asked.mark)
            ):
                return asked
        except (ValueError, TypeError, AttributeError):
            pass
        raise Refused("The login node could not read the hub's request.")


def set_limits(asked: Asked) -> None:
    """The kernel's own limits of each process of the session: it cannot raise them."""
    for what, most in (
        (resource.RLIMIT_CPU, asked.cpu),
        (resource.RLIMIT_NPROC, asked.processes),
        (resource.RLIMIT_NOFILE, asked.files),
        (resource.RLIMIT_CORE, 0),
        # One process that takes too much at once meets MemoryError, before anybody has looked: twice as
        # much, because stacks count that nobody uses
        (resource.RLIMIT_DATA, 2 * asked.memory << 20),
    ):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # a process that meets its hard limit of CPU time is killed without a word of why
        resource.setrlimit(what, (value, value + 5 if what == resource.RLIMIT_CPU else value))
