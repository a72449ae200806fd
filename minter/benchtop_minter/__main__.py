"""Start the minter of the cluster that the environment names.

CLUSTER  its name, for example hpc (required)
KEYS     the folder of its keys; /keys when not given
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from . import directory, grants, peers, service

# What a cluster's people are known by: the credential, and the file that holds the key it is made with.
KINDS: Mapping[str, tuple[Callable[[bytes], grants.Mint], str]] = {
    "hpc": (grants.slurm_token, "jwt.key"),
    "htc": (grants.condor_token, "people.key"),
}
PORT = 8600
HEALTH_PORT = 8601  # on loopback only


async def run(cluster: str, keys: Path) -> None:
    """Serve until the process is ended."""
    mint, key = KINDS[cluster]
    certify = grants.ssh_certificate((keys / "ssh.key").read_bytes())
    kinds = {
        "/token": grants.Kind(mint((keys / key).read_bytes())),
        "/ssh": grants.Kind(certify, longest=grants.SSH_LIFE, for_key=True),
    }
    others = {other: peers.Peer(other, keys) for other in KINDS if other != cluster}
    minter = service.Minter(cluster, kinds, directory.lookup, directory.answers, others)
    service.serve(minter, keys, port=PORT, health_port=HEALTH_PORT)
    logging.getLogger("minter").info("serving cluster=%s kinds=%s", cluster, ",".join(kinds))
    await asyncio.Event().wait()


def main() -> None:
    """Read the environment and run."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    cluster = os.environ.get("CLUSTER", "")
    if cluster not in KINDS:
        sys.exit(f"minter: CLUSTER must name the cluster that this minter serves: {' or '.join(KINDS)}.")
    asyncio.run(run(cluster, Path(os.environ.get("KEYS", "/keys"))))


if __name__ == "__main__":
    main()
