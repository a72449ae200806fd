"""The directory of people, as a service: accounts/ldap/."""

from __future__ import annotations

from benchtop.config import restart, trial
from benchtop.config.part import Part, Plan
from benchtop.people.roster import People
from benchtop.settings import Settings

# slapadd reads what slapd is to read, into folders in memory
_READING = (
    "set -e; mkdir /tmp/config /tmp/services /tmp/people; cd /etc/ldap/benchtop; "
    "sed 's#^olcDbDirectory: .*/#olcDbDirectory: /tmp/#' slapd.ldif | slapadd -F /tmp/config -n 0; "
    "echo BASE; slapadd -F /tmp/config -b dc=benchtop,dc=example -l base.ldif"
)


class Directory(Part):
    """Judged by slapadd; takes a restart of slapd."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        code, output = trial.run(settings, self, "ldap", ["-c", _READING], entrypoint="bash")
        if code:
            name = "base.ldif" if "BASE" in output.splitlines() else "slapd.ldif"
            lines = [line for line in output.splitlines() if line not in {"", "BASE"}]
            raise trial.refusal(self, [f"accounts/ldap/{name}: {line}" for line in lines])
        notice = "ldap restarts; logins wait for some seconds, nobody is logged out"
        return Plan(self, files, notice, lambda: restart.restart(settings, ["ldap"]))


DIRECTORY = Directory("directory", ("accounts/ldap",), "accounts/ldap", "/etc/ldap/benchtop")
