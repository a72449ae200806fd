"""HTCondor: condor/."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable, Mapping

from benchtop import topology
from benchtop.config import restart, trial
from benchtop.config.part import Part, Plan
from benchtop.console import Problem
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose

# Of HTCondor's settings, those that a daemon reads when it starts: names, and how names begin
_RESTART = {
    "NUM_CPUS", "MEMORY", "DAEMON_LIST", "CONDOR_HOST", "COLLECTOR_NAME", "SCHEDD_NAME", "SCHEDD_ARGS",
    "TRUST_DOMAIN", "UID_DOMAIN", "FILESYSTEM_DOMAIN", "LOG", "SPOOL", "EXECUTE", "RUN", "LOCK",
    "USE_GID_PROCESS_TRACKING", "MIN_TRACKING_GID", "MAX_TRACKING_GID", "USE_PROCD",
}  # fmt: skip
_RESTART_TOO = ("SLOT_TYPE_", "NUM_SLOTS", "SEC_", "SHARED_PORT")

# Not `docker kill`: the engine would take it for our wish that the container stays away when it ends.
_READ_ANEW = """
for process in /proc/[0-9]*; do
  if [ "$(cat "$process/comm" 2>/dev/null)" = condor_master ]; then kill -HUP "${process#/proc/}"; fi
done
"""
# After the values, what HTCondor knows by itself
_DUMP = """
condor_config_val -dump && echo ---- &&
echo RELEASE_DIR=/usr > /tmp/none && CONDOR_CONFIG=/tmp/none condor_config_val -dump
"""
_FAULT = re.compile(r"(?:source|file|Error) \"?/etc/condor/([^\s\",]+)")
_TRUTH = {"true", "false", "t", "f", "yes", "no", "0", "1"}


class Condor(Part):
    """Judged by HTCondor's own reading, and for what it would take without a word.

    Each kind of machine whose values differ reads them anew, or restarts where that takes one.
    """

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        kinds = machines(settings)
        hard: list[str] = []
        for names in kinds.values():
            differ = _differing(settings, names[0])
            if any(name in _RESTART or name.startswith(_RESTART_TOO) for name in differ):
                hard += names
        soft = [name for names in kinds.values() for name in names if name not in hard]
        jobs = [name for name in hard if name in kinds["execute"]]
        notice = "the pool's daemons read it anew; nobody is logged out, jobs keep running"
        if hard:
            unhurt = "" if jobs else "; nobody is logged out, jobs keep running"
            notice = f"{', '.join(hard)} restart{unhurt}"
        if jobs:
            notice += f": THE JOBS ON {', '.join(jobs)} END, sessions too"

        def make_live() -> None:
            since = int(time.time())
            for (
                name
            ) in soft:  # to condor_master, which tells the others; condor_reconfig needs an admin's token
                compose.run(settings, "exec", "-T", name, "sh", "-c", _READ_ANEW, timeout=60)
            if hard:
                restart.restart(settings, hard)
            restart.wait_until_they_work(settings, [*hard, *soft])
            _wait_for_pool(settings, since)

        return Plan(self, files, notice, make_live)


CONDOR = Condor("condor", ("condor",), "condor", "/etc/condor", cluster=topology.CONDOR)
_DAEMONS = ("central-manager", "access-point", "execute")  # the kinds of machine on which a daemon runs


def machines(settings: Settings) -> dict[str, list[str]]:
    """Kind of machine → the services that are such."""
    found: dict[str, list[str]] = {role: [] for role in _DAEMONS}
    for name, service in compose.config(settings)["services"].items():
        role = (service.get("environment") or {}).get("CONDOR_ROLE")
        if role in found:
            found[role].append(name)
    return found


def _differing(settings: Settings, service: str) -> set[str]:
    """The names whose values on a machine differ from the live ones; raises Problem with mistakes."""
    code, output = trial.run(settings, CONDOR, service, ["-c", _DUMP], entrypoint="bash")
    if code:
        raise trial.refusal(CONDOR, _faults(output))
    ours, _, own = output.partition("----")
    values, known = dumped_values(ours), dumped_values(own)
    dump = compose.run(settings, "exec", "-T", service, "condor_config_val", "-dump", timeout=60)
    present = dumped_values(dump.stdout.decode(errors="replace"))
    # some settings have no value of HTCondor's own there: then the live one shows what kind it is
    check_doubtful(settings, values, {**present, **{key: value for key, value in known.items() if value}})
    return {name for name in values.keys() | present.keys() if values.get(name) != present.get(name)}


def _wait_for_pool(settings: Settings, since: int) -> None:
    """Wait until each daemon has told the collector that it has read its configuration after `since`.

    What the collector knows of people is left out: it carries the time of the daemon that told of
    them, and nobody tells of a person anew who has no job any more.
    """
    late_ones = f'DaemonLastReconfigTime < {since} && MyType != "Submitter" && MyType != "Accounting"'
    query = ["condor_status", "-any", "-constraint", late_ones, "-autoformat", "Name"]
    manager = machines(settings)["central-manager"][0]
    end = time.monotonic() + restart.WELL_WITHIN
    while True:
        late = compose.run(settings, "exec", "-T", manager, *query, check=False, timeout=60)
        names = late.stdout.decode(errors="replace").split()
        if late.returncode == 0 and not names:
            return
        if time.monotonic() > end:
            raise Problem(f"These did not pick up the change: {', '.join(sorted(set(names)))}.")
        time.sleep(0.3)


def dumped_values(dump: str) -> dict[str, str]:
    """Name → value of what `condor_config_val -dump` printed."""
    found = (re.match(r"([A-Za-z_][\w.]*) = ?(.*)", line) for line in dump.splitlines())
    return {one[1].upper(): one[2].strip() for one in found if one}


def _faults(output: str) -> Iterable[str]:
    for line in output.splitlines():
        at, number = _FAULT.search(line), re.search(r"Line (\d+)", line)
        if at and number:
            yield f"condor/{at[1]}:{number[1]}: HTCondor cannot read this line"
        else:
            yield line.replace("/etc/condor/", "condor/")


def check_doubtful(settings: Settings, values: Mapping[str, str], known: Mapping[str, str]) -> None:
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
        raise trial.refusal(CONDOR, dict.fromkeys(wrong))


def _numbered(name: str) -> bool:
    return bool(re.search(r"\d", name))
