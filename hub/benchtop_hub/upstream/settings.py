"""Which of JupyterHub's and batchspawner's settings cannot apply here, and what serves instead.

All that a site sets does what its documentation says, or is refused: a setting that is accepted and does
nothing would be found out by people, one by one.
"""

import re
from collections.abc import Iterator, Mapping
from string import Formatter

from jinja2 import Environment, TemplateSyntaxError, meta
from jupyterhub.spawner import Spawner
from traitlets import HasTraits
from traitlets.config import Config

_AS_THE_PERSON = "Leave it out: commands run as the person, by a token of minutes from the cluster's minter."
_ONE_ANSWER = "Leave it out: one answer of the queue serves all sessions, and its words are known."
_BY_THE_FORM = (
    "Set c.{session}.usual_memory and usual_cpus, or the scheduler's limits: the form grants the rest."
)
_OWN_PORT = "Leave it out: a session finds a free port by itself, and reports it."
_OWN_PROOF = "Leave it out: each session has a certificate of its own, which its hub makes."
_OWN_FORM = "Change hub/templates: the form is rendered, and read, by what the scheduler grants."
REFUSED: Mapping[str, str] = {
    "exec_prefix": _AS_THE_PERSON,
    "batch_submit_cmd": f"{_AS_THE_PERSON} Its options go into req_options, or into the batch script.",
    "batch_query_cmd": _ONE_ANSWER,
    "batch_cancel_cmd": _AS_THE_PERSON,
    "state_pending_re": _ONE_ANSWER,
    "state_running_re": _ONE_ANSWER,
    "state_unknown_re": _ONE_ANSWER,
    "state_exechost_re": "Leave it out: a node's name is known. Where it is reached says state_exechost_exp.",
    "startup_poll_interval": "Leave it out: a start waits for the session's own answer.",
    "batchspawner_singleuser_cmd": _OWN_PORT,
    "ip": _OWN_PORT,
    "port": _OWN_PORT,
    "req_host": "Change slurm/slurm.conf or condor/: by these the hub reaches the batch system.",
    "cmd": "Set c.{session}.lab_python, the Python of sessions on the nodes, and c.Spawner.args for options.",
    "mem_limit": _BY_THE_FORM,
    "mem_guarantee": _BY_THE_FORM,
    "cpu_limit": _BY_THE_FORM,
    "cpu_guarantee": _BY_THE_FORM,
    "apply_user_options": "Leave it out: what a person asks for is granted by the rules of the cluster.",
    "options_form": _OWN_FORM,
    "options_from_form": _OWN_FORM,
    "ssl_alt_names": _OWN_PROOF,
    "ssl_alt_names_include_local": _OWN_PROOF,
}
# `{cmd}` must be there; these are known beside the `req_` settings.
PLACEHOLDERS = frozenset({"cmd", "username", "homedir", "keepvars"})


def refused(config: Config, session: type[Spawner]) -> Iterator[tuple[str, str]]:
    """Each setting that would do nothing, as SECTION.NAME, and a sentence that says what to set instead."""
    for kind in session.__mro__:
        for option in config.get(kind.__name__, ()) if issubclass(kind, HasTraits) else ():
            if option in REFUSED:
                yield f"{kind.__name__}.{option}", REFUSED[option].format(session=session.__name__)


def unread(template: str, settings: Mapping[str, str], read: frozenset[str]) -> Iterator[tuple[str, str]]:
    """What of a site's batch script and its `req_` settings would do nothing, or fail at the first start.

    settings: by the names without `req_`; read: those that are heeded whether the script names them or not
    """
    try:
        named = placeholders(template)
    except (ValueError, TemplateSyntaxError) as wrong:
        yield "batch_script", f"its placeholders cannot be read: {wrong}"
        return
    known = PLACEHOLDERS | set(settings)
    for name in sorted(named - known):
        yield "batch_script", f"{{{name}}} stands for nothing. Choose among {', '.join(sorted(known))}."
    if "cmd" not in named:
        yield "batch_script", "{cmd} is missing, which starts the session."
    for name, value in settings.items():
        if value and name not in read and name not in named:
            yield f"req_{name}", f"nothing reads it: put {{{name}}} into the batch script, or leave it out."


def placeholders(template: str) -> set[str]:
    """What a batch script names, as batchspawner reads it: Jinja where it holds {{ or {%, else str.format."""
    if "{{" in template or "{%" in template:
        return meta.find_undeclared_variables(Environment(autoescape=True).parse(template))
    names = (name for _, name, _, _ in Formatter().parse(template) if name is not None)
    return {re.split(r"[.\[]", name)[0] for name in names}
