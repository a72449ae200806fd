"""What the engine is asked for: the one kind of container that there is here, for one session."""

from __future__ import annotations

from typing import Any

from .creation import PORT, Session
from .ways import Way

SOFTWARE = "/software"
# The facility's CA, the way out, who people are, and who is disabled: a session looks for its own name there
# … and how the batch systems are reached, by who reaches them
PASSED_ON = ("/etc/benchtop/trust", "/etc/benchtop/egress", "/var/lib/extrausers", "/run/leavers")
BATCH = ("/etc/slurm", "/etc/condor")
# The names of those whom a guest may speak to, who can ask nobody: images/engine/with-vouch
NAMES = "/run/engine/names"
SECCOMP = "/etc/engine/seccomp.json"  # in the engine's container
PROCESSES, FILES = 512, 8192  # as on a node: compose.yaml
# What a session may put into memory as files, as parts of the memory that it was granted
FOLDERS = {"/tmp": 2, "/var/tmp": 8, "/run": 16}  # noqa: S108
SHARED = 4
LAST = 500  # of sessions, should memory run out all the same: the engine itself goes last
LONGEST_LOG = 1 << 20  # bytes that the engine keeps of what a session prints; its real log is in the home
GRACE = 10  # seconds to end by itself


def container(session: Session, way: Way) -> dict[str, Any]:
    """The body by which Podman makes it (its own API, which has a word for everything that is needed)."""
    owner = session.owner
    return {
        "name": session.name,
        "image": session.image.digest,
        "pull_policy": "never",
        "entrypoint": [],
        "command": list(session.command),
        "env": dict(session.environment),
        "env_host": False,
        "httpproxy": False,
        "labels": session.labels,
        "hostname": "session",
        "work_dir": session.home,
        # As the person: uids are the same inside and outside (images/engine/entrypoint)
        "user": f"{owner.uid}:{owner.gid}",
        "manage_password": False,  # else Podman adds a line for the uid, in which it is the name as well
        "groups": [str(gid) for gid in owner.gids if gid != owner.gid],
        "privileged": False,
        "cap_drop": ["ALL"],
        "no_new_privileges": True,
        "seccomp_profile_path": SECCOMP,
        "init": True,  # reaps what a session leaves to nobody
        "systemd": "false",
        "terminal": False,
        "stdin": False,
        "read_only_filesystem": True,
        "read_write_tmpfs": False,
        "image_volume_mode": "ignore",
        "mounts": [
            _bind(session.home, "rw"),
            *(_bind(path, "ro") for path in (SOFTWARE, *PASSED_ON, *(() if way.interface else BATCH))),
            *([_bind(NAMES, "ro", at="/etc/hosts")] if way.interface else []),
            *(_memory(path, session.memory // part) for path, part in FOLDERS.items()),
        ],
        "shm_size": session.memory // SHARED,
        "oom_score_adj": LAST,
        # No bridge: a network of its own by pasta, which needs no right. By what is said to be its name,
        # images/engine/vouch knows whose its connections are
        "netns": {"nsmode": "pasta"},
        "use_image_hosts": bool(way.interface),  # Podman writes none
        # and whatever else a guest asks for, nobody answers: so it is not waited for
        "dns_option": ["timeout:1", "attempts:1"] if way.interface else [],
        "network_options": {"pasta": ["--hostname", f"{owner.uid}.{owner.name}", *way.options]},
        "portmappings": [{"container_port": PORT, "host_ip": way.address, "host_port": 0, "protocol": "tcp"}],
        "r_limits": [
            {"type": "nproc", "soft": PROCESSES, "hard": PROCESSES},
            {"type": "nofile", "soft": FILES, "hard": FILES},
            {"type": "core", "soft": 0, "hard": 0},
        ],
        "resource_limits": {  # kept where cgroups allow; else the session watches its own memory
            "memory": {"limit": session.memory},
            "cpu": {"period": 100_000, "quota": int(session.cpus * 100_000)},
            "pids": {"limit": PROCESSES},
        },
        "log_configuration": {"driver": "k8s-file", "size": LONGEST_LOG},
        "restart_policy": "no",
        "stop_timeout": GRACE,
        "remove": False,
    }


def _bind(path: str, mode: str, at: str = "") -> dict[str, Any]:
    return {
        "type": "bind", "source": path, "destination": at or path,
        "options": ["bind", mode, "nosuid", "nodev", "rprivate"],
    }  # fmt: skip


def _memory(path: str, size: int) -> dict[str, Any]:
    options = ["rw", "nosuid", "nodev", "exec", f"size={size}", "mode=1777", "notmpcopyup"]
    return {"type": "tmpfs", "source": "tmpfs", "destination": path, "options": options}
