"""How IPyParallel starts clusters here. What somebody sets in their own profile wins."""

# ipp.Cluster(engines="slurm") and engines="htcondor" are the facility's launchers by their names
# alone; they have settings of their own: c.SlurmEngineSetLauncher.memory, cpus, queue, account, qos,
# timelimit, options, and c.HTCondorEngineSetLauncher.memory, cpus, options.
import importlib.util

c = get_config()  # noqa: F821 IPython has it

if importlib.util.find_spec("benchtop_batch"):  # not in an environment that somebody made without it
    # listens where nodes reach it, and ends with the notebook
    c.Cluster.controller_launcher_class = "benchtop_batch.engines.launchers.Controller"
    # Engines wait for the controller's file: they are queued while it starts, and no key is in a job.
    c.Cluster.delay = 0
    c.Cluster.send_engines_connection_env = False
    # As many as a person gets soon; upstream's default is the number of CPUs of the node, whoever has them.
    c.Cluster.n = 4
    # While jobs are queued one waits, and reads why; when they have ended, one is told at once.
    c.Cluster.engine_timeout = -1
    # Long work without a GPU; engines end with their notebook in any case.
    c.SlurmEngineSetLauncher.queue = "harvester"
    c.SlurmEngineSetLauncher.timelimit = "06:00:00"
