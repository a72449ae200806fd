"""Check that this machine can carry the facility; each failure is one sentence that says what to do.

The checks are functions of `Facts`, which `gather` collects, so that a test can try each with
facts of its own.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from benchtop.console import OUT, Problem
from benchtop.host import engine
from benchtop.settings import Settings
from benchtop.stack import compose
from benchtop.stack.compose import Container

GIB = 1 << 30
# The stack idles below 3 GiB; a session or two and the builds want the rest
NEED_MEMORY = 4 * GIB
NEED_FREE_MEMORY = 3 * GIB
# Images of 3 GB, as much build cache, data
NEED_DISK = 10 * GIB
NEED_DISK_BUILT = 2 * GIB
ARCHITECTURES = {"x86_64", "amd64", "aarch64", "arm64"}


@dataclass(frozen=True)
class Facts:
    """What the checks judge."""

    settings: Settings
    architecture: str
    engine: engine.Engine | None
    no_engine: str  # why none answers and what to do; "" where one will be installed or started
    free_memory: int | None  # bytes a new program could have; None where it cannot be told
    disk: tuple[str, int] | None  # where images live, and bytes free there
    containers: tuple[Container, ...]
    images_built: bool
    port_error: int  # errno of an attempt to listen on the port; 0 when it is free
    no_containers: str = ""  # what keeps this machine's kernel from having sessions in containers
    landlock: int | None = None  # version of that part of the kernel; 0: not there; None: not known


@dataclass(frozen=True)
class Finding:
    """One line of the report. `fix`, for a failure: the sentence that says what to do."""

    what: str
    value: str
    fix: str = ""


def gather(settings: Settings) -> Facts:
    """Look at the machine; changes nothing."""
    found = engine.look()
    return Facts(
        settings=settings,
        architecture=platform.machine(),
        engine=found,
        no_engine="" if found else engine.verdict(),
        free_memory=_free_memory(),
        disk=_disk(settings, found),
        containers=tuple(compose.containers()) if found else (),
        images_built=bool(
            found and compose.docker("images", "--quiet", f"{settings.project}/*", check=False).stdout.strip()
        ),
        port_error=_try_port(settings.bind, settings.port),
        no_containers=_no_containers() if found and not found.desktop else "",
        landlock=_landlock() if found and not found.desktop and platform.system() == "Linux" else None,
    )


def examine(facts: Facts) -> list[Finding]:
    """Every check, in the order in which a person would mend things."""
    return [finding for check in CHECKS for finding in check(facts)]


def require(facts: Facts) -> None:
    """Raise Problem with everything that stands in the way; do nothing when nothing does."""
    fixes = [finding.fix for finding in examine(facts) if finding.fix]
    if fixes:
        raise Problem(fixes[0], fixes[1:])


def report(findings: list[Finding]) -> None:
    """Print one line a finding; under each failure what to do."""
    for finding in findings:
        mark = "[red]✗[/red]" if finding.fix else "[green]✓[/green]"
        OUT.print(f"{mark} {finding.what:<14} {escape(finding.value)}")
        if finding.fix:
            OUT.print(f"  [bold]{escape(finding.fix)}[/bold]")


def check_architecture(facts: Facts) -> Iterator[Finding]:
    """Debian, and with it every image, exists for more; these two have been seen to work."""
    fix = "" if facts.architecture in ARCHITECTURES else (
        f"This machine is {facts.architecture}: use one with x86_64 or arm64, which the facility is made for."
    )  # fmt: skip
    yield Finding("architecture", facts.architecture, fix)


def check_engine(facts: Facts) -> Iterator[Finding]:
    """An engine that answers, new enough to understand compose.yaml, with Compose and buildx."""
    found = facts.engine
    if not found:
        yield Finding(
            "engine", "none answers" if facts.no_engine else "none yet: `make up` sees to it", facts.no_engine
        )
        return
    note = " (Docker Desktop)" if found.desktop else " (rootless)" if found.rootless else ""
    yield Finding(
        "engine",
        f"Docker {found.version}{note}",
        ""
        if version(found.version) >= engine.NEED_ENGINE
        else f"Docker {found.version} is too old: update it to {engine.NEED_ENGINE[0]} or newer.",
    )
    need = f"{engine.NEED_COMPOSE[0]}.{engine.NEED_COMPOSE[1]}"
    if not found.compose:
        fix = f"Docker has no Compose: install its compose plugin, {need} or newer."
    elif version(found.compose) < engine.NEED_COMPOSE:
        fix = f"Compose {found.compose} is too old: update it to {need} or newer."
    else:
        fix = ""
    yield Finding("compose", found.compose or "none", fix)
    if not found.buildx:
        yield Finding(
            "buildx", "none", "Docker has no buildx, which builds the images: install its buildx plugin."
        )
    if found.rootless and facts.settings.port < 1024:
        low = (
            f"A rootless engine may not publish port {facts.settings.port}: choose BENCHTOP_PORT above 1023."
        )
        yield Finding("low port", str(facts.settings.port), low)


def check_memory(facts: Facts) -> Iterator[Finding]:
    """Enough in the machine that the engine sees and, while the stack is down, enough of it free."""
    total = facts.engine.memory if facts.engine else 0
    free = facts.free_memory
    fix = ""
    if total and total < NEED_MEMORY:
        where = "in Docker Desktop's settings" if facts.engine and facts.engine.desktop else "to this machine"
        fix = f"The engine has {gib(total)} of memory: give {gib(NEED_MEMORY)} or more {where}."
    elif free is not None and free < NEED_FREE_MEMORY and not _ours_up(facts):
        fix = f"Only {gib(free)} of memory are free: stop other programs until {gib(NEED_FREE_MEMORY)} are."
    parts = [f"{gib(total)} in all"] if total else []
    parts += [f"{gib(free)} free"] if free is not None else []
    yield Finding("memory", ", ".join(parts) or "unknown", fix)


def check_disk(facts: Facts) -> Iterator[Finding]:
    """Room for the images and their build; less once they are built."""
    if not facts.disk:
        return
    folder, free = facts.disk
    need = NEED_DISK_BUILT if facts.images_built else NEED_DISK
    yield Finding(
        "disk",
        f"{gib(free)} free in {folder}",
        "" if free >= need else f"Only {gib(free)} are free in {folder}: make room until {gib(need)} are.",
    )


def check_port(facts: Facts) -> Iterator[Finding]:
    """Nothing else on the facility's port: an older copy of the stack is named as what it is."""
    settings = facts.settings
    value = f"{settings.bind}:{settings.port}"
    other = holder(facts.containers, settings)
    if other:
        older = other.image.startswith(f"{other.project}/") or other.service == "apache"
        if other.project == settings.project:
            fix = ""
        elif older:
            fix = (
                f"Port {settings.port} is held by another copy of the facility, project {other.project} of "
                f"{other.folder}: run `make down` there, or choose another port, for example "
                f"`BENCHTOP_PORT={settings.port + 1} make up`."
            )
        else:
            fix = _taken(settings, f"the container {other.name}")
        yield Finding("port", f"{value}, {'ours' if not fix else 'taken'}", fix)
    elif facts.port_error in {0, errno.EACCES} and settings.port < 1024:
        yield Finding("port", value)  # the engine opens it, not we: whether it may is checked there
    elif facts.port_error == errno.EADDRNOTAVAIL:
        fix = f"{settings.bind} is not an address of this machine: set BENCHTOP_BIND to one of its addresses."
        yield Finding("port", value, fix)
    elif facts.port_error:
        yield Finding("port", f"{value}, taken", _taken(settings, "another program"))
    else:
        yield Finding("port", f"{value}, free")


