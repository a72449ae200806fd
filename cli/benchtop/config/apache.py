"""The front door: apache/."""

from __future__ import annotations

import re

from benchtop.config import restart, trial
from benchtop.config.part import Part, Plan
from benchtop.people import keycloak
from benchtop.people.roster import People
from benchtop.settings import Settings


class Apache(Part):
    """Judged by `apache2 -t`, with the names and clusters of this facility; takes a restart of Apache."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        code, output = trial.run(settings, self, "apache", ["-t"])
        if code:
            # `file:line` with the names of the checkout, where Apache says it otherwise
            at = rf"(?:\w+: )?Syntax error on line (\d+) of {self.mount}/(\S+?):\s+"
            shown = re.sub(at, rf"{self.folder}/\2:\1: ", output)
            raise trial.refusal(self, shown.replace(f"{self.mount}/", f"{self.folder}/").splitlines())
        who = sorted(keycloak.signed_in(settings))
        names = ", ".join(who[:8]) + ", …" * (len(who) > 8)
        out = f"everybody who is logged in ({len(who)}: {names}) has to log in again"
        lost = out if who else "nobody is logged in"
        notice = f"apache restarts; {lost}, sessions keep running"
        return Plan(self, files, notice, lambda: restart.restart(settings, ["apache"]))


APACHE = Apache("apache", ("apache",), "apache", "/etc/apache2")
