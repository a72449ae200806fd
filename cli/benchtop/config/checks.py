"""Judge changed configuration before anything that runs gets to see it.

Each part is judged by the program that is to read it, in a container of that program's own image which
sees the checkout's files in the place of the live ones, and which is thrown away. Each check raises
Problem with `file:line: reason` where the program says so, else with the program's own words.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchtop.config import live
from benchtop.config.live import Part
from benchtop.console import Problem
from benchtop.keys import secrets
from benchtop.people import accounts, realm
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose

_PATIENCE = 120  # seconds for one container; the slowest, a hub's, takes six


def _try(
    settings: Settings, part: Part, service: str, words: list[str], *options: str, entrypoint: str = ""
) -> tuple[int, str]:
    """Exit code and output of a command in a container like that of `service`, with the checkout's files.

    It has the service's keys, to read, and no network, unless `options` (of `docker run`) give it one.
    """
    running = next((one for one in compose.containers(settings.project) if one.service == service), None)
    if running is None:
        raise Problem(f"{service} has no container, so {part.name} cannot be checked: `make up` first.")
    environment = compose.config(settings)["services"][service].get("environment") or {}
    given = [f"--env={name}={value}" for name, value in environment.items()]
    # a mount of ours takes the place of the one at the same path that comes with the volumes
    ours = f"{settings.root / part.folder}:{part.mount}:ro"
    mounts = ["--volumes-from", f"{running.id}:ro", "--volume", ours]
    alone = ["--network", "none", "--hostname", service, "--add-host", f"{service}:127.0.0.1"]
    first = ["--entrypoint", entrypoint] if entrypoint else []
    memory = ["--tmpfs", "/tmp:mode=1777"]  # noqa: S108 - in a container
    options = tuple(options) or tuple(alone)
    done = compose.docker(
        "run", "--rm", *given, *mounts, *memory, *options, *first, running.image, *words,
        check=False, timeout=_PATIENCE,
    )  # fmt: skip
    return done.returncode, (done.stderr + b"\n" + done.stdout).decode(errors="replace").strip()


def _refused(part: Part, lines: Iterable[str]) -> Problem:
    said = [line for line in lines if line][-12:]
    return Problem(f"Nothing was changed: there is a mistake in {part.name}.", said)


# ---- apache, directory, hub -------------------------------------------------------------------


def apache(settings: Settings) -> None:
    """`apache2 -t`, with the names and clusters of this facility."""
    code, said = _try(settings, live.APACHE, "apache", ["-t"])
    if code:
        raise _refused(live.APACHE, _shown(said, live.APACHE).splitlines())


def directory(settings: Settings) -> None:
    """The reading of slapadd, which reads what slapd is to read, into folders in memory."""
    script = (
        "set -e; mkdir /tmp/config /tmp/services /tmp/people; cd /etc/ldap/benchtop; "
        "sed 's#^olcDbDirectory: .*/#olcDbDirectory: /tmp/#' slapd.ldif | slapadd -F /tmp/config -n 0; "
        "echo BASE; slapadd -F /tmp/config -b dc=benchtop,dc=example -l base.ldif"
    )
    code, said = _try(settings, live.DIRECTORY, "ldap", ["-c", script], entrypoint="bash")
    if code:
        name = "base.ldif" if "BASE" in said.splitlines() else "slapd.ldif"
        lines = [line for line in said.splitlines() if line not in {"", "BASE"}]
        raise _refused(live.DIRECTORY, [f"accounts/ldap/{name}: {line}" for line in lines])


def hub(settings: Settings) -> None:
    """The configuration as each cluster's hubs read it, and the templates."""
    for cluster in settings.clusters:
        words = ["-m", "benchtop_hub.check"]
        code, said = _try(settings, live.HUB, f"{cluster}-1", words, entrypoint="python")
        if code:
            raise _refused(live.HUB, said.splitlines())


def _shown(text: str, part: Part) -> str:
    """A container's words with the files' names as in the checkout, `file:line` where it said otherwise."""
    at = rf"(?:\w+: )?Syntax error on line (\d+) of {part.mount}/(\S+?):\s+"
    return re.sub(at, rf"{part.folder}/\2:\1: ", text).replace(f"{part.mount}/", f"{part.folder}/")


# ---- realm ------------------------------------------------------------------------------------


def keycloak(settings: Settings) -> Mapping[str, object]:
    """Keycloak's judgement; returns its own values for what the live file says and the new one does not."""
    name = "keycloak/realm.json"
    text, former = (settings.root / name).read_text(), settings.live_file(name).read_text()
    realm.refuse_reborn(text, former)
    rendered = [secrets.realm(settings, each) for each in (text, former)]
    understood = realm.judge(settings, rendered[0], text, rendered[1])
    dropped = json.loads(former).keys() - json.loads(text).keys()
    return {key: understood[key] for key in dropped if key in understood}


