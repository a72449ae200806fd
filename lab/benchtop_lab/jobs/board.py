"""What JupyterLab's Jobs panel shows: the person's jobs on both batch systems, and how one is cancelled.

Both are asked as the person, with what the session has for it (session/credentials.py), by the package of
their notebooks.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from types import ModuleType
from typing import Any

WITHIN = 8.0  # seconds that a batch system has for one
GROUPS = 300  # arrays and single jobs that are shown, of those that have not ended and of the others
MEMBERS = 50  # … and jobs of each array
PACKAGES = "/opt/lab/batch"  # where the package of the notebooks is, for a Python that does not know it


def listing() -> ModuleType:
    """The package's list of jobs, loaded when it is wanted."""
    try:
        from benchtop_batch import listing as found  # noqa: PLC0415
    except ImportError:
        sys.path.append(PACKAGES)
        from benchtop_batch import listing as found  # noqa: PLC0415
    return found


class Board:
    """What was seen last, and what the panel is told of it. root: the folder that JupyterLab shows"""

    def __init__(self, root: str) -> None:
        self._root = root
        self._overview: Any = None
        self._seen: Sequence[Any] = ()

    def look(self) -> dict[str, Any]:
        """Ask both batch systems. Takes seconds where one does not answer."""
        package = listing()
        if self._overview is None:
            self._overview = package.Overview(within=WITHIN, env=os.environ)
        self._seen = found = self._overview.look()
        told: dict[str, Any] = {"now": found.at, "missing": found.missing}
        told["counts"] = listing().counts(job for job in found if job.active)
        groups = found.groups()
        for name, active in (("active", True), ("ended", False)):
            # an array has not ended as long as one of its jobs has not
            wanted = [group for group in groups if any(job.active for job in group) == active]
            shown = [self._group(group, found.at) for group in wanted[:GROUPS]]
            told[name] = {"groups": shown, "more": len(wanted) - len(shown)}
        return told

    def cancel(self, cluster: str, number: str) -> str:
        """Cancel a job, or all of an array; why that was not done, as a sentence, or ""."""
        if any(
            job.session and job.cluster == cluster and number in {job.number, job.group} for job in self._seen
        ):
            return f"Job {number} is a session: stop it on your hub's page (File > Hub Control Panel)."
        package = listing()
        try:
            package.cancel(cluster, [number])
        except package.CannotCancelError as error:
            return str(error)
        return ""

    def _group(self, jobs: list[Any], now: float) -> dict[str, Any]:
        package = listing()
        order = {state: at for at, state in enumerate(package.STATES)}
        jobs.sort(key=lambda job: order[job.state])  # among equals, the newest first, as they come
        first = jobs[0]
        told = {**self._job(first, now), "system": package.NAMES[first.cluster], "name": first.name}
        if len(jobs) == 1 and first.count == 1:
            return told
        alike = [job for job in jobs if job.state == first.state]
        waits = [job for job in jobs if job.active and job.reason]  # of those that run there is none
        reasons = Counter(job.reason for job in waits or alike).most_common(1)
        nodes = sorted({job.node for job in alike if job.node})
        spent = [
            (job.cpu(now), job.cpus * (job.elapsed(now) or 0)) for job in jobs if job.cpu(now) is not None
        ]
        asked = sum(weight for _, weight in spent)
        used = max((job for job in jobs if job.memory_used), key=lambda job: job.memory_used, default=first)
        return {
            **told,
            "number": first.group,
            "counts": package.counts(jobs),
            "reason": reasons[0][0],
            "node": nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes" if nodes else "",
            "cpu": sum(cpu * weight for cpu, weight in spent) / asked if asked else None,
            "memory_used": used.memory_used,
            "memory": used.memory,
            "log": "",
            "open": "",
            "jobs": [self._job(job, now) for job in jobs[:MEMBERS]],
            "more": max(0, len(jobs) - MEMBERS),
        }

    def _job(self, job: Any, now: float) -> dict[str, Any]:  # noqa: ANN401 of a package that is not loaded yet
        return {
            "cluster": job.cluster,
            "number": job.number,
            "state": job.state,
            "active": job.active,
            "count": job.count,
            "reason": job.reason,
            "node": job.node,
            "since": job.since,
            "cpu": job.cpu(now),
            "cpus": job.cpus,
            "memory": job.memory,
            "memory_used": job.memory_used,
            "log": job.log,
            "open": self._below_root(job.log),
            "session": job.session,
        }

    def _below_root(self, path: str) -> str:
        """As JupyterLab calls a file; "" for one that it does not show."""
        if not path or not PurePath(path).is_relative_to(self._root):
            return ""
        parts = PurePath(path).relative_to(self._root).parts
        return "" if any(part.startswith(".") for part in parts) else "/".join(parts)
