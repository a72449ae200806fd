"""What a session is called where several of one person's are beside each other."""

import re
from collections.abc import Mapping


def own_name(env: Mapping[str, str]) -> str:
    """Of letters, digits and hyphens, another one for each server of a person: "hpc", "htc-gpu-test"."""
    cluster = env.get("BENCHTOP_CLUSTER", "") or "benchtop"
    words = [word for word in (cluster, env.get("JUPYTERHUB_SERVER_NAME", "")) if word]
    return re.sub(r"[^A-Za-z0-9-]", "-", "-".join(words))


def in_words(name: str) -> str:
    """The same for a sentence: "HPC", "HTC (gpu-test)"."""
    cluster, _, server = name.partition("-")
    return f"{cluster.upper()} ({server})" if server else cluster.upper()
