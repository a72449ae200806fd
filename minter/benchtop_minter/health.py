"""The container's health check: asks the minter's own listener on loopback."""

import sys
import urllib.error
import urllib.request

from .__main__ import HEALTH_PORT


def main() -> None:
    """Exit 0 when the minter could grant something now; else say why not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{HEALTH_PORT}/health", timeout=8) as answer:
            print(answer.read().decode())
    except urllib.error.HTTPError as problem:
        sys.exit(problem.read().decode())
    except OSError as problem:
        sys.exit(f"The minter does not answer: {problem}.")


if __name__ == "__main__":
    main()
