"""The job's program: `python -m benchtop_lab.session`."""

import logging
import os
import sys
from typing import NoReturn

from benchtop_lab import report
from benchtop_lab.session.start import main


def run() -> NoReturn:
    """JupyterLab until it is told to stop, then the end of this process."""
    ended_with = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed by now. Freeing what JupyterLab has loaded would take Python another two
    # seconds, in which a session that was stopped still holds its place on the node, and nobody is told
    # why one failed.
    os._exit(ended_with)


if __name__ == "__main__":
    if os.environ.get("BENCHTOP_ENVIRONMENT"):
        from benchtop_lab.session import chosen

        if why := chosen.enter(os.environ, sys.argv[1:]):
            report.note_why(why, os.environ)
            print(f"The session cannot start: {why}.", file=sys.stderr, flush=True)
            sys.exit(1)
    run()
