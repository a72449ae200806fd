"""The engines of a cluster. What somebody sets in their own profile wins."""

c = get_config()  # noqa: F821 IPython has it

# An engine whose controller is silent for half a minute ends; upstream's holds its place for three.
c.IPEngine.max_heartbeat_misses = 30  # of a heartbeat's period and half a second each: ipcontroller_config.py
c.IPEngine.timeout = 20.0  # seconds for the registration, on a busy machine
c.IPEngine.wait_for_url_file = 45.0  # … for its controller, which starts while the job is queued
