"""One hub of the facility: what all hubs of all clusters have in common.

Which cell of which cluster it is comes from the environment (CELL, CLUSTER), every secret from the
folder /keys, and what differs by cluster from clusters/CLUSTER.py. After a change: `make apply`;
running sessions don't notice.
"""

import os
from pathlib import Path
from urllib.parse import quote

from traitlets.config import get_config

from benchtop_hub.access import identity
from benchtop_hub.sessions import idle
from benchtop_hub.upstream.proxy import Proxy

c = get_config()

CELL, CLUSTER = os.environ["CELL"], os.environ["CLUSTER"]
CLUSTERS = os.environ.get("CLUSTERS", CLUSTER).split(",")  # that run, for links from one to the other
PUBLIC = f"https://{os.environ['BENCHTOP_NAME']}:{os.environ['BENCHTOP_PORT']}"
BASE = f"/jupyterhub/{CLUSTER}/"
HERE, KEYS = Path(__file__).parent, Path("/keys")
FACILITY = "Benchtop"
ADMINISTRATORS = "facility-admins"
SUPPORT = os.environ["BENCHTOP_SUPPORT"]


def key(name: str) -> str:
    """A secret of this cell. It stays out of the environment and the command line."""
    return (KEYS / name).read_text().strip()


# ---- who may come in -------------------------------------------------------------------------------
c.JupyterHub.authenticator_class = identity.SignedHeaderAuthenticator
c.SignedHeaderAuthenticator.cell = CELL
c.SignedHeaderAuthenticator.required_group = f"cluster-{CLUSTER}"
c.SignedHeaderAuthenticator.admin_group = ADMINISTRATORS
c.SignedHeaderAuthenticator.logout_address = (
    f"/mellon/logout?ReturnTo={quote(PUBLIC + '/signed-out', safe='')}"
)
c.SignedHeaderAuthenticator.support = SUPPORT

# ---- where it is -----------------------------------------------------------------------------------
c.JupyterHub.base_url = BASE
c.JupyterHub.public_url = PUBLIC + BASE  # https: so every cookie is Secure, whatever the proxies say
# The name `hub` exists on the cell's own network only, which nobody is on but the proxy.
c.JupyterHub.hub_ip = c.JupyterHub.hub_connect_ip = "hub"
c.JupyterHub.cookie_secret = bytes.fromhex(key("cookie.secret"))  # the same after every restart
c.JupyterHub.cookie_max_age_days = 1
c.JupyterHub.tornado_settings = {
    "cookie_options": {"samesite": "Lax"},
    # httponly: our pages carry it themselves; a notebook, which has our origin, cannot read it anywhere
    "xsrf_cookie_kwargs": {"secure": True, "samesite": "Lax", "httponly": True},
}
c.JupyterHub.token_expires_in_max_seconds = 86400  # a lost token is worth a day

# ---- its proxy: another container, so that connections outlive this one -------------------------------
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://proxy:8001"
c.ConfigurableHTTPProxy.auth_token = key("proxy.token")
# It closes an idle connection after five seconds, the hub's client after fifteen; one that is used as it is
# being closed delays a start. A new one for each request costs a fraction of a millisecond.
c.JupyterHubHTTPClient.connector_options = {"force_close": True}
c.JupyterHub.cleanup_servers = False  # sessions go on while the hub is away
c.JupyterHub.init_spawners_timeout = (
    2  # seconds until the pages are served while sessions are still looked at
)

# ---- its database ----------------------------------------------------------------------------------
c.JupyterHub.db_url = (
    f"postgresql+psycopg://{CELL}:{quote(key('database.password'), safe='')}@postgres/{CELL}"
)
c.JupyterHub.db_kwargs = {
    "pool_pre_ping": True,  # a restarted database costs one reconnect and no error page
    "connect_args": {"connect_timeout": 5, "application_name": CELL},
}

# ---- sessions: what does not depend on the cluster -----------------------------------------------------
# Jobs reach their hub by the gateway alone, which lets the API of their own cell through.
c.Spawner.hub_connect_url = f"https://apache:8444/_cell/{CELL}"
c.Spawner.default_url = "/lab"
c.Spawner.notebook_dir = "/home/{username}"
c.Spawner.start_timeout = 600  # seconds in the queue before giving up
c.Spawner.http_timeout = 60
c.Spawner.poll_interval = 5  # seconds; costs nothing: one answer of the queue serves all sessions
c.Spawner.consecutive_failure_limit = 0  # upstream stops the hub after five sessions that could not start

# More than one at a time: each has a name and an address of its own, /user/NAME/SERVER/
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 3  # besides the usual one

# ---- sessions that nobody uses end (what counts as use: lab/benchtop_lab/session/extension.py) -----------
IDLE_AFTER = 7200  # seconds without use; JupyterLab says so five minutes before, and asks. 0: never
OLDEST = 0  # seconds that a session may live, however busy; 0: as long as its job
REPORT_EVERY = 60  # seconds between two reports of a session; well within those five minutes
LOOK_EVERY = 60  # seconds
c.JupyterHub.proxy_class = Proxy
c.Spawner.environment = {
    "BENCHTOP_CLUSTER": CLUSTER,
    "BENCHTOP_SUPPORT": SUPPORT,
    "BENCHTOP_IDLE_AFTER": str(IDLE_AFTER),
    "JUPYTERHUB_ACTIVITY_INTERVAL": str(REPORT_EVERY),
}

# ---- pages -------------------------------------------------------------------------------------------
c.JupyterHub.template_paths = [str(HERE / "templates")]
c.JupyterHub.template_vars = {
    "facility": FACILITY, "cluster": CLUSTER, "cell": CELL, "support": SUPPORT, "clusters": CLUSTERS,
}  # fmt: skip

# ---- watching ------------------------------------------------------------------------------------------
c.JupyterHub.authenticate_prometheus = True

# ---- programs that may call the API, each with the one right that it needs -------------------------------
c.JupyterHub.services = [
    {"name": "metrics", "api_token": key("metrics.token")},
    {"name": "proxy", "api_token": key("routes.token")},
    {"name": idle.CULLER, "command": idle.culler(IDLE_AFTER, LOOK_EVERY, OLDEST, REPORT_EVERY)},
]
c.JupyterHub.load_roles = [
    # Nobody, whatever an older database says: an administrator's token is a person's token, and what they
    # may do beyond is on pages of their own (benchtop_hub/access/administrators.py)
    {"name": "admin", "users": [], "services": []},
    {"name": "metrics", "scopes": ["read:metrics"], "services": ["metrics"]},
    # a proxy that has just started asks for its routes: images/proxy/announce.js
    {"name": "proxy", "scopes": ["proxy"], "services": ["proxy"]},
    {
        "name": idle.CULLER,
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": [idle.CULLER],
    },
]

load_subconfig(str(HERE / "clusters" / f"{CLUSTER}.py"))  # noqa: F821  (likewise)
