"""How every session's server behaves; a person's own ~/.jupyter may change the rest."""

import os
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_path
from traitlets.config import get_config

from benchtop_lab.home import own
from benchtop_lab.kernels import places, provisioner
from benchtop_lab.session import deaths, environment, exports, workspaces

c = get_config()

# Which extensions the server has: jupyter_server_config.json beside this. Off is what would be loaded at each
# start for nothing: no language server is installed, and no settings of a notebook of before version 7.

# As a login shell, and with the environment of the notebooks whatever a person's own files do to the path.
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "--rcfile", "/opt/lab/etc/terminal.bash"]}
if os.environ.get(own.WITHOUT):  # where a person's shell files may be what keeps them from working
    c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "--noprofile", "--norc"]}
# Whose home takes nothing has their notebooks signed all the same, for as long as the session lasts.
if os.environ.get(own.REFUSES):
    c.NotebookNotary.db_file = ":memory:"
    if not Path(jupyter_data_dir(), "notebook_secret").exists():
        c.NotebookNotary.secret_file = f"{os.environ['BENCHTOP_RUN']}/notebook_secret"
# What is open is remembered for each server by itself.
c.LabApp.workspaces_dir = workspaces.folder(jupyter_config_dir(), os.environ)
exports.offer_what_works(c)
# Extensions come with the image: a button that installs some into a read-only folder only disappoints.
c.LabApp.extension_manager = "readonly"
# TLS ends before this server, which therefore does not know that there is any.
c.ServerApp.tornado_settings = {
    "xsrf_cookie_kwargs": {"secure": True, "samesite": "Lax"},
    # A message to a kernel, a pasted table for example. By tornado's own 10 MiB, the connection closes
    # without a word, and the cell runs for ever. (Of what is larger, labextension/static/kernels.js says so.)
    "websocket_max_message_size": 100 << 20,
}
# Text that a cell may print, bytes a second over three seconds; what is shown otherwise is not counted.
c.ZMQChannelsWebsocketConnection.iopub_data_rate_limit = 10_000_000
# Which kernels there are, how each is started, and when one that dies is left alone
c.ServerApp.kernel_spec_manager_class = "benchtop_lab.kernels.specs.KernelSpecs"
provisioner.install()
c.KernelProvisionerFactory.default_provisioner_name = provisioner.NAME
c.AsyncIOLoopKernelManager.restarter_class = "benchtop_lab.kernels.restarter.Restarter"
c.KernelRestarter.restart_limit = deaths.TIMES - 1
c.KernelRestarter.time_to_dead = 1.0  # seconds between two looks
# What their notebooks show needs its part in the page, behind what this server has by itself
c.LabApp.labextensions_path = [*jupyter_path("labextensions"), *map(str, places.widgets(os.environ))]
# What a notebook begins with where the session's environment says so
if kernel := os.environ.get(environment.KERNEL):
    c.MultiKernelManager.default_kernel_name = kernel
# Kernels talk by sockets in the person's own folder: by TCP, anybody on the same node could listen in.
c.KernelManager.transport = "ipc"
# A session that is told to stop gives its kernels this long (seconds) before it ends them.
c.KernelManager.shutdown_wait_time = 2.0
# On the login node, where there is little room, a session ends that nobody works with: seconds.
if idle := os.environ.get("BENCHTOP_IDLE"):
    c.ServerApp.shutdown_no_activity_timeout = c.MappingKernelManager.cull_idle_timeout = int(idle)
    c.MappingKernelManager.cull_connected = True
