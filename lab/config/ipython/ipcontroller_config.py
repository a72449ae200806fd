"""The controller of a cluster. What somebody sets in their own profile wins."""

import secrets

c = get_config()  # noqa: F821 IPython has it

# Whoever shares a network with a controller can connect to it. By CURVE nobody reads along, and by the key
# nobody is taken for an engine or for the notebook: each is in files alone that only their owner reads.
c.IPController.enable_curve = True
c.Session.key = secrets.token_hex(32).encode()
# An engine is known from its second heartbeat on, so the time between two is what one waits: 3 s upstream.
c.HeartMonitor.period = 500  # ms
c.HeartMonitor.max_heartmonitor_misses = 60  # half a minute of silence: a busy node is not a dead one