def check_copies(facts: Facts) -> Iterator[Finding]:
    """No other checkout under our project name: the two would take each other's containers apart."""
    mine = facts.settings.root.resolve()
    folders = {
        one.folder
        for one in facts.containers
        if one.project == facts.settings.project and one.folder and Path(one.folder).resolve() != mine
    }
    for folder in sorted(folders):
        yield Finding(
            "other copy",
            f"project {facts.settings.project} of {folder}",
            f"The project name {facts.settings.project} is used by the checkout in {folder}: run `make "
            "clean` there, or give this one a name of its own with COMPOSE_PROJECT_NAME.",
        )


def check_containers(facts: Facts) -> Iterator[Finding]:
    """The facility's own container engine takes namespaces and a tunnel without being root."""
    if facts.settings.engine and facts.no_containers:
        fix = f"{facts.no_containers}, or do without sessions in containers: BENCHTOP_ENGINE=off."
        yield Finding("containers", "not possible", fix)


def check_confinement(facts: Facts) -> Iterator[Finding]:
    """Guests' jobs are kept from the network by the kernel. Whoever has no guests needs none of it."""
    if facts.landlock is not None and facts.landlock < LANDLOCK:
        yield Finding("guests", "their jobs are refused: that takes Linux 6.7 or newer, with Landlock")


