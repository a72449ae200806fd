"""The container's health check: asks the gateway's own listener on loopback, which asks the engine."""

import sys
import urllib.error
import urllib.request

ADDRESS = "http://127.0.0.1:8701/"  # engine_gateway/__main__.py's; importing that takes longer than asking


def main() -> None:
    """Exit 0 when a session could start now; else say why not."""
    try:
        with urllib.request.urlopen(ADDRESS, timeout=8):
            pass
    except urllib.error.HTTPError as problem:
        sys.exit(problem.read().decode())
    except OSError as problem:
        sys.exit(f"The gateway does not answer: {problem}.")


if __name__ == "__main__":
    main()