# ---- Slurm ------------------------------------------------------------------------------------

# slurmctld itself reads the files, and goes on until it would serve: there is no other check, and the
# running one that is told to read a file with a mistake falls over it. It is on a network without nodes,
# with a key of its own, so that nothing can mistake it for the real one. What it would ask slurmdbd for
# is left out here: `slurm_names` looks after that.
_SLURMCTLD = r"""
set -e
cp -r /etc/slurm /tmp/conf && cd /tmp/conf && mkdir /tmp/state
sed -i 's#/etc/slurm/#/tmp/conf/#' *.conf
sed -i -E '/^\s*AccountingStorage(Type|Enforce|Host|TRES)\s*=/Id' slurm.conf
sed -i -E '/^\s*(JobAcctGatherType|StateSaveLocation|SlurmctldPidFile)\s*=/Id' slurm.conf
sed -i -E '/^PartitionName=/I s/\s(QOS|Allow(Qos|Accounts))=\S*//Ig' *.conf
printf '\nStateSaveLocation=/tmp/state\nSlurmctldPidFile=/tmp/pid\n' >> slurm.conf
export SLURM_CONF=/tmp/conf/slurm.conf
# it looks every node's name up, and waits ten seconds for each that nobody knows
lists=$(sed -nE 's/#.*//; s/^\s*Node(Name|Addr|HostName)=(\S+).*/\2/Ip' *.conf)
for list in $lists; do
  for node in $(scontrol show hostnames "$list"); do echo "127.0.0.1 $node" >> /etc/hosts; done
done
head -c 1024 /dev/urandom > /tmp/key
install -d -o slurm /run/slurmctld
chown -R slurm: /tmp/conf /tmp/state /tmp/key && chmod 400 /tmp/key
SLURM_SACK_KEY=/tmp/key setpriv --reuid slurm --regid slurm --clear-groups \
  timeout --kill-after=1 20 slurmctld -D -c > /tmp/said 2>&1 &
for _ in $(seq 200); do
  if grep -q 'Running as primary controller' /tmp/said; then exit 0; fi
  kill -0 $! 2>/dev/null || break
  sleep 0.1
done
cat /tmp/said
exit 1
"""
# Lines of its log that are about the check and not about the files
_NO_MATTER = re.compile(
    r"PriorityWeight|state file|backup state|JobAcctGather|creating clustername|slurmctld version|to recover|"
    r"Job accounting information|asked for it not to be stored"
)


def slurm(settings: Settings, everybody: People) -> None:
    """The judgement of slurmctld, and the names that only accounting knows."""
    slurm_names(settings, everybody)
    apart = ["--network", f"{settings.project}_slurm-db", "--hostname", "slurmctld", "--user", "0"]
    code, said = _try(settings, live.SLURM, "slurmctld", ["-c", _SLURMCTLD], *apart, entrypoint="bash")
    if code:
        said = said.replace("/tmp/conf/", "slurm/")  # noqa: S108 - in a container
        lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line) for line in said.splitlines()]
        lines = list(dict.fromkeys(line for line in lines if not _NO_MATTER.search(line)))
        raise _refused(live.SLURM, [_located(settings, line) for line in lines])


def _located(settings: Settings, line: str) -> str:
    """The line of a log, with the place in our files of the last word in it that is there only."""
    words = [word for word in re.findall(r"[\w/.:-]{2,}", line) if not word.startswith("slurm/")]
    files = sorted((settings.root / "slurm").glob("*.conf"))
    texts = [(f"slurm/{file.name}:{n}", text.split("#")[0]) for file in files
             for n, text in enumerate(file.read_text().splitlines(), 1)]  # fmt: skip
    best: tuple[int, str] = (10**6, "")
    for word in words:
        at = [place for place, text in texts if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)]
        if at and len(at) < best[0]:
            best = (len(at), at[-1])
    return f"{best[1]}: {line}" if best[1] and best[0] <= 2 else line


