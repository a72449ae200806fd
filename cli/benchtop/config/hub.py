"""The hubs: hub/jupyterhub_config.py, what differs by cluster, and the pages' templates."""

from __future__ import annotations

from benchtop.config import restart, trial
from benchtop.config.part import Part, Plan
from benchtop.console import say
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose, notices


class Hub(Part):
    """Judged by the hub's own check, once as each cluster's hubs read it; the hubs restart in turn."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        for cluster in settings.clusters:
            first = f"{cluster}-1"
            person = _somebody(everybody, cluster)
            # with the network of the hub that runs, as its scheduler is asked whether it would take a job
            running = next(
                (each.id for each in compose.containers(settings.project) if each.service == first), ""
            )
            words, network = ["-m", "benchtop_hub.check", person], ("--network", f"container:{running}")
            code, output = trial.run(settings, self, first, words, *network, entrypoint="python")
            if code:
                raise trial.refusal(self, output.splitlines())
            for line in filter(None, output.splitlines()):
                say(f"  {line}")
        away = notices.in_maintenance(settings)
        hubs = [cell for cell in settings.cell_names if cell not in away]
        notice = f"{', '.join(hubs)} restart one after the other; sessions keep running, no login ends"

        def make_live() -> None:
            for name in hubs:
                restart.restart(settings, [name])

        return Plan(self, files, notice, make_live)


def _somebody(everybody: People, cluster: str) -> str:
    """Somebody of a cluster in whose name its scheduler can be asked; "" where there is nobody."""
    members = (
        name for name, each in everybody.people.items() if cluster in each.clusters and not each.disabled
    )
    return next(members, "")


FILES = ("hub/jupyterhub_config.py", "hub/clusters", "hub/jobs", "hub/templates")
HUB = Hub("hub", FILES, "hub", "/etc/jupyterhub")
