"""The login pages: keycloak/themes/."""

from __future__ import annotations

import re

from benchtop.config import restart, trial
from benchtop.config.part import Part, Plan
from benchtop.people.roster import People
from benchtop.settings import Settings


class Theme(Part):
    """Message files that Java can read; colours and pictures need no check. Takes a restart of Keycloak."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        for file in sorted((settings.root / self.folder).rglob("*.properties")):
            for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                text = line.lstrip()
                if text and text[0] not in "#!" and not re.match(r"[^=:\s]+\s*[=:]", text):
                    where = f"{file.relative_to(settings.root)}:{number}"
                    raise trial.refusal(self, [f"{where}: this is neither a comment nor `name=value`"])
        notice = "keycloak restarts; for half a minute nobody can log in, nobody is logged out"
        return Plan(self, files, notice, lambda: restart.restart(settings, ["keycloak"]))


THEME = Theme("theme", ("keycloak/themes",), "keycloak/themes", "/opt/keycloak/themes")
