"""Before the first start of slurmctld: the accounts and QOS that the partitions name.

slurmctld refuses to start when a partition's QOS is not in accounting, and forgets the names in
AllowAccounts and AllowQos that it does not find; but the list comes after it. So, as long as
accounting is empty, the bare names are made here: nobody can use them before the list has given
them limits and people. Later a misspelt QOS in partitions.conf must be told, not made.
"""

import os
import sys
import time
from pathlib import Path

import jwt

from slurm_people.sacctmgr import change, show
from slurm_people.wanted import names

KEY = Path("/keys/jwt.key")


def token(key: bytes, now: int) -> str:
    """A minute as the user slurm, for commands that run before slurmctld, whose socket they would use."""
    return jwt.encode({"sun": "slurm", "iat": now, "exp": now + 60}, key, algorithm="HS256")


def first_start(cluster: str, partitions: str) -> None:
    """Make them, if accounting is empty. partitions: the text of partitions.conf."""
    os.environ["SLURM_JWT"] = token(KEY.read_bytes(), int(time.time()))
    if {row["Account"] for row in show("account", "Account")} - {"root"}:
        return
    if cluster not in {row["Cluster"] for row in show("cluster", "Cluster")}:
        change("add", "cluster", cluster)
    missing = [
        name
        for name in names(partitions, "qos", "allowqos")
        if name not in {row["Name"] for row in show("qos", "Name")}
    ]
    if missing:
        change("add", "qos", ",".join(missing))
    accounts = names(partitions, "allowaccounts")
    if accounts:
        change("add", "account", ",".join(accounts), f"cluster={cluster}")
    print(
        f"accounting was empty: made accounts {', '.join(accounts)} and QOS {', '.join(missing)}",
        file=sys.stderr,
    )
