"""The verbs of the build container; the host's tool calls them one by one, each in a container of its own.

    discard          remove what an interrupted build left behind
    list             the same, and print what is published, as JSON
    build NAME       make a version from its lock file
    unpack NAME      make a version from a container's file system: a tar archive on standard input
    try NAME         start each of its kernels and run a cell
    publish NAME     make it visible, and current
    groups           take over the groups' own kernels and modules
    remove NAME[/VERSION]

A failure is a line “failed: SENTENCE” on standard error with more lines below; the exit code is FULL where no
space was left.
"""

import errno
import sys
from collections.abc import Callable

from software_area import FULL, Failure, area, build, groups, trial

VERBS: dict[str, Callable[..., None]] = {
    "list": area.show,
    "discard": area.discard,
    "build": build.build,
    "unpack": build.unpack,
    "try": trial.try_kernels,
    "publish": area.publish,
    "groups": groups.take_over,
    "remove": area.remove,
}


def main() -> int:
    """Run a verb; its exit code."""
    verb, *words = sys.argv[1:] or ["list"]
    try:
        VERBS[verb](*words)
    except Failure as failure:
        print(f"failed: {failure}", *failure.lines, sep="\n", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        print(f"failed: No space is left on the software area ({error}).", file=sys.stderr)
        return FULL
    return 0


sys.exit(main())
