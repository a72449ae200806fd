"""What a site gives who does not say: batchspawner's `req_` settings, as a request has them."""

import re
from collections.abc import Mapping
from typing import Any

from benchtop_hub.backends import amounts
from benchtop_hub.backends.slurm.rights import ANY

NAMES = frozenset(
    {"partition", "account", "qos", "reservation", "gres", "ngpus", "memory", "nprocs", "runtime"}
)


def site_defaults(settings: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a request that these give a value. Raises ValueError with a sentence for what is none.

    settings: by the names without `req_`; what is empty gives nothing, and so does what is not in NAMES
    """
    given = {name: value.strip() for name, value in settings.items() if name in NAMES and value.strip()}
    found: dict[str, Any] = {
        name: given[name] for name in ("partition", "account", "qos", "reservation") if name in given
    }
    if "nprocs" in given:
        found["cpus"] = amounts.number("nprocs", given["nprocs"])
    if "memory" in given:
        found["memory"] = amounts.megabytes(given["memory"])
    if "runtime" in given:
        found["runtime"] = amounts.minutes(given["runtime"])
    if "ngpus" in given:
        count = amounts.number("ngpus", given["ngpus"])
        found["gpu"] = f"{ANY}:{count}" if count else "none"
    if "gres" in given:
        gpu = re.fullmatch(r"gpu(?::(?P<kind>[A-Za-z]\w*))?(?::(?P<count>[1-9]\d?))?", given["gres"])
        if not gpu:
            raise ValueError(
                f'req_gres: "{given["gres"]}" is no number of GPUs like gpu:tesla:1. '
                "Ask for what else there is with req_options, like --gres=…."
            )
        found["gpu"] = f"{gpu['kind'] or ANY}:{gpu['count'] or 1}"
    return found
