"""How people's programs reach the internet: what this machine itself uses is handed on when it starts.

Nothing here names an index, a proxy or a CA. They are found where the machine's own tools have them, and
written to the ignored folder: for the proxy (`keys-egress`: its rules, and a password that the machine's own
proxy may want) and for nodes (`.benchtop/egress`: variables and CA certificates, for everybody to read).
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies

import requests

from benchtop.console import log, say
from benchtop.settings import Settings
from benchtop.stack import compose

FOLDER = "/etc/benchtop/egress"  # on a node
CA = f"{FOLDER}/ca.pem"
PROXY = "http://egress:3128"
REFUSAL = "http://127.0.0.1:3128"  # who answers there: images/node/vouch
# What of pip's settings is handed on, by the variable that says the same
PIP = {
    "index-url": "PIP_INDEX_URL",
    "extra-index-url": "PIP_EXTRA_INDEX_URL",
    "trusted-host": "PIP_TRUSTED_HOST",
}
FIND_LINKS = "find-links"  # … as far as it is no folder of this machine
TRUST = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)
# Nothing of these is ever behind the proxy. Programs that know no networks in there know the names.
NEVER = ("localhost", "127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
PLAIN = re.compile(r"[ !#%&(-\[\]-_a-~]*")  # what neither a shell nor HTCondor reads as something of its own
RESOLVES_WITHIN = 3.0  # seconds: a name that takes longer leads nowhere
ANSWERS_WITHIN = 5.0

Resolve = Callable[[str], list[str]]


def prepare(settings: Settings) -> dict[str, Any]:
    """Find out how this machine reaches the internet and tell nodes; what is right stays untouched.

    What the proxy is to know (images/egress/entrypoint), which may hold a password; nothing where it is off.
    """
    folder = settings.state / "egress"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)  # nodes' people read it, whatever the umask is
    pip = pip_settings() if settings.egress else {}
    found = of_this_machine(settings, pip) if settings.egress else {}
    by_address = [host for host, _ in found.get("own", []) if _is_address(host)]
    variables = environment(settings, compose.config(settings, "*")["services"], pip, by_address)
    files = {
        "ca.pem": bundle(settings),
        "environment": "".join(f"{name}={value}\n" for name, value in variables.items()),
        "profile.sh": profile(variables),
        "condor.conf": condor(variables),
    }
    if not settings.egress:
        files["refusal"] = f"The internet is switched off here: ask {settings.support}.\n"
    for name, text in files.items():
        _write(folder / name, text)
    for stale in {path.name for path in folder.iterdir()} - set(files):
        (folder / stale).unlink()
    return found


def of_this_machine(settings: Settings, pip: Mapping[str, str]) -> dict[str, Any]:
    """The index, the addresses and the proxy that are this machine's own."""
    return {
        "own": own_index(pip, settings.state / "host-ca.pem", resolve),
        "refused": sorted(own_addresses()),
        "upstream": upstream(getproxies()),
    }


# ---- what nodes are told ------------------------------------------------------------------------


def environment(
    settings: Settings, services: Iterable[str], pip: Mapping[str, str], by_address: Iterable[str] = ()
) -> dict[str, str]:
    """The variables by which programs find the way out, and what they trust there.

    by_address: what is reached by the proxy all the same, although it is on a private network
    """
    proxy = PROXY if settings.egress else REFUSAL
    theirs = [ip_address(one) for one in by_address]
    never = [net for net in NEVER if "/" not in net or not any(one in ip_network(net) for one in theirs)]
    direct = ",".join([*never, settings.name, settings.login_name, *sorted(services)])
    found = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
    found |= {"no_proxy": direct, "NO_PROXY": direct}
    found |= dict.fromkeys(TRUST, CA)
    found["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    if not settings.egress:  # the sentence is in what pip says of its second try
        found["PIP_RETRIES"] = "1"
    for key, name in PIP.items():
        if value := pip.get(key):
            found[name] = " ".join(map(without_login, value.split()))
    links = [
        without_login(one)
        for one in pip.get(FIND_LINKS, "").split()
        if urlsplit(one).scheme in {"http", "https"}
    ]
    if links:
        found["PIP_FIND_LINKS"] = " ".join(links)
    if index := found.get("PIP_INDEX_URL"):
        found["UV_DEFAULT_INDEX"] = index
    odd = [name for name, value in found.items() if not PLAIN.fullmatch(value)]
    for name in odd:
        log.warning("not handed on to sessions: %s, which has a character that shells read as theirs", name)
        del found[name]
    return found


def profile(variables: Mapping[str, str]) -> str:
    """The same for a login shell: what is set already stays."""
    lines = [f'export {name}="${{{name}-{value}}}"' for name, value in variables.items()]
    return "\n".join(["# How programs reach the internet: written by `make up`.", *lines, ""])


def condor(variables: Mapping[str, str]) -> str:
    """The same for HTCondor's jobs, which inherit nothing from who submits them."""
    words = " ".join(f"{name}='{value}'" for name, value in variables.items())
    return f"# How programs reach the internet: written by `make up`.\nWAY_OUT = {words}\n"


def bundle(settings: Settings) -> str:
    """The public CAs and those that this machine trusts besides, each once."""
    import certifi  # noqa: PLC0415 - only where it is needed

    texts = (settings.state / "host-ca.pem").read_text(errors="replace"), Path(certifi.where()).read_text()
    pem = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", re.DOTALL)
    return "".join(dict.fromkeys(one for text in texts for one in pem.findall(text + "\n")))


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)


