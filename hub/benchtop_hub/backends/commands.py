"""The scheduler's commands, run as one person by their token. No shell, no secret among the arguments."""

import asyncio
from collections.abc import Mapping

PATH = "/usr/local/bin:/usr/bin:/bin"
NO_ANSWER = "gave no answer"
PATIENCE = 15.0  # seconds; the schedulers' own time-outs are shorter


class Failed(Exception):  # noqa: N818  # what it is, not that it is an error
    """A command that did not do what it was asked; the message is what it said."""


async def run(
    *command: str,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
    errors: bool = False,
) -> str:
    """What the command printed.

    errors: and what it wrote to stderr, where some say what they were asked for
    env: the whole of its environment but for what is the same for all; the person's token is in it.
    Raises Failed when it ends with an error or takes longer than `timeout` seconds.
    """
    # LC_ALL: messages are compared. TZ: times are read.
    full = {"PATH": PATH, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=full,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), timeout)
    except TimeoutError:
        raise Failed(f"{command[0]} {NO_ANSWER} in {timeout:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Failed(err.decode(errors="replace").strip() or f"{command[0]} ended with {process.returncode}")
    return (out + err if errors else out).decode(errors="replace")
