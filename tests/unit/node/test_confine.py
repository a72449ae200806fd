"""What a confined job may do, as far as it can be seen without a node: sockets, standard streams, folders."""

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from support import image_programs

PROGRAM = Path(__file__).parents[3] / "images/node/confine/confine"
confine = image_programs.load("node/confine/confine")

ALLOW = 0x7FFF0000
MACHINES = sorted(confine.CALLS)
MPTCP, SCTP, ICMP = 262, 132, 1
PACKET, VSOCK, ALG, BLUETOOTH, SMC = 17, 40, 38, 31, 43


def asked(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would make of a system call, by the program of a filter."""
    data = struct.pack("=IIQ", number, architecture, 0)
    data += struct.pack("=6Q", *[*arguments, *[0] * 6][:6])
    lines = list(struct.iter_unpack("=HBBI", program))
    at, held = 0, 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            held &= value
        elif code == 0x06:
            return int(value)
        else:
            met = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += yes if met else no


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    """Each kind of machine that nodes are."""
    return str(request.param)


def makes(machine: str, *arguments: int) -> bool:
    """May a program make this socket?"""
    architecture, number, *_ = confine.CALLS[machine]
    return asked(confine.filtered(machine), architecture, number, *arguments) == ALLOW


@pytest.mark.parametrize("flags", [0, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC])
def test_tcp_and_sockets_of_the_job_itself_can_be_made(machine: str, flags: int):
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (0, socket.IPPROTO_TCP):
            assert makes(machine, family, socket.SOCK_STREAM | flags, protocol)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        assert makes(machine, socket.AF_UNIX, kind | flags, 0)
    assert makes(machine, socket.AF_NETLINK, socket.SOCK_RAW | flags, 0), "which addresses the node has"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_nothing_else_of_the_internet_can(machine: str, family: int):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        for protocol in (0, socket.IPPROTO_UDP, ICMP, SCTP, socket.IPPROTO_TCP):
            assert not makes(machine, family, kind, protocol)
    for protocol in (MPTCP, SCTP, socket.IPPROTO_UDP):
        assert not makes(machine, family, socket.SOCK_STREAM, protocol), "past Landlock"


@pytest.mark.parametrize("family", [PACKET, VSOCK, ALG, BLUETOOTH, SMC, 0, 21, 2**31])
def test_no_other_family_of_sockets_can(machine: str, family: int):
    assert not makes(machine, family, socket.SOCK_STREAM, 0)


def test_the_kernels_list_of_everybodys_connections_is_not_told(machine: str):
    sock_diag = 4
    assert not makes(machine, socket.AF_NETLINK, socket.SOCK_RAW, sock_diag)


def test_what_connects_while_it_sends_is_refused_and_sending_is_not(machine: str):
    """MSG_FASTOPEN never comes by what Landlock looks at."""
    architecture, _, sendto, sendmsg, sendmmsg = confine.CALLS[machine]
    program = confine.filtered(machine)
    for number, before in ((sendto, (3, 0, 1)), (sendmsg, (3, 0)), (sendmmsg, (3, 0, 1))):
        for flags in (0, socket.MSG_NOSIGNAL, socket.MSG_DONTWAIT):
            assert asked(program, architecture, number, *before, flags) == ALLOW
            assert asked(program, architecture, number, *before, flags | confine.FAST_OPEN) != ALLOW


def test_other_calls_are_left_alone_and_those_of_another_machine_are_not(machine: str):
    architecture, *numbers = confine.CALLS[machine]
    program = confine.filtered(machine)
    for number in set(range(460)) - set(numbers):
        assert asked(program, architecture, number) == ALLOW
    assert asked(program, 0x40000003, 102) != ALLOW, "i386, whose sockets have another number"
    assert asked(program, architecture, 0x40000000 | numbers[0], 1) != ALLOW, "x32"


def test_an_unknown_machine_is_refused_and_not_let_through():
    with pytest.raises(confine.Refused, match="riscv64"):
        confine.filtered("riscv64")


# ---- what a job was started with ----------------------------------------------------------------


# What confine does to its standard streams, and what can be read and written then. `between` is when the job
# is in the image.
STREAMS = """
import importlib.machinery, importlib.util, json, os, pathlib, sys
loader = importlib.machinery.SourceFileLoader("confine", sys.argv[1])
confine = importlib.util.module_from_spec(importlib.util.spec_from_loader("confine", loader))
loader.exec_module(confine)
exec(sys.argv[4])
paths = confine.opened()
exec(sys.argv[3])
confine.open_inside(paths, None)
found = [list(paths.values()), os.read(0, 99).decode()]
for number in (1, 2):
    os.write(number, b"written")
pathlib.Path(sys.argv[2]).write_text(json.dumps(found))
"""


def started(
    tmp_path: Path, stdin: int, stdout: int, stderr: int, between: str = "", before: str = ""
) -> tuple[list[str], str]:
    """Where the three led, and what is read on the first afterwards."""
    told = tmp_path / "told"
    subprocess.run(
        [sys.executable, "-c", STREAMS, str(PROGRAM), str(told), between, before],
        stdin=stdin, stdout=stdout, stderr=stderr, check=True, cwd=tmp_path,
    )  # fmt: skip
    for number in {stdin, stdout, stderr}:
        os.close(number)
    paths, read = json.loads(told.read_text())
    return paths, read


def opened(path: Path, flags: int) -> int:
    """A descriptor, as a batch system opens what a job names."""
    return os.open(path, flags | os.O_CREAT, 0o600)


def test_a_file_is_opened_again_by_its_path_and_a_pipe_stays(tmp_path: Path):
    (tmp_path / "in").write_text("mine")
    reading, writing = os.pipe()
    paths, read = started(
        tmp_path, opened(tmp_path / "in", os.O_RDONLY), opened(tmp_path / "out", os.O_WRONLY), writing
    )
    assert paths == [str(tmp_path / "in"), str(tmp_path / "out"), ""]
    assert read == "mine"
    assert (tmp_path / "out").read_text() == "written"
    assert os.read(reading, 99) == b"written"


def test_a_folder_a_socket_and_a_device_lead_nowhere(tmp_path: Path):
    """A folder would be a way out of the image: `openat(0, "..")`."""
    ours, theirs = socket.socketpair()
    null, zero = os.open(os.devnull, os.O_RDWR), os.open("/dev/zero", os.O_RDWR)
    folder = "os.dup2(os.open('.', os.O_RDONLY), 0)"  # Python would not start with one
    assert started(tmp_path, null, ours.detach(), zero, before=folder) == ([os.devnull] * 3, "")
    assert theirs.recv(9) == b"", "closed, and nothing was written"


def test_what_is_not_there_inside_leads_nowhere(tmp_path: Path):
    """A job's --input may name any file that its owner can read outside."""
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    files = [opened(secret, os.O_RDWR) for _ in range(3)]
    _, read = started(tmp_path, *files, between="os.rename('secret', 'elsewhere')")
    assert read == ""
    assert (tmp_path / "elsewhere").read_text() == "of somebody else"


def test_a_link_that_took_its_place_is_not_followed(tmp_path: Path):
    (tmp_path / "in").write_text("mine")
    (tmp_path / "other").write_text("other")
    files = [opened(tmp_path / name, os.O_RDWR) for name in ("in", "out", "err")]
    _, read = started(tmp_path, *files, between="os.unlink('in'); os.symlink('other', 'in')")
    assert read == ""


# ---- the node to itself ------------------------------------------------------------------------------


def test_it_waits_for_what_others_left_and_then_begins(monkeypatch: pytest.MonkeyPatch):
    seen = [{2001}, {2001, 2002}, set()]
    monkeypatch.setattr(confine, "others", lambda uid: seen.pop(0))
    monkeypatch.setattr(confine.time, "sleep", lambda seconds: None)
    confine.wait_until_alone(2007)
    assert seen == []


def test_where_somebody_stays_it_does_not_begin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(confine, "PATIENCE", 0)
    monkeypatch.setattr(confine, "others", lambda uid: {2001})
    with pytest.raises(confine.Refused, match="uid 2001"):
        confine.wait_until_alone(2007)


def test_services_and_one_self_are_nobody_else():
    assert os.getuid() not in confine.others(os.getuid())
    assert all(uid in confine.PEOPLE for uid in confine.others(2007))


# ---- the folder that a batch system made for it ---------------------------------------------------


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, Path]:
    """Where Slurm and HTCondor make them."""
    spool, scratch = tmp_path / "spool", tmp_path / "execute"
    (spool / "job00012").mkdir(parents=True)
    (scratch / "dir_34/tmp").mkdir(parents=True)
    (scratch / f"dir_{os.getppid()}").mkdir()
    monkeypatch.setattr(confine, "SPOOL", spool)
    monkeypatch.setattr(confine, "SCRATCH", scratch)
    return spool, scratch


