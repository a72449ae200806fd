"""A container is one person's session and nothing else, however a hub that was taken over asks for more."""

import copy
import json
import logging
import re
from typing import Any

import pytest

from .conftest import DIGEST, IMAGE, OTHER_DIGEST, Facility, good, mark

HOST, ENV, LABELS = "HostConfig", "Env", "Labels"
HOME = "/home/alice:/home/alice:rw"


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good body with one thing in it made otherwise: “HostConfig/Memory”."""
    body = copy.deepcopy(good())
    *above, last = path.split("/")
    place = body
    for word in above:
        place = place.setdefault(word, {})
    place[last] = value
    return body


def bind(*more: str) -> list[str]:
    return [HOME, *more]


# What is asked for, and what the sentence has to name
FORGED: list[tuple[str, Any, str]] = [
    # mounts
    ("HostConfig/Binds", bind("/:/host"), "Binds"),
    ("HostConfig/Binds", bind("/home:/home"), "Binds"),
    ("HostConfig/Binds", bind("/home/bob:/home/bob:rw"), "Binds"),
    ("HostConfig/Binds", ["/home/bob:/home/alice:rw"], "Binds"),
    ("HostConfig/Binds", ["/home/alice/../bob:/home/alice:rw"], "Binds"),
    ("HostConfig/Binds", ["/home//alice:/home/alice:rw"], "Binds"),
    ("HostConfig/Binds", ["/home/alice/:/home/alice:rw"], "Binds"),
    ("HostConfig/Binds", ["/home/alice:/home/alice:rw,rshared"], "Binds"),
    ("HostConfig/Binds", ["/home/alice:/etc:rw"], "Binds"),
    ("HostConfig/Binds", ["/software:/software:rw"], "Binds"),
    ("HostConfig/Binds", ["/software:/software"], "Binds"),
    ("HostConfig/Binds", ["/run/engine-api/api.sock:/run/docker.sock"], "Binds"),
    ("HostConfig/Binds", ["/keys:/keys:ro"], "Binds"),
    ("HostConfig/Binds", ["/var/lib/engine:/x"], "Binds"),
    ("HostConfig/Binds", ["engine:/x"], "Binds"),
    ("HostConfig/Binds", [["/", "/host"]], "Binds"),
    ("HostConfig/Binds", "/:/host", "Binds"),
    ("HostConfig/Binds", {"/": "/host"}, "Binds"),
    ("HostConfig/Mounts", [{"Type": "bind", "Source": "/", "Target": "/host"}], "Mounts"),
    ("HostConfig/Mounts", [{"Type": "volume", "Source": "engine", "Target": "/x"}], "Mounts"),
    ("HostConfig/Tmpfs", {"/etc": "rw"}, "Tmpfs"),
    ("HostConfig/VolumesFrom", ["bt-hpc-1-erin"], "VolumesFrom"),
    ("HostConfig/VolumeDriver", "local", "VolumeDriver"),
    ("Volumes", {"/home/bob": {}}, "Volumes"),
    ("HostConfig/StorageOpt", {"size": "1t"}, "StorageOpt"),
    ("HostConfig/ReadonlyRootfs", True, "ReadonlyRootfs"),
    # devices
    ("HostConfig/Devices", [{"PathOnHost": "/dev/vda", "PathInContainer": "/dev/vda"}], "Devices"),
    ("HostConfig/Devices", [{"PathOnHost": "/dev/net/tun"}], "Devices"),
    ("HostConfig/DeviceRequests", [{"Count": -1, "Capabilities": [["gpu"]]}], "DeviceRequests"),
    ("HostConfig/DeviceCgroupRules", ["a *:* rwm"], "DeviceCgroupRules"),
    ("HostConfig/BlkioWeightDevice", [{"Path": "/dev/vda", "Weight": 1}], "BlkioWeightDevice"),
    # rights
    ("HostConfig/Privileged", True, "Privileged"),
    ("HostConfig/Privileged", "true", "Privileged"),
    ("HostConfig/Privileged", 1, "Privileged"),
    ("HostConfig/CapAdd", ["SYS_ADMIN"], "CapAdd"),
    ("HostConfig/CapAdd", ["ALL"], "CapAdd"),
    ("HostConfig/CapAdd", "ALL", "CapAdd"),
    ("HostConfig/CapDrop", ["KILL"], "CapDrop"),
    ("HostConfig/SecurityOpt", ["seccomp=unconfined"], "SecurityOpt"),
    ("HostConfig/SecurityOpt", ["apparmor=unconfined"], "SecurityOpt"),
    ("HostConfig/SecurityOpt", ["systempaths=unconfined"], "SecurityOpt"),
    ("HostConfig/SecurityOpt", ["no-new-privileges:false"], "SecurityOpt"),
    ("HostConfig/SecurityOpt", ["label=disable"], "SecurityOpt"),
    ("HostConfig/MaskedPaths", ["/x"], "MaskedPaths"),
    ("HostConfig/ReadonlyPaths", ["/x"], "ReadonlyPaths"),
    ("HostConfig/UsernsMode", "host", "UsernsMode"),
    ("HostConfig/UsernsMode", "keep-id", "UsernsMode"),
    ("HostConfig/GroupAdd", ["0"], "GroupAdd"),
    ("HostConfig/GroupAdd", ["3001"], "GroupAdd"),
    ("HostConfig/Sysctls", {"kernel.core_pattern": "|/x"}, "Sysctls"),
    ("HostConfig/Ulimits", [{"Name": "nproc", "Soft": -1, "Hard": -1}], "Ulimits"),
    ("HostConfig/OomScoreAdj", -1000, "OomScoreAdj"),
    ("HostConfig/OomKillDisable", True, "OomKillDisable"),
    ("HostConfig/CgroupParent", "/", "CgroupParent"),
    ("HostConfig/CgroupnsMode", "host", "CgroupnsMode"),
    ("HostConfig/Runtime", "/x/runtime", "Runtime"),
    ("Runtime", "/x/runtime", "Runtime"),
    ("HostConfig/Annotations", {"run.oci.hooks.stdout": "/x"}, "Annotations"),
    # as whom
    ("User", "root", "User"),
    ("User", "0", "User"),
    ("User", "0:0", "User"),
    ("User", "2002:2000", "User"),
    ("User", "2001:0", "User"),
    ("User", "2001:3001", "User"),
    ("User", "02001:2000", "User"),
    ("User", "2001 ", "User"),
    ("User", "bob", "User"),
    ("User", 2001, "User"),
    ("User", ["2001:2000"], "User"),
    # networks
    ("HostConfig/NetworkMode", "host", "NetworkMode"),
    ("HostConfig/NetworkMode", "none", "NetworkMode"),
    ("HostConfig/NetworkMode", "container:bt-hpc-1-erin", "NetworkMode"),
    ("HostConfig/NetworkMode", "ns:/proc/1/ns/net", "NetworkMode"),
    ("HostConfig/NetworkMode", "pasta:-T,auto", "NetworkMode"),
    ("HostConfig/NetworkMode", "slirp4netns:allow_host_loopback=true", "NetworkMode"),
    ("HostConfig/PortBindings", {"8888/tcp": [{"HostIp": "", "HostPort": "22"}]}, "PortBindings"),
    ("HostConfig/PortBindings", {"22/tcp": [{"HostPort": ""}]}, "PortBindings"),
    ("HostConfig/PortBindings", {"8888/udp": [{"HostPort": ""}]}, "PortBindings"),
    ("HostConfig/PortBindings", {"8888/tcp": [{"HostIp": "::1", "HostPort": ""}]}, "PortBindings"),
    ("HostConfig/PortBindings", {"8888/tcp": [{"HostPort": ""}] * 2}, "PortBindings"),
    ("HostConfig/PublishAllPorts", True, "PublishAllPorts"),
    ("HostConfig/ExtraHosts", ["apache:10.0.0.1"], "ExtraHosts"),
    ("HostConfig/Dns", ["10.0.0.1"], "Dns"),
    ("HostConfig/Links", ["bt-hpc-1-erin:erin"], "Links"),
    ("ExposedPorts", {"22/tcp": {}}, "ExposedPorts"),
    ("NetworkingConfig", {"EndpointsConfig": {"podman": {}}}, "NetworkingConfig"),
    ("MacAddress", "02:42:ac:11:00:02", "MacAddress"),
    # namespaces of others
    ("HostConfig/PidMode", "host", "PidMode"),
    ("HostConfig/PidMode", "container:bt-hpc-1-erin", "PidMode"),
    ("HostConfig/IpcMode", "host", "IpcMode"),
    ("HostConfig/UTSMode", "host", "UTSMode"),
    ("HostConfig/Cgroup", "container:x", "Cgroup"),
    # what runs
    ("Entrypoint", ["/bin/sh"], "Entrypoint"),
    ("Entrypoint", "/bin/sh", "Entrypoint"),
    ("Healthcheck", {"Test": ["CMD", "/x"], "Interval": 1}, "Healthcheck"),
    ("Shell", ["/x"], "Shell"),
    ("StopSignal", "SIGSTOP", "StopSignal"),
    ("OnBuild", ["RUN x"], "OnBuild"),
    ("Cmd", None, "Cmd"),
    ("Cmd", [], "Cmd"),
    ("Cmd", "sleep 60", "Cmd"),
    ("Cmd", ["sleep", 60], "Cmd"),
    ("Cmd", ["sl\0eep"], "Cmd"),
    ("Cmd", ["x" * 70000], "Cmd"),
    ("WorkingDir", "/", "WorkingDir"),
    ("WorkingDir", "/home/bob", "WorkingDir"),
    ("Tty", True, "Tty"),
    ("OpenStdin", True, "OpenStdin"),
    ("HostConfig/AutoRemove", True, "AutoRemove"),
    ("HostConfig/RestartPolicy", {"Name": "always"}, "RestartPolicy"),
    ("HostConfig/LogConfig", {"Type": "none", "Config": {}}, "LogConfig"),
    ("HostConfig/LogConfig", {"Type": "k8s-file", "Config": {"path": "/home/bob/x"}}, "LogConfig"),
    ("HostConfig/ContainerIDFile", "/home/bob/x", "ContainerIDFile"),
    # environment
    ("Env", ["LD_PRELOAD=/home/alice/x.so"], "LD_PRELOAD"),
    ("Env", ["LD_LIBRARY_PATH=/x"], "LD_LIBRARY_PATH"),
    ("Env", ["BASH_ENV=/x"], "BASH_ENV"),
    ("Env", ["BASH_FUNC_ls%%=() { :; }"], "BASH_FUNC"),
    ("Env", ["PYTHONSTARTUP=/x"], "PYTHONSTARTUP"),
    ("Env", ["_CONTAINERS_USERNS_CONFIGURED=done"], "_CONTAINERS"),
    ("Env", ["HOME=/home/bob"], "HOME"),
    ("Env", ["HOME=/home/alice/../bob"], "HOME"),
    ("Env", ["USER=bob"], "USER"),
    ("Env", ["LOGNAME=root"], "LOGNAME"),
    ("Env", ["A=1", "A=2"], "twice"),
    ("Env", ["TERM"], "NAME=value"),
    ("Env", ["*"], "NAME=value"),
    ("Env", ["=x"], "NAME=value"),
    ("Env", ["a b=x"], "NAME=value"),
    ("Env", ["A=1\0B=2"], "Env"),
    ("Env", {"A": "1"}, "Env"),
    ("Env", [f"V{number}=x" for number in range(300)], "Env"),
    # whose it is
    ("Labels", None, "Labels"),
    ("Labels", {}, "Labels"),
    ("Labels", ["benchtop.cell=hpc-1"], "Labels"),
    ("Labels/benchtop.cell", "hpc-2", "hpc-2"),
    ("Labels/benchtop.cell", "HPC-1", "HPC-1"),
    ("Labels/benchtop.owner", "bob", "bob"),
    ("Labels/benchtop.owner", "nobody-knows", "no user"),
    ("Labels/benchtop.owner", "root", "system account"),
    ("Labels/benchtop.owner", "daemon", "system account"),
    ("Labels/benchtop.owner", "leaver", "disabled"),
    ("Labels/benchtop.owner", "Alice", "no user"),
    ("Labels/benchtop.owner", "../alice", "no user"),
    ("Labels/benchtop.owner", ["alice"], "Labels"),
    ("Labels/benchtop.mark", "", "mark"),
    ("Labels/benchtop.mark", mark(owner="erin"), "mark"),
    ("Labels/benchtop.mark", mark(cell="hpc-2"), "mark"),
    ("Labels/benchtop.mark", mark() + "\n", "mark"),
    ("Labels/benchtop.server", "UP", "server"),
    ("Labels/benchtop.memory", "0", "Labels"),
    ("Labels/io.podman.annotations.userns", "host", "Labels"),
    ("Labels/io.containers.autoupdate", "registry", "Labels"),
    # image
    ("Image", "debian", "no image"),
    ("Image", "benchtop/session:2", "no image"),
    ("Image", "benchtop/session@sha256:" + "c" * 64, "no image"),
    ("Image", "sha256:" + "c" * 64, "no image"),
    ("Image", "docker://somewhere.invalid/x", "no image"),
    ("Image", "/var/lib/engine", "no image"),
    ("Image", "a" * 12, "no image"),
    ("Image", None, "Image"),
    ("Image", "", "Image"),
    ("Image", [IMAGE], "Image"),
    # how much
    ("HostConfig/Memory", 0, "Memory"),
    ("HostConfig/Memory", None, "Memory"),
    ("HostConfig/Memory", -1, "Memory"),
    ("HostConfig/Memory", (2048 << 20) + 1, "Memory"),
    ("HostConfig/Memory", "512m", "Memory"),
    ("HostConfig/Memory", 5e8, "Memory"),
    ("HostConfig/Memory", True, "Memory"),
    ("HostConfig/MemorySwap", 4096 << 20, "MemorySwap"),
    ("HostConfig/MemorySwappiness", 100, "MemorySwappiness"),
    ("HostConfig/MemoryReservation", 1 << 40, "MemoryReservation"),
    ("HostConfig/NanoCpus", 10**9, "NanoCpus"),
    ("HostConfig/CpuQuota", 100 * 100000, "CPUs"),
    ("HostConfig/CpuQuota", -1, "CPUs"),
    ("HostConfig/CpuPeriod", 1, "CPUs"),
    ("HostConfig/CpuShares", 1 << 18, "CpuShares"),
    ("HostConfig/CpusetCpus", "0-63", "CpusetCpus"),
    ("HostConfig/CpuRealtimeRuntime", 950000, "CpuRealtimeRuntime"),
    ("HostConfig/PidsLimit", -1, "PidsLimit"),
    ("HostConfig/ShmSize", 1 << 40, "ShmSize"),
    # what nobody has heard of, by other spellings of what is known too
    ("privileged", True, "no field"),
    ("ImAge", IMAGE, "twice"),
    ("HostConfig/privileged", True, "privileged"),
    ("HostConfig/PRIVILEGED", False, "PRIVILEGED"),
    ("hostConfig", {"Privileged": True}, "twice"),
    ("HostConfig/HostConfig", {"Privileged": True}, "HostConfig"),
    ("HostConfig/Rootfs", "/", "Rootfs"),
    ("Secrets", ["x"], "Secrets"),
    ("HostConfig", [], "HostConfig"),
    ("HostConfig", "x", "HostConfig"),
]


@pytest.mark.parametrize(
    ("path", "value", "named"), FORGED, ids=[f"{number}-{path}" for number, (path, _, _) in enumerate(FORGED)]
)
def test_nothing_but_a_session_is_made(
    facility: Facility, caplog: pytest.LogCaptureFixture, path: str, value: Any, named: str
):
    caplog.set_level(logging.INFO, "engine-gateway")
    status, answer = facility.create(changed(path, value))
    assert status in {400, 403, 404}, answer
    assert named in answer["message"]
    assert answer["message"].endswith((".", "?"))
    assert not facility.engine.changes()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("refuse cell=hpc-1 call=POST /v1.41/containers/create")
    assert json.dumps(answer["message"]) in line
    assert facility.create()[0] == 201  # the control: as it should be, it is made
    assert [body["name"] for body in facility.engine.created()] == ["bt-hpc-1-alice"]


def test_there_are_more_than_a_hundred_forgeries():
    assert len(FORGED) > 150


@pytest.mark.parametrize(
    "name",
    [
        "", "alice", "bt-hpc-1", "bt-hpc-1-", "bt-hpc-2-alice", "bt-hpc-1-bob", "bt-hpc-1-alicex",
        "bt-hpc-1-erin", "bt-hpc-1-alice-UP", "bt-hpc-1-alice_x", "bt-hpc-1-alice--" + "x" * 40,
        "bt-hpc-1-alice%2Fx", "bt-hpc-1-alice%00", "bt-hpc-1-alice%0a", "../bt-hpc-1-alice",
        "bt-hpc-1-alice&name=bt-hpc-1-erin",
    ],
)  # fmt: skip
def test_a_container_has_its_owners_name(facility: Facility, name: str):
    status, answer = facility.create(name=name)
    assert status in {400, 403}, answer
    assert not facility.engine.changes()
    assert facility.create(name="bt-hpc-1-alice-second")[0] == 201  # the control


def test_a_name_that_could_be_somebody_elses_is_refused(facility: Facility):
    body = good(owner="erin")
    status, answer = facility.create(body, name="bt-hpc-1-erin-x")
    assert (status, "erin-x" in answer["message"]) == (403, True)
    assert facility.create(body, name="bt-hpc-1-erin-y")[0] == 201


def test_a_cell_makes_containers_for_people_of_its_cluster_alone(facility: Facility):
    status, answer = facility.create(good(owner="bob"), name="bt-hpc-1-bob")
    assert (status, "cluster-hpc" in answer["message"]) == (403, True)
    assert facility.create(good("htc-1", "bob"), name="bt-htc-1-bob", cell="htc-1")[0] == 201


def test_what_the_engine_is_asked_for_is_all_the_gateways_own(facility: Facility):
    body = good()
    body["Labels"]["benchtop.server"] = "second"
    assert facility.create(body, name="bt-hpc-1-alice-second")[0] == 201
    (made,) = facility.engine.created()
    assert made["image"] == DIGEST
    assert (made["user"], made["groups"]) == ("2001:2000", ["3001"])
    assert (made["privileged"], made["cap_drop"], made["no_new_privileges"]) == (False, ["ALL"], True)
    assert made["read_only_filesystem"]
    assert made["manage_password"] is False
    assert made["entrypoint"] == []
    binds = {(one["source"], one["options"][1]) for one in made["mounts"] if one["type"] == "bind"}
    assert ("/home/alice", "rw") in binds
    assert ("/software", "ro") in binds
    assert {mode for path, mode in binds if path != "/home/alice"} == {"ro"}
    assert all({"nosuid", "nodev"} <= set(one["options"]) for one in made["mounts"])
    assert made["netns"] == {"nsmode": "pasta"}
    assert made["env"]["HOME"] == "/home/alice"
    assert made["resource_limits"]["memory"]["limit"] == 512 << 20
    assert set(made["labels"]) == {f"benchtop.{name}" for name in ("cell", "owner", "mark", "memory")}


@pytest.mark.parametrize(
    "wanted", ["benchtop/session", IMAGE, DIGEST, f"benchtop/session@{DIGEST}", "benchtop/other:7"]
)
def test_an_image_of_the_list_is_asked_for_by_its_digest(facility: Facility, wanted: str):
    assert facility.create(changed("Image", wanted))[0] == 201
    assert facility.engine.created()[0]["image"] == (OTHER_DIGEST if "other" in wanted else DIGEST)


def test_a_tag_that_moved_means_what_the_list_says(facility: Facility):
    facility.list.write_text(json.dumps({"images": [{"name": IMAGE, "digest": OTHER_DIGEST}]}))
    assert facility.create()[0] == 201
    assert facility.engine.created()[0]["image"] == OTHER_DIGEST


@pytest.mark.parametrize(
    "text", [None, "", "{}", '{"images": []}', '{"images": [{"name": "x", "digest": "y"}]}']
)
def test_without_a_list_nothing_is_made(facility: Facility, text: str | None):
    facility.list.unlink()
    if text is not None:
        facility.list.write_text(text)
    status, answer = facility.create()
    assert (status, "make up" in answer["message"]) == (503, True)
    assert not facility.engine.changes()


def test_a_session_that_leaves_out_what_it_may_gets_the_same(facility: Facility):
    body = {"Image": "benchtop/session", "Cmd": ["x"], "Labels": good()["Labels"], HOST: {"Memory": 64 << 20}}
    assert facility.create(body)[0] == 201
    made = facility.engine.created()[0]
    assert made["user"] == "2001:2000"
    assert made["env"] == {"HOME": "/home/alice", "USER": "alice", "LOGNAME": "alice"}
    assert made["resource_limits"]["cpu"]["quota"] == 200_000


def test_no_secret_is_in_the_log(facility: Facility, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "engine-gateway")
    assert facility.create()[0] == 201
    facility.create(changed("Env", ["JUPYTERHUB_API_TOKEN=very-secret", "LD_PRELOAD=x"]))
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert re.search(
        r"grant create cell=hpc-1 owner=alice uid=2001 name=bt-hpc-1-alice container=[0-9a-f]{12} ", text
    )
    assert "secret" not in text
