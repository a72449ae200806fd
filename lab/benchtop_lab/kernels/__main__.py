"""The program `benchtop-kernels`, for terminals."""

import argparse
import asyncio
import sys

from benchtop_lab.kernels import doctor


def main() -> int:
    """Do what is asked; 0 when all is well, 1 when a kernel is not."""
    parser = argparse.ArgumentParser(prog="benchtop-kernels", description="Look after your kernels.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser(
        "doctor", help="start each of your kernels, and say what is wrong with those that fail"
    )
    check.add_argument("names", nargs="*", metavar="NAME", help="only these kernels")
    options = parser.parse_args()
    return asyncio.run(doctor.check(options.names))


if __name__ == "__main__":
    sys.exit(main())