def slurm_names(settings: Settings, everybody: People) -> None:
    """Refuse a QOS that accounting has not, with which slurmctld would not start, and such an account."""
    known = {"QOS": everybody.slurm.qos.keys(), "account": everybody.slurm.accounts.keys()}
    kinds = {
        "qos": "QOS",
        "allowqos": "QOS",
        "denyqos": "QOS",
        "allowaccounts": "account",
        "denyaccounts": "account",
    }
    wrong = []
    for file in sorted((settings.root / "slurm").glob("*.conf")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            words = line.split("#")[0].split()
            if not words or not words[0].lower().startswith("partitionname="):
                continue
            for key, _, value in (word.partition("=") for word in words):
                kind = kinds.get(key.lower())
                names = [name for name in value.split(",") if name and name.upper() != "ALL"]
                wrong += [
                    f"slurm/{file.name}:{number}: there is no {kind} {name} in {accounts.PEOPLE}"
                    for name in names
                    if kind and name not in known[kind]
                ]
    if wrong:
        raise _refused(live.SLURM, wrong)


# ---- HTCondor ---------------------------------------------------------------------------------

# A kind of machine → the service that is one
ROLES = {"central-manager": "condor-cm", "access-point": "condor-ap", "execute": "condor-ep-1"}
# After the values, what HTCondor knows by itself
_DUMP = """
condor_config_val -dump && echo ---- &&
echo RELEASE_DIR=/usr > /tmp/none && CONDOR_CONFIG=/tmp/none condor_config_val -dump
"""
_FAULT = re.compile(r"(?:source|file|Error) \"?/etc/condor/([^\s\",]+)")
_TRUTH = {"true", "false", "t", "f", "yes", "no", "0", "1"}


def condor(settings: Settings) -> dict[str, set[str]]:
    """HTCondor's own reading of the files, and what it would take without a word.

    Returns role → the names whose values differ from the live ones.
    """
    differ = {}
    for role, service in ROLES.items():
        code, said = _try(settings, live.CONDOR, service, ["-c", _DUMP], entrypoint="bash")
        if code:
            raise _refused(live.CONDOR, [*_condor_fault(said)])
        ours, _, own = said.partition("----")
        values, known = condor_values(ours), condor_values(own)
        dump = compose.run(settings, "exec", "-T", service, "condor_config_val", "-dump", timeout=60)
        present = condor_values(dump.stdout.decode(errors="replace"))
        # some settings have no value of HTCondor's own there: then the live one shows what kind it is
        doubtful(settings, values, {**present, **{key: value for key, value in known.items() if value}})
        differ[role] = {
            name for name in values.keys() | present.keys() if values.get(name) != present.get(name)
        }
    return differ


def condor_values(dump: str) -> dict[str, str]:
    """Name → value of what `condor_config_val -dump` printed."""
    found = (re.match(r"([A-Za-z_][\w.]*) = ?(.*)", line) for line in dump.splitlines())
    return {one[1].upper(): one[2].strip() for one in found if one}


def _condor_fault(said: str) -> Iterable[str]:
    for line in said.splitlines():
        at, number = _FAULT.search(line), re.search(r"Line (\d+)", line)
        if at and number:
            yield f"condor/{at[1]}:{number[1]}: HTCondor cannot read this line"
        else:
            yield line.replace("/etc/condor/", "condor/")


def doubtful(settings: Settings, values: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Names that are nearly one of HTCondor's, and words where it counts or decides.

    HTCondor says nothing about the former, and its daemons fall over the latter.
    """
    wrong = []
    text = {
        file: file.read_text().splitlines() for file in sorted((settings.root / "condor").rglob("*.conf"))
    }
    used = "\n".join(line for lines in text.values() for line in lines)
    for file, lines in text.items():
        for number, line in enumerate(lines, 1):
            here = re.match(r"\s*([A-Za-z_][\w.]*)\s*=", line)
            name = here[1].upper() if here else ""
            where = f"condor/{file.relative_to(settings.root / 'condor')}:{number}"
            if not name or _numbered(name):
                continue
            if name not in known and f"$({name}" not in used.upper():
                near = difflib.get_close_matches(name, known, 1, 0.92)
                wrong += (
                    [f"{where}: {name} is nothing that HTCondor knows; {near[0]}, perhaps?"] if near else []
                )
            value, usual = values.get(name, ""), known.get(name, "")
            if re.fullmatch(r"-?\d+", usual) and re.fullmatch(r"[A-Za-z_]+", value):
                wrong.append(f"{where}: {name} must be a number, not {value}")
            if (
                usual.lower() in {"true", "false"}
                and re.fullmatch(r"\w+", value)
                and value.lower() not in _TRUTH
            ):
                wrong.append(f"{where}: {name} must be true or false, not {value}")
    if wrong:
        raise _refused(live.CONDOR, dict.fromkeys(wrong))


def _numbered(name: str) -> bool:
    return bool(re.search(r"\d", name))


def theme(settings: Settings) -> None:
    """Message files that Java can read; colours and pictures need no check."""
    for file in sorted(Path(settings.root / "keycloak/themes").rglob("*.properties")):
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if (
                line.strip()
                and line.lstrip()[0] not in "#!"
                and not re.match(r"[^=:\s]+\s*[=:]", line.lstrip())
            ):
                where = f"{file.relative_to(settings.root)}:{number}"
                raise _refused(live.THEME, [f"{where}: this is neither a comment nor `name=value`"])