def test_it_is_found_by_the_script_by_where_a_job_begins_and_by_the_starter(places: tuple[Path, Path]):
    spool, scratch = places
    uid, script = os.getuid(), spool / "job00012/slurm_script"
    script.touch()
    assert confine.of_this_job([str(script), "x"], "/home/gina", uid) == script
    assert confine.of_this_job(["/bin/bash"], f"{scratch}/dir_34/tmp", uid) == scratch / "dir_34"
    assert confine.of_this_job(["/bin/bash"], f"{scratch}/dir_34", uid) == scratch / "dir_34"
    assert confine.of_this_job([f"{scratch}/dir_34/condor_exec.exe"], "/", uid) == scratch / "dir_34"
    assert confine.of_this_job(["/bin/bash"], "/home/gina", uid) == scratch / f"dir_{os.getppid()}"


def test_one_of_somebody_else_or_one_that_leads_elsewhere_is_none(places: tuple[Path, Path], tmp_path: Path):
    spool, scratch = places
    (scratch / f"dir_{os.getppid()}").rmdir()
    uid, script = os.getuid(), spool / "job00012/slurm_script"
    script.touch()
    assert confine.of_this_job([str(script)], f"{scratch}/dir_34", uid + 1) is None
    (spool / "job00012/link").symlink_to("slurm_script")
    (scratch / "dir_35").symlink_to(tmp_path)
    for program in (
        spool / "job00012/link",
        spool / "job00012/gone",
        spool / "../spool/x",
        scratch / "dir_35/x",
    ):
        assert confine.of_this_job([str(program)], str(scratch), uid) is None, program
    assert confine.of_this_job([f"{scratch}/../private/x"], f"{scratch}/../x", uid) is None


def test_what_came_with_an_htcondor_job_is_moved_and_links_are_left(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _, scratch = places
    folder, root = scratch / "dir_34", tmp_path / "image"
    shown: list[str] = []
    monkeypatch.setattr(confine, "ROOT", root)
    monkeypatch.setattr(confine, "show", lambda path: shown.append(str(path)))
    monkeypatch.setattr(confine, "private", lambda path, *_: (root / path.lstrip("/")).mkdir(parents=True))
    monkeypatch.setattr(confine, "LARGEST", 100)
    (folder / "session").write_text("secret")
    (folder / "session").chmod(0o600)
    (folder / "large").write_text("x" * 101)
    (folder / "_condor_stdout").touch()
    (folder / "link").symlink_to("/etc/hostname")
    os.mkfifo(folder / "pipe")
    confine.bring_in(folder)
    inside = root / str(folder).lstrip("/")
    assert (inside / "session").read_text() == "secret"
    assert (inside / "session").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in inside.iterdir()] == ["session"]
    assert not (folder / "session").exists(), "its secrets do not stay"
    assert (folder / "_condor_stdout").exists(), "the starter has it open, and sends it"
    assert shown == [str(folder / "large"), str(folder / "tmp")]
