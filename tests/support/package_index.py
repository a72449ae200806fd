"""The package index that this machine uses, as people's programs reach it: no test names one."""

from functools import cache
from urllib.parse import urlsplit

from benchtop.host import egress

# Small, pure Python, and of the tests' own environment: this machine's index has it
PACKAGE = "iniconfig"


@cache
def address() -> tuple[str, int]:
    """Host and port of the index. Fails with the reason on a machine that has none."""
    pip = egress.pip_settings()
    url = urlsplit((pip.get("index-url") or pip.get("default-index") or "").split(" ")[0])
    why = "pip on this machine has no index with an address: a session has nothing to install from"
    assert url.scheme in {"http", "https"}, why
    assert url.hostname, why
    assert egress.resolve(url.hostname), (
        f"this machine does not find its package index {url.hostname}: is it online?"
    )
    return url.hostname, url.port or {"http": 80, "https": 443}[url.scheme]
