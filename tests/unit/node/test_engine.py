"""The container engine's own programs: whose a connection is, and how uids are mapped."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from support import image_programs
from support.wait import wait_until

vouch, entrypoint = (image_programs.load(path) for path in ("engine/vouch", "engine/entrypoint"))
IMAGES = Path(__file__).parents[3] / "images"


@pytest.mark.parametrize(
    ("line", "person"),
    [
        ("/usr/bin/pasta --config-net --hostname 2001.alice -t 1:2", (2001, "alice")),
        ("/usr/bin/pasta.avx2 --hostname 2001.alice", (2001, "alice")),
        ("/usr/bin/pasta --config-net", (0, "")),
        ("/usr/bin/pasta --hostname", (0, "")),
        ("/usr/bin/pasta --hostname alice", (0, "")),
        ("/usr/bin/pasta --hostname .alice", (0, "")),
        ("/home/alice/other --hostname 2002.bob", (0, "")),
        ("", (0, "")),
    ],
)
def test_a_network_says_whose_it_is(line: str, person: tuple[int, str]):
    assert vouch.person_of([*line.encode().split(), b""]) == person


def test_the_sockets_of_a_network_are_its_persons(monkeypatch: pytest.MonkeyPatch):
    """A process with a pasta's command line stands for one; this one, which has none, owns nothing."""
    ours, its = socket.socketpair()
    words = ["/usr/bin/pasta", "-c", "read -r", "--hostname", "2001.alice"]
    stand_in = subprocess.Popen(words, executable="/bin/bash", stdin=its)
    line = Path(f"/proc/{stand_in.pid}/cmdline")
    try:
        wait_until(lambda: line.read_bytes().startswith(b"/usr/bin/pasta"), timeout=10, what="a stand-in")
        found = vouch.sockets()
        assert found[str(os.fstat(its.fileno()).st_ino)] == (2001, "alice")
        assert str(os.fstat(ours.fileno()).st_ino) not in found
        somebodys = os.stat_result((0,) * 4 + (2002,) + (0,) * 5)
        monkeypatch.setattr(vouch.os, "stat", lambda _: somebodys)
        assert vouch.sockets() == {}, "a person's own program is nobody's network"
    finally:
        monkeypatch.undo()
        stand_in.kill()
        stand_in.wait(10)
        ours.close()
        its.close()


def test_a_person_has_the_same_number_inside_and_outside():
    """And nobody else does: no service of the facility is anybody in a container."""
    ranges = [tuple(map(int, given.split(":"))) for given in entrypoint.IDS]

    def outside(inside: int) -> int | None:
        return next(
            (there + inside - first for first, there, count in ranges if first <= inside < first + count),
            None,
        )

    assert [outside(uid) for uid in (2000, 2001, 59999)] == [2000, 2001, 59999]
    assert outside(0) == 1423
    services = [outside(uid) for uid in (1, 999, 1410, 1423, 1500, 1999, 64030, 65534)]
    assert all(uid and uid > 100_000 for uid in services)
    everybody = [outside(uid) for uid in range(65536)]
    assert len(set(everybody)) == 65536
    given = (IMAGES / "engine/Dockerfile").read_text()
    for first, there, count in ranges[1:]:
        assert f"{there}:{count}" in given, (first, there, count)


def test_a_container_asks_for_names_where_no_machine_is():
    text = entrypoint.configuration("10.213.72.2/24", "eth3")
    assert 'dns_servers = ["10.213.72.1"]' in text
    assert '"--dns-forward", "10.213.72.1"' in text
    assert '"--map-guest-addr", "none"' in text
    assert '"--interface", "eth3", "--gateway", "10.213.72.1"' in text
    assert '"172.20.0.1"' in entrypoint.configuration("172.20.3.4/16", "eth0")
