"""Judge what a new container is to be, field by field, and say it again in words of our own.

Docker's body for a new container has about a hundred fields, most of which are a way to the host. Three kinds
are told apart here: those that a session needs, each with its judge; those that are known, and must say
nothing; and all others, which are refused for being unknown. What comes out is a `Session`; of the body,
nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from benchtop_minter.people import PERSON, Lookup, Person, check_person

from .images import Image, Images
from .verdicts import Malformed, Missing, Refused

PORT = 8888  # on which a session listens, in its container
MEBIBYTE = 1 << 20
LEAST_MEMORY = 64 * MEBIBYTE
LONGEST_WORDS = 65536  # bytes of a command, and of an environment
MOST_WORDS, MOST_VARIABLES = 64, 256
CELL, OWNER, MARK, SERVER = "benchtop.cell", "benchtop.owner", "benchtop.mark", "benchtop.server"
MEMORY = "benchtop.memory"  # bytes that were granted: the gateway's own, because not every engine remembers

_SERVER = re.compile(r"[a-z0-9-]{0,30}")
_MARK = re.compile(r"[0-9a-f]{32}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# By these a program is made to load or run something else than it says, or to mistake where it is
_FOREIGN = re.compile(
    r"LD_.*|GLIBC_TUNABLES|GCONV_PATH|MALLOC_.*|BASH_.*|ENV|IFS|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|"
    r"PYTHON(HOME|PATH|STARTUP|INSPECT|BREAKPOINT|PLATLIBDIR|EXECUTABLE)|PERL5.*|RUBYOPT|NODE_OPTIONS|"
    r"_?CONTAINERS?_.*|container|LISTEN_(FDS|PID|FDNAMES)|NOTIFY_SOCKET|STORAGE_.*|HOSTALIASES|"
    r"RESOLV_HOST_CONF"
)
# Known fields of which a session has none: Docker's own client sends them too, and they must say nothing
_ABOVE = """
ArgsEscaped AttachStdin Domainname Entrypoint Healthcheck Hostname MacAddress NetworkDisabled NetworkingConfig
OnBuild OpenStdin Runtime Shell StdinOnce StopSignal StopTimeout Tty Volumes
"""
_BELOW = """
Annotations AutoRemove BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps
BlkioWeight BlkioWeightDevice CapAdd Cgroup CgroupParent CgroupnsMode ConsoleSize ContainerIDFile CpuCount
CpuPercent CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems DeviceCgroupRules
DeviceRequests Devices Dns DnsOptions DnsSearch ExtraHosts GroupAdd IOMaximumBandwidth IOMaximumIOps Init
IpcMode Isolation KernelMemory KernelMemoryTCP Links MaskedPaths MemoryReservation MemorySwappiness Mounts
OomKillDisable OomScoreAdj PidMode PidsLimit Privileged PublishAllPorts ReadonlyPaths ReadonlyRootfs Runtime
SecurityOpt ShmSize StorageOpt Sysctls Tmpfs UTSMode Ulimits UsernsMode VolumeDriver VolumesFrom
"""
_NOTHING_ABOVE, _NOTHING_BELOW = frozenset(_ABOVE.split()), frozenset(_BELOW.split())
_NO_RESTART = [{"Name": name, **more} for name in ("", "no") for more in ({}, {"MaximumRetryCount": 0})]


@dataclass(frozen=True)
class Limits:
    """The most that one container may ask for."""

    memory: int  # bytes
    cpus: float


@dataclass(frozen=True)
class Room:
    """How many sessions, and how many bytes of memory for them together."""

    places: int
    memory: int


@dataclass(frozen=True)
class Session:
    """A container as it was granted."""

    name: str
    cell: str
    owner: Person
    mark: str
    image: Image
    command: tuple[str, ...]
    environment: Mapping[str, str]
    memory: int
    cpus: float

    @property
    def home(self) -> str:
        """The one home that is to be seen in it."""
        return f"/home/{self.owner.name}"

    @property
    def labels(self) -> dict[str, str]:
        """By which it is found again, and known as whose."""
        return {CELL: self.cell, OWNER: self.owner.name, MARK: self.mark, MEMORY: str(self.memory)}


@dataclass(frozen=True)
class Judge:
    """What decides: who there is, which images, how much."""

    lookup: Lookup
    images: Images
    limits: Limits

    def session(self, name: str, body: object, cell: str, cluster: str) -> Session:
        """What is granted of a request for a new container; cell: as its certificate says.

        Raises Refused for the first field that may not be what it is, Missing for an image that there is none
        of, and Malformed for a field that is no such thing at all.
        """
        if not isinstance(body, dict):
            raise Malformed("The body is not that of a new container.")
        above = _without_nothing(body, _NOTHING_ABOVE, "")
        host = above.pop("HostConfig", None)
        if host is not None and not isinstance(host, dict):
            raise Malformed("HostConfig is no object.")
        below = _without_nothing(host or {}, _NOTHING_BELOW, "HostConfig.")
        labels = above.pop("Labels", None)
        owner, mark = self._labels(labels, cell, cluster)
        _check_name(name, cell, owner, self.lookup)
        home = f"/home/{owner.name}"
        _each(above, _judges_above(owner, home), "")
        _each(below, _judges_below(home), "HostConfig.")
        image = above.get("Image")
        if not isinstance(image, str):
            raise Refused("Image: name the one that the session is to run in.")
        return Session(
            name=name, cell=cell, owner=owner, mark=mark, image=self._image(image),
            command=_command(above.get("Cmd")), environment=_environment(above.get("Env"), owner),
            memory=_memory(below, self.limits.memory), cpus=_cpus(below, self.limits.cpus),
        )  # fmt: skip

    def _image(self, wanted: str) -> Image:
        try:
            return self.images.find(wanted)
        except Missing as missing:
            raise Missing(f"Image: {missing}") from None

    def _labels(self, labels: object, cell: str, cluster: str) -> tuple[Person, str]:
        """Whose it is to be, and the mark by which its cell knows it."""
        if not isinstance(labels, dict) or not {CELL, OWNER, MARK} <= set(labels) <= {
            CELL,
            OWNER,
            MARK,
            SERVER,
        }:
            raise Refused(f"Labels: there have to be {CELL}, {OWNER} and {MARK}, and no others but {SERVER}.")
        if not all(isinstance(value, str) for value in labels.values()):
            raise Malformed("Labels: each is a text.")
        if labels[CELL] != cell:
            raise Refused(f"Labels: {CELL} is {labels[CELL]!a:.40}, and your certificate is that of {cell}.")
        owner = check_person(labels[OWNER], group=f"cluster-{cluster}", lookup=self.lookup)
        made, _, signature = labels[MARK].rpartition(":")
        if made != f"{cell}:{owner.name}" or not _MARK.fullmatch(signature):
            raise Refused(f"Labels: {MARK} is not that of a session of {owner.name} in {cell}.")
        if not _SERVER.fullmatch(labels.get(SERVER, "")):
            raise Refused(f"Labels: {SERVER} is no name of a server.")
        return owner, labels[MARK]


def _without_nothing(body: Mapping[Any, Any], known: Collection[str], where: str) -> dict[str, Any]:
    """The fields that say something. Raises Refused for one that has to say nothing, and does."""
    found = {}
    for key, value in body.items():
        if key in known:
            if not _is_nothing(value):
                raise Refused(f"{where}{key}: a session has none of its own, so leave this out.")
        else:
            found[key] = value
    return found


def _is_nothing(value: object) -> bool:
    return value is None or value is False or value in ("", [], {}) or (value == 0 and type(value) is int)


Check = Callable[[str, Any], None]


def _each(fields: Mapping[str, Any], judges: Mapping[str, Check], where: str) -> None:
    for key, value in fields.items():
        judge = judges.get(key)
        if judge is None:
            raise Refused(f"This gateway knows no field {where}{key!a:.60}.")
        if not _is_nothing(value):
            judge(f"{where}{key}", value)


def _judges_above(owner: Person, home: str) -> dict[str, Check]:
    """Field → what it may be; what a session needs of it is read afterwards."""
    return {
        "Image": _anything, "Cmd": _anything, "Env": _anything,
        "User": _one_of(f"{owner.uid}:{owner.gid}", str(owner.uid)),
        "WorkingDir": _one_of(home),
        "ExposedPorts": _one_of({f"{PORT}/tcp": {}}),
        # Docker's client says so of every container
        "AttachStdout": _one_of(True), "AttachStderr": _one_of(True),
    }  # fmt: skip


def _judges_below(home: str) -> dict[str, Check]:
    return {
        "Memory": _anything, "MemorySwap": _anything, "NanoCpus": _anything,
        "CpuPeriod": _anything, "CpuQuota": _anything,
        "Binds": _binds({home: "rw", "/software": "ro"}),
        "CapDrop": _one_of(["ALL"], ["all"]),
        "LogConfig": _one_of({"Type": "", "Config": {}}, {"Type": "", "Config": None}, {"Type": ""}),
        "NetworkMode": _one_of("default", "bridge"),
        "PortBindings": _port,
        "RestartPolicy": _one_of(*_NO_RESTART),
    }  # fmt: skip


def _anything(where: str, value: object) -> None:
    """Judged where it is read."""


def _one_of(*allowed: object) -> Check:
    def check(where: str, value: object) -> None:
        # True is 1 for Python, and neither is what the other says
        if not any(value == one and type(value) is type(one) for one in allowed):
            raise Refused(f"{where}: {value!a:.80} is not possible. Leave it out.")

    return check


def _binds(allowed: Mapping[str, str]) -> Check:
    """Mounts that every session has: they may be asked for, in so many words."""
    words = {f"{path}:{path}:{mode}" for path, mode in allowed.items()}

    def check(where: str, value: object) -> None:
        if not isinstance(value, list):
            raise Malformed(f"{where}: is a list.")
        for wanted in value:
            if not isinstance(wanted, str) or wanted not in words:
                raise Refused(
                    f"{where}: {wanted!a:.120} is not possible. A session has {' and '.join(sorted(words))}."
                )

    return check


def _port(where: str, value: object) -> None:
    """The session's own port; by which number it is published, the engine chooses."""
    free = [{"HostIp": address, "HostPort": port} for address in ("", "0.0.0.0") for port in ("", "0")]  # noqa: S104
    free += [{key: entry[key]} for entry in free for key in entry]
    if not any(value == {f"{PORT}/tcp": [entry]} for entry in [*free, {}]):
        raise Refused(f"{where}: only {PORT}/tcp is published, on a port that the engine chooses.")


