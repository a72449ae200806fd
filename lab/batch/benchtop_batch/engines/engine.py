"""An engine of IPyParallel whose helper starts beside it: `python -m benchtop_batch.engines.engine`.

Each engine has a helper (a nanny) that passes signals on and tells when the engine has died. Upstream's
engine starts it once it is registered, and then waits until another Python has loaded the same packages: a
third of what a person waits for a first result. Here it loads them at the same time, and is told then whose
it is.
"""

import functools
import os
import pickle
import sys
from subprocess import PIPE, Popen


def begin() -> "Popen[bytes]":
    """A helper that waits to be told whose it is; should nobody tell, it ends with its standard input."""
    words = [sys.executable, "-m", "ipyparallel.engine.nanny"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return Popen(words, stdin=PIPE, stdout=PIPE, env=env, start_new_session=True)


def tell(nanny: "Popen[bytes]", **whose: object) -> tuple[str, "Popen[bytes]"]:
    """What upstream's start_nanny does with a new one: where it listens, and the process."""
    assert nanny.stdin  # noqa: S101 for the type checker
    assert nanny.stdout  # noqa: S101
    nanny.stdin.write(pickle.dumps({**whose, "pid": os.getpid()}))
    nanny.stdin.close()
    url = nanny.stdout.readline().decode().strip()
    if not url:
        nanny.terminate()
        raise RuntimeError("the engine's helper did not start")
    return url, nanny


def main() -> None:
    """Run an engine until its controller is gone."""
    nanny = begin()
    from ipyparallel.engine import app  # noqa: PLC0415 the helper loads the same meanwhile

    app.start_nanny = functools.partial(tell, nanny)
    app.main()


if __name__ == "__main__":
    main()