# ---- what this machine uses -----------------------------------------------------------------------


def pip_settings() -> dict[str, str]:
    """What pip finds in its files and in the environment of this machine, by the names in its files."""
    words = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wide = {**os.environ, "COLUMNS": "1000"}  # or its help breaks an address
    asked = [
        subprocess.Popen(
            [*words, *more],
            env=wide,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for more in (("config", "list"), ("download", "--help"))
    ]
    listed, helped = (process.communicate()[0] for process in asked)
    found = read_pip(listed)
    if default := re.search(r"--index-url <url>.*\(default (\S+)\)", helped):
        found["default-index"] = default[1]
    return found


def read_pip(listed: str) -> dict[str, str]:
    """What `pip config list` says: lines like `global.index-url='https://…'`; the environment wins."""
    found: dict[str, str] = {}
    by_environment: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        with contextlib.suppress(ValueError, SyntaxError):
            place, _, key = name.rpartition(".")
            (by_environment if place == ":env:" else found)[key] = str(ast.literal_eval(value))
    return found | by_environment


def own_index(pip: Mapping[str, str], ca: Path, resolve: Resolve) -> list[tuple[str, int]]:
    """Host and port of each index of this machine that is not public: people's programs may reach just these.

    An index lists files on other hosts; which, the page of one project says.
    """
    keys = ("index-url", "extra-index-url", FIND_LINKS)
    urls = [word for key in keys for word in pip.get(key, "").split()]
    if "index-url" not in pip:
        urls += [pip["default-index"]] if "default-index" in pip else []
    found: dict[tuple[str, int], None] = {}
    for url in urls:
        if not (place := _place(url)) or _is_public(place[0], resolve):
            continue
        found[place] = None
        for linked in dict.fromkeys(_linked(f"{url.rstrip('/')}/pip/", ca)):
            if (other := _place(linked)) and not _is_public(other[0], resolve):
                found[other] = None
    return list(found)


def _linked(url: str, ca: Path) -> Iterator[str]:
    try:
        page = requests.get(url, timeout=ANSWERS_WITHIN, verify=str(ca), headers={"Accept": "text/html"})
    except (OSError, requests.RequestException) as error:
        log.info("no files' hosts of the index are known: %s", type(error).__name__)
        return
    yield from re.findall(r'href="(https?://[^/"]+)', page.text)


def _place(address: str) -> tuple[str, int] | None:
    """Host and port of an address, if it is one of the web's."""
    with contextlib.suppress(ValueError):  # a port that is none, half a bracket
        url = urlsplit(address)
        usual = {"http": 80, "https": 443}.get(url.scheme)
        if url.hostname and usual:
            return url.hostname, url.port or usual
    return None


def _is_public(host: str, resolve: Resolve) -> bool:
    """Does it lead to public addresses alone, or to none at all?"""
    addresses = [host] if _is_address(host) else resolve(host)
    return all(ip_address(one).is_global for one in addresses)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def resolve(host: str) -> list[str]:
    """The IPv4 addresses of a name, if this machine finds them soon."""
    found: list[str] = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            found.extend(
                str(entry[4][0])
                for entry in socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
            )

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(RESOLVES_WITHIN)
    return list(found)


def own_addresses() -> set[str]:
    """Public addresses of this machine itself, where Linux lists them: no person's program may reach it."""
    found = set()
    with contextlib.suppress(OSError):
        trie = Path("/proc/net/fib_trie").read_text()
        found |= set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", trie))
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            found.add(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])))
    return {one for one in found if ip_address(one).is_global}


def upstream(proxies: Mapping[str, str]) -> dict[str, Any] | None:
    """The proxy that this machine's own programs use, as the environment or the system has it."""
    address = proxies.get("https") or proxies.get("http") or proxies.get("all") or ""
    place = _place(address)
    if not place:
        return None
    url, (host, port) = urlsplit(address), place
    if host == "localhost" or host.startswith("127.") or host == "::1":
        say(
            f"This machine's proxy listens on {host}, where no container reaches it: "
            "sessions go out without it."
        )
        return None
    login = url.netloc.rpartition("@")[0]
    direct = [one.strip().lstrip("*") for one in proxies.get("no", "").split(",") if re.search("[a-z]", one)]
    return {"host": host, "port": port, "login": login, "tls": url.scheme == "https", "direct": direct}


def without_login(url: str) -> str:
    """An address without a name and a password in it: what this machine may do is not everybody's to do."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url