CHECKS = (
    check_architecture,
    check_engine,
    check_memory,
    check_disk,
    check_port,
    check_copies,
    check_containers,
    check_confinement,
)
LANDLOCK = 4  # the first version that TCP is subject to; images/node/confine asks the same
# Debian's and Ubuntu's own settings: may anybody have a user namespace? And what the answer has to be
NAMESPACES = {
    "/proc/sys/kernel/unprivileged_userns_clone": "1",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0",
}


def _no_containers(settings: Mapping[str, str] = NAMESPACES, tun: Path = Path("/dev/net/tun")) -> str:
    """What to do before a container engine can run without root here; "" where nothing is in its way."""
    for path, wanted in settings.items():
        try:
            allowed = Path(path).read_text().strip() == wanted
        except OSError:  # this kernel has no such setting
            continue
        if not allowed:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            return f"Let programs have user namespaces (`sysctl -w {name}={wanted}`)"
    return "" if tun.exists() else "Load the kernel's module for tunnels (`modprobe tun`)"


def _landlock() -> int:
    """By landlock_create_ruleset(2), whose number is the same on every architecture."""
    version: int = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)
    return max(0, version)


def holder(containers: tuple[Container, ...], settings: Settings) -> Container | None:
    """The live container that publishes the facility's port on an address that overlaps ours."""
    anywhere = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on
    for one in containers:
        for address, port in one.ports:
            overlaps = address == settings.bind or address in anywhere or settings.bind in anywhere
            if one.state in {"running", "restarting", "paused"} and port == settings.port and overlaps:
                return one
    return None


def foreign_data(settings: Settings) -> Finding | None:
    """Data volumes made with the secrets of another checkout, or of one that is gone.

    Their databases would refuse our passwords. The volume `trust` carries the id of the secrets
    that it was made with; it is read in a throw-away container of the base image.
    """
    volume = f"{settings.project}_trust"
    if compose.docker("volume", "inspect", volume, check=False).returncode:
        return None
    words = ("run", "--rm", "--network", "none", "--volume", f"{volume}:/trust:ro", settings.base)
    theirs = (
        compose.docker(*words, "cat", "/trust/.secrets-id", check=False, timeout=60).stdout.decode().strip()
    )
    ours = settings.state / "secrets" / "id"
    return judge_data(settings, theirs, ours.read_text().strip() if ours.is_file() else "")


def judge_data(settings: Settings, theirs: str, ours: str) -> Finding | None:
    """What to say about volumes whose id is `theirs` in a checkout whose id is `ours`.

    An empty `theirs` is a volume that was never filled: an interrupted first start.
    """
    if not theirs or theirs == ours:
        return None
    return Finding(
        "data",
        f"of other secrets ({theirs})",
        f"The data volumes of project {settings.project} belong to the secrets of another checkout: run "
        "`make clean` in the checkout that made them (or here, to throw that data away), or choose another "
        "name with COMPOSE_PROJECT_NAME.",
    )


def version(text: str) -> tuple[int, ...]:
    """`v2.26.1-4` → (2, 26, 1); what is no number counts as nothing."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else (0,)


def gib(count: int) -> str:
    """Bytes as a person counts memory."""
    return f"{count / GIB:.1f} GiB"


def _taken(settings: Settings, by: str) -> str:
    return (
        f"Port {settings.port} on {settings.bind} is taken by {by}: stop that, or choose another port, "
        f"for example `BENCHTOP_PORT={settings.port + 1} make up`."
    )


def _ours_up(facts: Facts) -> bool:
    return any(one.project == facts.settings.project and one.state == "running" for one in facts.containers)


def _free_memory() -> int | None:
    """MemAvailable: what programs can have without swapping. Linux only."""
    try:
        match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None


def _disk(settings: Settings, found: engine.Engine | None) -> tuple[str, int] | None:
    """Free space where the engine keeps images, if this machine can see that folder."""
    if found and found.desktop:
        return None
    for folder in (found.folder if found else "/var/lib", str(settings.root)):
        try:
            return folder, shutil.disk_usage(folder).free
        except OSError:
            continue
    return None


def _try_port(bind: str, port: int) -> int:
    """Listen for a moment where Apache's port will be published; the errno if that fails."""
    try:
        family = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((bind, port))
            probe.listen()
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EADDRINUSE
    return 0
