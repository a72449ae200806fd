"""The command `apply-people`."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slurm_people import Refused
from slurm_people.apply import apply
from slurm_people.first_start import first_start
from slurm_people.wanted import read

CONFIG = Path("/etc/slurm/slurm.conf")
PARTITIONS = Path("/etc/slurm/partitions.conf")


def stdin() -> Mapping[str, Any]:
    """The list that was handed to us; `read` refuses what is none."""
    try:
        source: Mapping[str, Any] = json.load(sys.stdin)
    except ValueError as problem:
        raise Refused(f"stdin is no JSON: {problem}.") from None
    return source


def main() -> int:
    """Act on the arguments; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["--first-start"]):
        print("apply-people: it takes no arguments: the list comes as JSON on stdin.", file=sys.stderr)
        return 2
    cluster = re.findall(r"(?m)^ClusterName=(\S+)", CONFIG.read_text())[0]
    partitions = PARTITIONS.read_text()
    try:
        if arguments:
            first_start(cluster, partitions)
        else:
            apply(read(stdin(), partitions), cluster)
    except Refused as problem:
        print(f"apply-people: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
