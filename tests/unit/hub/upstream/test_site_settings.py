"""Every setting that a spawner inherits is heeded here, or refused with what serves instead."""

import re

import pytest
from batchspawner import CondorSpawner, SlurmSpawner
from traitlets.config import Config

from benchtop_hub.backends.condor.backend import CondorBackend
from benchtop_hub.backends.login_node import LoginNode
from benchtop_hub.backends.slurm.backend import SlurmBackend
from benchtop_hub.sessions.batch import CondorSession, SlurmSession
from benchtop_hub.upstream import settings
from standins import OnCondor, OnSlurm, Pool, Slurm
from standins import session as made

BOTH = pytest.mark.parametrize("upstream", [SlurmSpawner, CondorSpawner])
# What works as its documentation says: of JupyterHub, and of batchspawner.
# fmt: off
HEEDED = {
    "args", "auth_state_hook", "consecutive_failure_limit", "debug", "default_url", "disable_user_config",
    "env_keep", "environment", "group_overrides", "http_timeout", "hub_connect_url", "notebook_dir",
    "oauth_client_allowed_scopes", "oauth_roles", "poll_interval", "poll_jitter", "post_stop_hook",
    "pre_spawn_hook", "progress_ready_hook", "server_token_scopes", "start_timeout",
    "batch_script", "state_exechost_exp",
}
# fmt: on


def requested(kind):
    """Its `req_` settings, by their names without it."""
    return {name.removeprefix("req_") for name in kind.class_traits(config=True) if name.startswith("req_")}


@BOTH
def test_each_inherited_setting_is_heeded_or_refused(upstream):
    inherited = {name for name in upstream.class_traits(config=True) if not name.startswith("req_")}
    refused = inherited & set(settings.REFUSED)
    assert inherited - HEEDED == refused, "no third way: it would be accepted and do nothing"
    assert not HEEDED & set(settings.REFUSED)


@pytest.mark.parametrize(("kind", "batch"), [(OnSlurm, Slurm), (OnCondor, Pool)])
def test_each_req_setting_is_heeded_named_by_the_batch_script_or_refused(kind, batch):
    session = made(kind, batch())
    heeded = session.backends[0].check_defaults(session.site_defaults)
    session.batch_script = "#!/bin/sh\n{cmd}\n"
    for name in requested(kind) - {"host"}:
        values = {**dict.fromkeys(session.site_defaults, ""), name: "1"}
        told = list(settings.unread(session.batch_script, values, heeded))
        named = list(settings.unread(f"{{cmd}} {{{name}}}", values, heeded))
        assert named == [], name
        assert bool(told) != (name in heeded), name
    assert "host" in {name.removeprefix("req_") for name in settings.REFUSED}


@BOTH
def test_each_refused_setting_has_a_sentence_that_says_what_to_do(upstream):
    for name in set(settings.REFUSED) & set(upstream.class_traits(config=True)):
        kind = type("Session", (upstream,), {})
        ((option, sentence),) = settings.refused(Config({"Session": {name: "x"}}), kind)
        assert option == f"Session.{name}"
        assert re.match(r"(Leave it out|Set|Change) ?", sentence), name
        assert sentence.endswith(".")
        assert "{" not in sentence


SETTING = re.compile(r"c\.(?P<section>\w+)\.(?P<names>\w+(?: and \w+)*)")


@pytest.mark.parametrize("kind", [SlurmSession, CondorSession])
@pytest.mark.parametrize("name", settings.REFUSED)
def test_what_serves_instead_is_a_setting_that_there_is(kind, name):
    known = {
        option
        for one in (kind, SlurmBackend if kind is SlurmSession else CondorBackend, LoginNode)
        for option in one.class_traits(config=True)
    }
    for found in SETTING.finditer(settings.REFUSED[name].format(session=kind.__name__)):
        assert set(found["names"].split(" and ")) <= known
    for mentioned in re.findall(r"\b(req_\w+|state_\w+)", settings.REFUSED[name]):
        assert mentioned in known


@pytest.mark.parametrize("section", ["Spawner", "BatchSpawnerBase", "SlurmSpawner", "SlurmSession"])
def test_it_is_refused_in_whatever_section_it_is(section):
    ((option, _),) = settings.refused(Config({section: {"ip": "0.0.0.0"}}), SlurmSession)  # noqa: S104
    assert option == f"{section}.ip"


def test_what_is_another_spawners_is_nobodys_business():
    assert list(settings.refused(Config({"CondorSpawner": {"ip": "x"}}), SlurmSession)) == []


# ---- what of a batch script and of `req_` settings would do nothing -------------------------------------

READ = frozenset({"memory", "prologue"})
KNOWN = {"memory": "", "prologue": "", "options": "", "queue": ""}
PLAIN = "#!/bin/sh\n{prologue}\n{cmd}\n"
JINJA = "#!/bin/sh\n{% if options %}{{ options }}{% endif %}\n{{ cmd }}\n"


@pytest.mark.parametrize("script", [PLAIN, JINJA])
def test_a_script_of_which_all_is_known_is_fine(script):
    assert list(settings.unread(script, KNOWN, READ)) == []
    assert list(settings.unread(script, {**KNOWN, "memory": "2G"}, READ)) == [], "heeded without being named"


@pytest.mark.parametrize(
    "script", [PLAIN + "{memroy}", JINJA + "{{ memroy }}", JINJA + "{% if memroy %}{% endif %}"]
)
def test_a_placeholder_that_stands_for_nothing_is_told_with_those_that_there_are(script):
    ((option, sentence),) = settings.unread(script, KNOWN, READ)
    assert option == "batch_script"
    assert sentence == (
        "{memroy} stands for nothing. "
        "Choose among cmd, homedir, keepvars, memory, options, prologue, queue, username."
    )


@pytest.mark.parametrize("script", ["#!/bin/sh\nexec jupyterhub-singleuser\n", "{{ memory }}", ""])
def test_a_script_that_starts_no_session_is_told_so(script):
    ((option, sentence),) = settings.unread(script, KNOWN, READ)
    assert (option, sentence) == ("batch_script", "{cmd} is missing, which starts the session.")


def test_what_no_script_reads_is_told():
    ((option, sentence),) = settings.unread(PLAIN, {**KNOWN, "queue": "long"}, READ)
    assert option == "req_queue"
    assert sentence == "nothing reads it: put {queue} into the batch script, or leave it out."
    assert list(settings.unread(PLAIN + "{queue}", {**KNOWN, "queue": "long"}, READ)) == [], "the control"


def test_a_placeholder_may_be_formatted():
    script = "{cmd} {memory:>8} {options!s} {queue.x} {prologue[0]}"
    assert settings.placeholders(script) == {"cmd", "memory", "options", "queue", "prologue"}


@pytest.mark.parametrize("script", ["{cmd", "{{ cmd", "{% if cmd %}", "{cmd} }", "{% cmd %}"])
def test_placeholders_that_cannot_be_read_are_told(script):
    ((option, sentence),) = settings.unread(script, KNOWN, READ)
    assert option == "batch_script"
    assert sentence.startswith("its placeholders cannot be read: ")
