"""The job's program: `python -m benchtop_lab.session`."""

import logging
import os
import sys

from benchtop_lab.session.start import main

if __name__ == "__main__":
    ended_with = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed by now. Freeing what JupyterLab has loaded would take Python another two
    # seconds, in which a session that was stopped still holds its place on the node, and nobody is told
    # why one failed.
    os._exit(ended_with)
