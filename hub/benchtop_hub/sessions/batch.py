"""Sessions as the admins of a cluster know them: batchspawner's spawners, whose settings are a site's."""

from batchspawner import CondorSpawner, SlurmSpawner
from traitlets import default

from benchtop_hub.backends.condor.backend import CondorBackend
from benchtop_hub.backends.container.backend import Container
from benchtop_hub.backends.login_node import LoginNode
from benchtop_hub.backends.slurm.backend import SlurmBackend
from benchtop_hub.sessions.spawner import Session


class SlurmSession(Session, SlurmSpawner):
    """On a cluster of Slurm.

    - Suspended and requeued jobs are alive; upstream gives them up.
    - No part of the job script comes from a person, and no secret is in it.
    """

    script = "slurm.sh"
    run_by = (SlurmBackend, LoginNode, Container)

    @default("req_srun")
    def _no_step(self) -> str:
        return ""  # upstream's "srun" costs a step of its own; a site that needs one says so


class CondorSession(Session, CondorSpawner):
    """On a pool of HTCondor.

    - Nothing of the session's environment is in the job's ad; upstream's GetEnv puts all of it there.
    - A failed condor_q is "unknown"; upstream takes it for "gone" and submits the session again.
    - A held job is removed; upstream forgets it and it stays.
    """

    script = "condor.sub"
    run_by = (CondorBackend, LoginNode, Container)
