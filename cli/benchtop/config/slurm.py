"""Slurm: slurm/."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from benchtop import topology
from benchtop.config import live, restart, trial
from benchtop.config.part import Part, Plan
from benchtop.console import Problem
from benchtop.people import accounts
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose

_ACCOUNTING = "slurm/slurmdbd.conf"
# slurm.conf(5): these are read once, at the start of a daemon
_RESTART = {
    "authtype", "credtype", "authalttypes", "authaltparameters", "slurmctldport", "slurmdport", "slurmuser",
    "slurmdparameters", "slurmctldhost", "statesavelocation", "slurmdspooldir", "slurmctldpidfile",
    "slurmdpidfile", "selecttype", "clustername", "port", "accountingstoragetype", "accountingstoragehost",
}  # fmt: skip

# slurmctld itself reads the files, and goes on until it would serve: there is no other check, and the
# running one that is told to read a file with a mistake falls over it. It is on a network without nodes,
# with a key of its own, so that nothing can mistake it for the real one. What it would ask slurmdbd for
# is left out here: `check_names` looks after that.
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
  timeout --kill-after=1 20 slurmctld -D -c > /tmp/output 2>&1 &
for _ in $(seq 200); do
  if grep -q 'Running as primary controller' /tmp/output; then exit 0; fi
  kill -0 $! 2>/dev/null || break
  sleep 0.1
done
cat /tmp/output
exit 1
"""
# Lines of its log that are about the check and not about the files
_NO_MATTER = re.compile(
    r"PriorityWeight|state file|backup state|JobAcctGather|creating clustername|slurmctld version|to recover|"
    r"Job accounting information|asked for it not to be stored"
)


class Slurm(Part):
    """Judged by slurmctld, and by the list of people for the names that only accounting knows.

    `scontrol reconfigure` tells slurmctld and the nodes; some lines take a restart of all of them.
    """

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        check_names(settings, everybody)
        apart = ["--network", f"{settings.project}_slurm-db", "--hostname", "slurmctld", "--user", "0"]
        code, output = trial.run(settings, self, "slurmctld", ["-c", _SLURMCTLD], *apart, entrypoint="bash")
        if code:
            output = output.replace("/tmp/conf/", "slurm/")  # noqa: S108 - in a container
            lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line) for line in output.splitlines()]
            lines = list(dict.fromkeys(line for line in lines if not _NO_MATTER.search(line)))
            raise trial.refusal(self, [_located(settings, line) for line in lines])
        return plan(settings, files)

    def go_back(self, settings: Settings, plan: Plan) -> None:
        """See Part. A slurmctld with a mistake falls over again and again, and runs in between."""
        fallen = restart.readers(settings, self.folder) & restart.unwell(settings)
        restart.restart(settings, sorted({*fallen, "slurmctld"}))
        plan.make_live()


SLURM = Slurm("slurm", ("slurm",), "slurm", "/etc/slurm", cluster=topology.SLURM)


def plan(settings: Settings, files: list[str]) -> Plan:
    """What the change of `files` takes, and what people notice of that."""
    keys = {key for name in files if name != _ACCOUNTING for key in _changed_keys(settings, name)}
    hard = sorted(keys & _RESTART)
    accounting_alone = files == [_ACCOUNTING]
    notice = "slurmctld and its nodes read it anew; nobody is logged out, jobs keep running"
    if hard:
        notice = f"all of Slurm restarts for {', '.join(hard)}: THE JOBS ON THE NODES END, sessions too"
    elif accounting_alone:
        notice = "slurmdbd restarts; nobody notices"

    def make_live() -> None:
        daemons = ["slurmctld", *nodes(settings)]
        if _ACCOUNTING in files:
            restart.restart(settings, ["slurmdbd"])
        if hard:
            restart.restart(settings, daemons)
        elif not accounting_alone:
            _reconfigure(settings)
        restart.wait_until_they_work(settings, daemons)

    return Plan(SLURM, files, notice, make_live)


def nodes(settings: Settings) -> list[str]:
    """The compute nodes: whatever runs the image of one."""
    parsed = compose.config(settings)["services"]
    return [
        name for name, service in parsed.items() if service.get("image") == f"{settings.project}/slurm-node"
    ]


def _changed_keys(settings: Settings, name: str) -> set[str]:
    """The keys, in lower case, of the words that differ between the two versions of a file."""
    words = []
    for base in (settings.root, live.former(settings, SLURM)):
        file = base / name
        text = file.read_text() if file.is_file() else ""
        lines = [line.split("#")[0].split() for line in text.splitlines()]
        # a word counts with the first of its line: which node, which partition
        words.append({(line[0], word) for line in lines if line for word in line})
    return {word.partition("=")[0].lower() for _, word in words[0] ^ words[1]}


def _reconfigure(settings: Settings) -> None:
    """Tell slurmctld, and wait until its successor serves: the command's own answer comes before that."""
    since = datetime.now(UTC).isoformat()
    compose.run(settings, "exec", "-T", "slurmctld", "scontrol", "reconfigure", timeout=60)
    end = time.monotonic() + restart.WELL_WITHIN
    while True:
        text = compose.log_text(settings, "--no-log-prefix", "--since", since, "slurmctld")
        if any("Running as primary controller" in line for line in text):
            return
        wrong = [line for line in text if "fatal:" in line]
        if wrong or time.monotonic() > end:
            raise Problem("slurmctld did not pick up the change.", wrong or text[-8:])
        time.sleep(0.2)


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


def check_names(settings: Settings, everybody: People) -> None:
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
        raise trial.refusal(SLURM, wrong)
