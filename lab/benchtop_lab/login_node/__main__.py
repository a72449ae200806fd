"""The program that a hub's certificate is good for: does what sshd's environment says was asked."""

import os
import sys
from typing import NoReturn

from benchtop_lab.login_node.commands import listing, start, stop
from benchtop_lab.login_node.request import Refused


def main() -> NoReturn:
    """Do what the hub asked for."""
    words = os.environ.get("SSH_ORIGINAL_COMMAND", "").split()
    try:
        match words:
            case ["start"]:
                print(start(sys.stdin.read()))
            case ["list"]:
                print(listing(), end="")
            case ["stop", number]:
                stop(number)
            case _:
                sys.exit("This certificate is only good for starting, listing and stopping sessions.")
    except Refused as refused:
        sys.exit(str(refused))
    sys.exit(0)


if __name__ == "__main__":
    main()
