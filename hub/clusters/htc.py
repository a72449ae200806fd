"""The cluster htc: sessions are HTCondor jobs."""

import os

from traitlets.config import get_config

from benchtop_hub.sessions.batch import CondorSession

c = get_config()

c.JupyterHub.spawner_class = CondorSession
c.CondorSession.cell = os.environ["CELL"]
c.CondorSession.minter = "https://htc-minter:8600"
c.CondorSession.cluster = os.environ["CLUSTER"]
# Where the environments are that the form offers: on the nodes, and on the hubs.
c.CondorSession.software = "/software"
c.CondorSession.support = os.environ["BENCHTOP_SUPPORT"]
c.CondorSession.access_point = "condor-ap:9618"
# What a session gets whose owner does not say, and how long one may run at most.
c.CondorSession.usual_cpus = 1
c.CondorSession.usual_memory = 1024  # MB
c.CondorSession.usual_disk = 1024  # MB
c.CondorSession.usual_runtime = 480  # minutes
c.CondorSession.longest = 1440  # minutes
# What the form says of each pool, in a line.
c.CondorSession.explanations = {
    "jupyter": "kept for notebooks; sessions start at once",
    "standard": "shared with batch jobs; a session may wait",
}
# A session on the login node, for whoever does not want to wait: minutes and MB.
c.CondorSession.login_node = "htc-login"
c.CondorSession.login_runtime = 120
c.CondorSession.login_longest = 720
c.CondorSession.login_memory = 1024
c.CondorSession.login_idle = 60

# A session in a container of its own, apart from everybody else's programs: minutes and MB. It is made
# from one of these images, which the engine's gateway knows; the first is the default.
if os.environ.get("BENCHTOP_ENGINE") == "on":
    c.CondorSession.container_engine = "https://engine-gateway:8700"
c.CondorSession.container_images = {"benchtop/session": "what every node has: JupyterLab and its kernels"}
c.CondorSession.container_memory = 1024
c.CondorSession.container_most_memory = 2048
c.CondorSession.container_most_cpus = 2
c.CondorSession.container_runtime = 240
c.CondorSession.container_longest = 720
# Which of these places is closed to members of which groups: batch, login, container.
c.CondorSession.closed_to = {"login": ["external"]}

# For which clusters a session's programs get a credential, where its owner is one of the cluster's people;
# and the groups whose members' sessions get none, as their programs would reach no batch system.
c.CondorSession.clusters = {"htc": "condor"}
if "hpc" in os.environ.get("CLUSTERS", "").split(","):
    c.CondorSession.clusters["hpc"] = "slurm"
c.CondorSession.no_credentials_for = ["external"]