def _check_name(name: str, cell: str, owner: Person, lookup: Lookup) -> None:
    whose, _, server = name.removeprefix(f"bt-{cell}-{owner.name}").partition("-")
    if not name.startswith(f"bt-{cell}-{owner.name}") or whose or not _SERVER.fullmatch(server):
        raise Refused(f"The name has to be bt-{cell}-{owner.name}, or that with -SERVER behind it.")
    # “bt-hpc-1-eve-x” is the server x of eve, and could be that of somebody called eve-x, whom it would block
    longer = name.removeprefix(f"bt-{cell}-").split("-")
    for count in range(owner.name.count("-") + 2, len(longer) + 1):
        other = "-".join(longer[:count])
        if PERSON.fullmatch(other) and lookup(other):
            raise Refused(f"The name {name} could be taken for a session of {other}.")


def _command(value: object) -> tuple[str, ...]:
    words = _texts("Cmd", value, MOST_WORDS)
    if not words:
        raise Refused("Cmd: say what the session is to run; an image's own command is not taken.")
    return tuple(words)


def _environment(value: object, owner: Person) -> dict[str, str]:
    found: dict[str, str] = {}
    fixed = {"HOME": f"/home/{owner.name}", "USER": owner.name, "LOGNAME": owner.name}
    for entry in _texts("Env", value, MOST_VARIABLES):
        name, equals, text = entry.partition("=")
        # one without a value is taken from the engine's own environment
        if not equals or not _VARIABLE.fullmatch(name):
            raise Refused(f"Env: {entry!a:.60} is not of the form NAME=value.")
        if name in found:
            raise Refused(f"Env: {name} is there twice.")
        if _FOREIGN.fullmatch(name):
            raise Refused(f"Env: {name} is not for a hub to set: it changes which programs run.")
        if text != fixed.get(name, text):
            raise Refused(f"Env: {name} has to be {fixed[name]}.")
        found[name] = text
    return {**found, **fixed}


