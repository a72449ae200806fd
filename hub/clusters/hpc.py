"""The cluster hpc: sessions are Slurm jobs."""

import os

from traitlets.config import get_config

from benchtop_hub.sessions.batch import SlurmSession

c = get_config()

c.JupyterHub.spawner_class = SlurmSession
c.SlurmSession.cell = os.environ["CELL"]
c.SlurmSession.minter = "https://hpc-minter:8600"
c.SlurmSession.cluster = os.environ["CLUSTER"]
# Where the environments are that the form offers: on the nodes, and on the hubs.
c.SlurmSession.software = "/software"
c.SlurmSession.support = os.environ["BENCHTOP_SUPPORT"]
# Which partition the form starts with: the first of these that the person may use.
c.SlurmSession.preferred_partitions = ["usatlas", "debug", "harvester"]
# What a session gets whose owner does not say.
c.SlurmSession.usual_cpus = 1
c.SlurmSession.usual_memory = 1024  # MB
c.SlurmSession.rights_age = 30  # seconds: as long may a change by sacctmgr take to reach the form
# What the form says of the choices that a person has, in a line each.
c.SlurmSession.explanations = {
    "partition": {
        "debug": "short tests and small work; starts soonest",
        "harvester": "work that takes long",
        "scavenger": "uses what is idle; others go first, and may interrupt it",
        "usatlas": "nodes with GPUs, for members of usatlas",
    },
    "qos": {
        "normal": "the usual",
        "interactive": "starts before others, with fewer CPUs",
        "scavenger": "gives way to all others",
        "usatlas": "the priority of usatlas in its own partition",
    },
    "gpu": {
        "any": "whichever type is free first",
        "pascal": "an older type, enough for most training and for tests",
        "tesla": "the faster type, for large models",
    },
}
# A session on the login node, for whoever does not want to wait: minutes and MB.
c.SlurmSession.login_node = "hpc-login"
c.SlurmSession.login_runtime = 120
c.SlurmSession.login_longest = 720
c.SlurmSession.login_memory = 1024
c.SlurmSession.login_idle = 60

# A session in a container of its own, apart from everybody else's programs: minutes and MB. It is made
# from one of these images, which the engine's gateway knows; the first is the default.
if os.environ.get("BENCHTOP_ENGINE") == "on":
    c.SlurmSession.container_engine = "https://engine-gateway:8700"
c.SlurmSession.container_images = {"benchtop/session": "what every node has: JupyterLab and its kernels"}
c.SlurmSession.container_memory = 1024
c.SlurmSession.container_most_memory = 2048
c.SlurmSession.container_most_cpus = 2
c.SlurmSession.container_runtime = 240
c.SlurmSession.container_longest = 720
# Which of these places is closed to members of which groups: batch, login, container.
c.SlurmSession.closed_to = {"login": ["external"]}

# For which clusters a session's programs get a credential, where its owner is one of the cluster's people;
# and the groups whose members' sessions get none, as their programs would reach no batch system.
c.SlurmSession.clusters = {"hpc": "slurm"}
if "htc" in os.environ.get("CLUSTERS", "").split(","):
    c.SlurmSession.clusters["htc"] = "condor"
c.SlurmSession.no_credentials_for = ["external"]
