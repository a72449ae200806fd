"""The hubs: hub/jupyterhub_config.py, what differs by cluster, and the pages' templates."""

from __future__ import annotations

from benchtop.config import restart, trial
from benchtop.config.part import Part, Plan
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import notices


class Hub(Part):
    """Judged by the hub's own check, once as each cluster's hubs read it; the hubs restart in turn."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        for cluster in settings.clusters:
            words = ["-m", "benchtop_hub.check"]
            code, output = trial.run(settings, self, f"{cluster}-1", words, entrypoint="python")
            if code:
                raise trial.refusal(self, output.splitlines())
        away = notices.in_maintenance(settings)
        hubs = [cell for cell in settings.cell_names if cell not in away]
        notice = f"{', '.join(hubs)} restart one after the other; running notebooks go on, no login ends"

        def make_live() -> None:
            for name in hubs:
                restart.restart(settings, [name])

        return Plan(self, files, notice, make_live)


HUB = Hub("hub", ("hub/jupyterhub_config.py", "hub/clusters", "hub/templates"), "hub", "/etc/jupyterhub")