def _texts(where: str, value: object, most: int) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise Malformed(f"{where}: is a list of texts.")
    if len(value) > most or sum(len(word.encode(errors="replace")) for word in value) > LONGEST_WORDS:
        raise Refused(f"{where}: more than {most} texts, or than {LONGEST_WORDS} bytes.")
    for word in value:
        if "\0" in word or not _is_unicode(word):
            raise Malformed(f"{where}: a text with a zero byte or half a character in it.")
    return value


def _is_unicode(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(where: str, value: object) -> int:
    if value is None:
        return 0
    if type(value) is not int:
        raise Malformed(f"{where}: is a whole number.")
    return value


def _memory(host: Mapping[str, object], most: int) -> int:
    wanted = _whole("HostConfig.Memory", host.get("Memory"))
    if not LEAST_MEMORY <= wanted <= most:
        raise Refused(
            f"HostConfig.Memory: {wanted} is not possible. Ask for {LEAST_MEMORY // MEBIBYTE} MB to "
            f"{most // MEBIBYTE} MB, in bytes."
        )
    if _whole("HostConfig.MemorySwap", host.get("MemorySwap")) not in {0, -1, wanted}:
        raise Refused("HostConfig.MemorySwap: there is none. Leave it out.")
    return wanted


def _cpus(host: Mapping[str, object], most: float) -> float:
    period = _whole("HostConfig.CpuPeriod", host.get("CpuPeriod"))
    quota = _whole("HostConfig.CpuQuota", host.get("CpuQuota"))
    nano = _whole("HostConfig.NanoCpus", host.get("NanoCpus"))
    if nano and (period or quota):
        raise Refused("HostConfig: NanoCpus and CpuQuota say the same: give one of them.")
    if bool(period) != bool(quota) and not (quota and not period):
        raise Refused("HostConfig.CpuPeriod: says nothing without CpuQuota.")
    wanted = nano / 1e9 if nano or not quota else quota / (period or 100_000)
    if min(period, quota, nano) < 0 or not (wanted == 0 or 0.01 <= wanted <= most):
        raise Refused(f"HostConfig: {wanted:g} CPUs are not possible. Ask for at most {most:g}.")
    return wanted or most
