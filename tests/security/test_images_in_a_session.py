"""What the nodes' seccomp profile refuses, and that an image can be opened all the same.

The engine's own profile refuses all of it, and namespaces and mounts beside.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from benchtop.settings import Settings
from benchtop.stack import compose
from support import images
from support.batch import Batch
from support.homes import Home

ROOT = Path(__file__).parents[2]
PROFILE = json.loads((ROOT / "images/node/seccomp.json").read_text())
ENGINES = json.loads((ROOT / "images/engine/seccomp.json").read_text())
NODES = {"cpu-1": "hpc", "condor-ep-1": "htc", "hpc-login": "hpc", "htc-login": "htc"}
OURS = {"gpu-1", "gpu-2", "cpu-1", "condor-ep-1", "condor-ep-2", "hpc-login", "htc-login"}
PERSON = "erin"
# What the engine's profile refuses to who has no capability, and what must stay so
NAMES = """
    _sysctl acct add_key bpf clock_settime create_module delete_module fanotify_init finit_module fsconfig
    fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register
    io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages
    mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd
    process_madvise query_module quotactl quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node
    setdomainname sethostname settimeofday stime swapoff swapon syslog sysfs uselib userfaultfd ustat
    vhangup vm86 vm86old
"""
REFUSED = list(NAMES.split())
NAMESPACES = {
    "CLONE_NEWNET": 1 << 30, "CLONE_NEWPID": 1 << 29, "CLONE_NEWIPC": 1 << 27, "CLONE_NEWUTS": 1 << 26,
    "CLONE_NEWCGROUP": 1 << 25, "CLONE_NEWTIME": 1 << 7,
}  # fmt: skip
# Calls each by its name, as root of a namespace of one's own, so that no other check comes first; prints what
# was tried, and what was not refused. A call that this machine does not have cannot be tried.
TRY = """
import ctypes, errno, json, os, sys
names, namespaces = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
known = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name
def call(number, *arguments):
    ctypes.set_errno(0)
    done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, [*arguments, *[0] * 6][:6]))
    return 0 if done >= 0 else ctypes.get_errno()
os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
tried, passed = [], []
for name in names:
    number = known(name.encode())
    if number < 0:
        continue
    tried.append(name)
    if call(number) != errno.EPERM:
        passed.append(name)
for name, flag in namespaces.items():
    tried.append(name)
    if call(known(b"unshare"), flag) != errno.EPERM:
        passed.append(f"unshare {name}")
    if name != "CLONE_NEWTIME" and call(known(b"clone"), flag | 17) != errno.EPERM:
        passed.append(f"clone {name}")
for flag in (0, 1 << 28, *namespaces.values()):
    if call(known(b"setns"), own, flag) != errno.EPERM:
        passed.append(f"setns {flag:x}")
if call(known(b"clone3")) != errno.ENOSYS:
    passed.append("clone3")
for flag in (0x0040000, 0x0400000):
    if call(known(b"personality"), flag) != errno.EPERM:
        passed.append(f"personality {flag:x}")
if call(known(b"socket"), 40, 1) != errno.EPERM:
    passed.append("vsock")
mounted = [libc.mount(b"x", b"/mnt", b"tmpfs", 0, 0), call(known(b"setns"), own, 1 << 17)]
control = [call(known(b"personality"), 0xFFFFFFFF), call(known(b"getpid")), *mounted]
print(json.dumps([tried, passed, control]))
"""


@pytest.fixture(scope="module")
def containers(settings: Settings) -> dict[str, dict[str, Any]]:
    """What `docker inspect` tells of each service's container."""
    ids = compose.run(settings, "--profile", "test", "ps", "--all", "--quiet").stdout.decode().split()
    seen = json.loads(compose.docker("inspect", *ids).stdout)
    return {one["Config"]["Labels"][compose.SERVICE_LABEL]: one["HostConfig"] for one in seen}


def test_all_that_the_engines_profile_refuses_is_named_in_ours():
    named = {name for rule in PROFILE["syscalls"] if "args" not in rule for name in rule["names"]}
    assert set(REFUSED) <= named
    assert all(rule["action"] == "SCMP_ACT_ERRNO" and rule["comment"] for rule in PROFILE["syscalls"])


def test_only_nodes_have_it_and_nothing_is_without_a_profile(containers: dict[str, dict[str, Any]]):
    for name, host in containers.items():
        options = host["SecurityOpt"]
        profiles = [option.partition("=")[2] for option in options if option.startswith("seccomp=")]
        if name == "engine":  # makes containers itself: docs/explanation/containers.md
            assert [json.loads(profile) for profile in profiles] == [ENGINES], name
            continue
        assert [json.loads(profile) for profile in profiles] == ([PROFILE] if name in OURS else []), name
        assert "no-new-privileges:true" in options, name
        if name not in OURS:
            assert not [option for option in options if "apparmor" in option], name


def as_person(settings: Settings, node: str, *command: str) -> str:
    """What a command prints that a person runs on a node."""
    return Batch(settings, NODES[node]).said(PERSON, *command, on=node)


@pytest.mark.parametrize("node", NODES)
def test_what_is_dangerous_is_refused_also_to_root_of_a_namespace(settings: Settings, node: str):
    asked = json.dumps([REFUSED, NAMESPACES])
    tried, passed, control = json.loads(as_person(settings, node, "python3", "-c", TRY, asked))
    assert passed == []
    assert len(tried) > len(REFUSED) - 12, "calls that only other machines have are left out"
    assert control == [0, 0, 0, 0], "what an image needs is allowed"


@pytest.mark.parametrize("node", NODES)
def test_an_image_can_be_opened_and_gives_nobody_a_capability(settings: Settings, node: str):
    look = (
        "id -un; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; ls -d /software; cat ~/.in-an-image"
    )
    Home(settings, PERSON).run(images.MAKE, "my-image")
    shell = (
        f"cd; export APPTAINER_BIND={images.BOUND['APPTAINER_BIND']}; echo seen >.in-an-image; "
        f'for name in apptainer singularity; do "$name" --silent exec my-image sh -c "{look}" || exit; done; '
        "rm -r .in-an-image my-image"
    )
    seen = as_person(settings, node, "sh", "-c", shell).splitlines()
    once = [PERSON, "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "/software", "seen"]
    assert seen == once * 2


@pytest.mark.parametrize("node", NODES)
def test_what_cannot_be_opened_is_said(settings: Settings, node: str):
    batch = Batch(settings, NODES[node])
    done = batch.run(PERSON, "benchtop-container", "/software/gone/rootfs", "true", on=node, check=False)
    assert done.returncode == 66
    assert b"the image /software/gone/rootfs cannot be opened on" in done.stderr
