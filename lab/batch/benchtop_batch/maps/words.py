"""What HTMap tells a person about components that do not run, in plain words."""

import errno
import re
from collections.abc import Iterable, Mapping

from benchtop_batch.maps import component

SHOWN = 300  # characters of a reason
LAST_LINES = 8  # of what a component printed before it ended
FULL = {errno.ENOSPC, errno.EDQUOT}

_MEMORY = re.compile(r"memory usage exceeded", re.IGNORECASE)
_BY = re.compile(r"(?:via condor_hold|Python-initiated action\.) \(by user (?P<who>[^@)]+)[^)]*\)")
_EXIT = re.compile(r"ended with exit code (?P<code>\d+)")

# What HTCondor puts down when a component's Python ends in another way than with its function's end
HOLD_REASON = (
    'ifThenElse(ExitBySignal =?= true, strcat("ended by signal ", ExitSignal),'
    ' strcat("ended with exit code ", ExitCode))'
)


def hold(reason: str, memory: str = "") -> str:
    """Why a component is on hold, of HTCondor's reason. memory: what it asked for, in MB."""
    reason = " ".join(reason.split())
    if _MEMORY.search(reason):
        return "it used more memory than requested" + (f" ({memory} MB)" if memory else "")
    if by := _BY.search(reason):
        return f"it was put on hold by {by['who']}"
    if found := _EXIT.search(reason):
        if int(found["code"]) == component.NO_SPACE:
            return "there was no space left for its result in the home"
        return f"its Python {found[0]}, not by its function's return"
    if reason.startswith("ended by signal"):
        return f"its Python {reason}"
    return reason[:SHOWN].strip(" .") or "HTCondor gives no reason"


def what_to_do(tag: str, number: int, reason: str) -> str:
    """What a person does about a hold, as sentences."""
    again = f'htmap.load("{tag}").release()'
    if _MEMORY.search(reason):
        more = f'htmap.load("{tag}").set_memory(1024)'
        return f"Ask for more and let it run: {more}, which is in MB, then {again}."
    if _BY.search(reason):
        return f"To let it run: {again}."
    found = _EXIT.search(reason)
    if found and int(found["code"]) == component.NO_SPACE:
        return f"Delete what you do not need any more, and let it run again: {again}."
    if found or reason.startswith("ended by signal"):
        return (
            f'What it printed is in htmap.load("{tag}").stderr[{number}]. A function that is to end early'
            f" returns, or raises an exception. To try again as it is: {again}."
        )
    return f"When the reason is gone, let it run: {again}."


def held(  # noqa: PLR0913 each is said
    tag: str, number: int, others: int, reason: str, *, memory: str, printed: str
) -> str:
    """One component is on hold, and perhaps others of its map. printed: its standard error."""
    more = f" (and {others} more)" if others else ""
    words = f"Component {number}{more} of the map “{tag}” is on hold: {hold(reason, memory)}."
    lines = printed.strip().splitlines()[-LAST_LINES:]
    if lines:
        words += "\nThe last that it printed:\n" + "\n".join(f"    {line[:SHOWN]}" for line in lines)
    return words + ("\n" if lines else " ") + what_to_do(tag, number, reason)


def failed(tag: str, number: int, error: str, report: str) -> str:
    """A component's function raised an exception. error: its last line; report: HTMap's."""
    last = error.strip().splitlines()[-1] if error.strip() else "an exception"
    return f"Component {number} of the map “{tag}” failed: {last}\nThe report of its node:\n{report}"


def removed(tag: str, numbers: Iterable[int]) -> str:
    """Components were taken out of the queue, by hand or by the pool."""
    numbers = sorted(numbers)
    one = len(numbers) == 1
    few = ", ".join(map(str, numbers[:LAST_LINES])) + (" …" if len(numbers) > LAST_LINES else "")
    components = (
        f"Component {few} of the map “{tag}” was" if one else f"Components {few} of the map “{tag}” were"
    )
    return (
        f"{components} removed from the queue, by condor_rm or by an administrator:"
        f" there will be no result. To run {'it' if one else 'them'} anew:"
        f' htmap.load("{tag}").rerun({numbers if len(numbers) <= LAST_LINES else "[…]"}).'
    )


def vanished(tag: str) -> str:
    """The queue knows no more of a map, and its log does not say how it ended."""
    return (
        f"The map “{tag}” is no longer in HTCondor's queue, and its log does not say what became of it"
        " (a full home keeps HTCondor from writing it). Remove it and map anew:"
        f' htmap.load("{tag}").remove(force=True).'
    )


def never_submitted(tag: str) -> str:
    """A map without jobs."""
    return (
        f"The map “{tag}” was never submitted: its notebook ended while it was being made."
        f' Remove it and map anew: htmap.remove("{tag}").'
    )


def home_is_full() -> str:
    """A map cannot be made."""
    return (
        "Your home has no space left, so the map was not made: nothing was submitted, and nothing of it was"
        " left behind. Delete what you do not need (htmap.clean() removes maps that were given no tag),"
        " and map again."
    )


def no_pool(reason: str, doing: str) -> str:
    """No credential. reason: why, of benchtop_batch.place; doing: what did not happen."""
    why = reason.strip().rstrip(".") or "This session has no credential for the HTCondor pool"
    return (
        f"{why}. So {doing}. What was submitted before goes on without it, and htmap.load finds its results."
    )


def unreachable(error: str, doing: str) -> str:
    """HTCondor's own words for a queue that does not do what it is asked, put into plain ones."""
    error = " ".join(error.split())[:SHOWN]
    if re.search(r"MAX_JOBS_PER|number of submitted jobs would exceed|maximum number", error, re.IGNORECASE):
        return (
            f"The queue takes no more jobs of yours at the moment, so {doing}."
            " Wait until some of your maps are done (htmap.status()), or remove one."
        )
    if re.search(r"AUTHENTICAT|SECMAN|DENIED|token|not authorized", error, re.IGNORECASE):
        return (
            f"HTCondor did not accept this session's credential, so {doing}. It is renewed within a minute:"
            f" try again then. If this goes on, start the session anew. HTCondor says: {error}"
        )
    return (
        f"HTCondor's queue cannot be reached at the moment, so {doing}. Components that run go on."
        f" Try again in a minute. HTCondor says: {error}"
    )


def no_bindings(version: str) -> str:
    """version: of the Python that lacks them."""
    return (
        "HTMap does not work in this environment: HTCondor's Python package is there for Python 3.13, and"
        f" this is Python {version}. Choose an environment with Python 3.13, for example “Scientific Python”."
    )


def inside_image(python: str) -> str:
    """The notebook's Python is not on the nodes."""
    return (
        f"This kernel runs inside an image, and no node has its Python ({python}), so nothing was submitted."
        " Map from a notebook with another kernel, for example “Python 3”."
    )


def progress(tag: str, total: int, counts: Mapping[str, int], why: str) -> str:
    """A line on how far a map is. counts: by HTMap's names of states; why: why those that wait do."""
    done, running = counts.get("COMPLETED", 0), counts.get("RUNNING", 0)
    waiting = counts.get("IDLE", 0) + counts.get("UNMATERIALIZED", 0)
    words = [f"{tag}: {done} of {total} done"]
    if running:
        words.append(f"{running} running")
    if waiting:
        words.append(f"{waiting} waiting")
    for state, word in {
        "ERRORED": "failed",
        "HELD": "on hold",
        "SUSPENDED": "suspended",
        "REMOVED": "removed",
    }.items():
        if counts.get(state):
            words.append(f"{counts[state]} {word}")
    return ", ".join(words) + (f": {why}" if why else "")
