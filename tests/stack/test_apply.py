"""`make apply`: an admin's change is live, or refused with file and reason while the old one goes on.

Here is what nobody else notices. What restarts Apache or a hub is in tests/faults/test_apply.py.
"""

import re
from collections.abc import Callable

import pytest
import requests
from testinfra.host import Host

from benchtop.people import keycloak
from benchtop.people.roster import People
from benchtop.settings import Settings
from support import sessions
from support.checkout import Checkout
from support.hub import Hub

pytestmark = [pytest.mark.needs("checkout"), pytest.mark.shares("services"), pytest.mark.long]

Services = Callable[..., Host]


def live_text(settings: Settings, name: str) -> str:
    return (settings.live / name).read_text()


def test_without_a_change_it_says_so(checkout: Checkout):
    assert "Nothing to apply" in checkout.applied()


# ---- what is wrong is refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        (
            "apache/sites/jupyter.conf",
            "MellonNonsense On",
            r"apache/sites/jupyter\.conf:\d+: Invalid command 'MellonNonsense'",
        ),
        (
            "apache/conf/tls.conf",
            "<Directory /nowhere>",
            r"apache/conf/tls\.conf:\d+: .*<Directory> was not closed",
        ),
        ("slurm/slurm.conf", "KillWiat=10", r"slurm/slurm\.conf:\d+: .*unrecognized key: KillWiat"),
        ("slurm/slurm.conf", "KillWait=ten", r"slurm/slurm\.conf:\d+: .*ten.* is not a valid number"),
        ("slurm/partitions.conf", "PartitionName=more Nodes=gpu-9", r"slurm/partitions\.conf:\d+: .*gpu-9"),
        (
            "slurm/partitions.conf",
            "PartitionName=more Nodes=gpu-1 QOS=nix",
            r"slurm/partitions\.conf:\d+: there is no QOS nix",
        ),
        ("slurm/laptop.conf", "NodeName=cpu-1 CPUs=2", r"Duplicated NodeName cpu-1"),
        (
            "condor/config.d/30-jobs.conf",
            "NO EQUALS SIGN",
            r"condor/config\.d/30-jobs\.conf:\d+: HTCondor cannot read",
        ),
        ("condor/config.d/30-jobs.conf", "use ROLE:Nonsense", r"condor/config\.d/30-jobs\.conf.*\d+.*"),
        (
            "condor/config.d/30-jobs.conf",
            "NEGOTIATOR_INTERVL = 5",
            r"30-jobs\.conf:\d+: NEGOTIATOR_INTERVL .* NEGOTIATOR_INTERVAL, perhaps",
        ),
        (
            "condor/config.d/30-jobs.conf",
            "SCHEDD_INTERVAL = soon",
            r"30-jobs\.conf:\d+: SCHEDD_INTERVAL must be a number",
        ),
        ("hub/clusters/hpc.py", "c.SlurmSession.usual_cpus = (", r"hub/clusters/hpc\.py:\d+: .*never closed"),
        (
            "hub/clusters/hpc.py",
            "c.SlurmSession.usual_cups = 2",
            r"hub/clusters/hpc\.py:\d+: SlurmSession has no option usual_cups",
        ),
        (
            "hub/clusters/htc.py",
            "c.CondorSession.longest = 'a day'",
            r"hub/clusters/htc\.py:\d+: .*expected an int",
        ),
        ("hub/jupyterhub_config.py", "nonsense", r"hub/jupyterhub_config\.py:\d+: NameError"),
        (
            "hub/templates/form.html",
            "{{ support | nonsense }}",
            r"hub/templates/form\.html:\d+: No filter named 'nonsense'",
        ),
        (
            "keycloak/themes/benchtop/login/messages/messages_en.properties",
            "nonsense",
            r"messages_en\.properties:\d+: ",
        ),
        pytest.param(
            "accounts/people.yaml",
            "nonsense: true",
            r"accounts/people\.yaml:\d+: nonsense: is not known here",
            marks=pytest.mark.needs("people"),
        ),
        ("accounts/ldap/slapd.ldif", "olcNonsense: 1", r"accounts/ldap/slapd\.ldif: .*olcNonsense"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_the_old_one_stays(
    name: str, line: str, reason: str, checkout: Checkout, settings: Settings, service: Services
):
    if name == "accounts/people.yaml":
        checkout.edit(name, "\npeople:\n", f"\n{line}\npeople:\n")
    else:
        checkout.append(name, line)
    said = checkout.refused()
    assert re.search(reason, said), said
    assert line not in live_text(settings, name)
    # the control: what reads its configuration at each call still works
    assert service("hpc-1").run("sinfo --version").rc == 0
    assert service("slurmctld").run("scontrol ping").rc == 0
    assert service("condor-ap").run("condor_config_val SCHEDD_INTERVAL").stdout.strip() == "5"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            '"enabled": true,\n  "sslRequired"',
            '"enabled": true\n  "sslRequired"',
            r"keycloak/realm\.json:\d+: Expecting ','",
        ),
        (
            '"sslRequired": "external",',
            '"sslRequierd": "external",',
            r"keycloak/realm\.json:5: sslRequierd: Keycloak says",
        ),
        ('"otpPolicyDigits": 6', '"otpPolicyDigits": "six"', r"keycloak/realm\.json:\d+: otpPolicyDigits"),
        ('"password and TOTP",\n', '"password alone",\n', r"keycloak/realm\.json:\d+: browserFlow"),
    ],
)
def test_a_wrong_realm_is_refused(
    old: str, new: str, reason: str, checkout: Checkout, settings: Settings, front_door: requests.Session
):
    text = live_text(settings, "keycloak/realm.json")
    assert old in text
    checkout.edit("keycloak/realm.json", old, new) if text.count(old) == 1 else checkout.edit(
        "keycloak/realm.json", f'"browserFlow": {old}', f'"browserFlow": {new}'
    )
    said = checkout.refused()
    assert re.search(reason, said), said
    assert "password" in front_door.get(settings.url).text


def test_what_keycloak_takes_up_at_birth_only_is_refused_with_what_to_do(checkout: Checkout):
    checkout.edit("keycloak/realm.json", '"A session that is there', '"The session that is there')
    said = checkout.refused()
    assert re.search(r"keycloak/realm\.json:\d+: authenticationFlows", said)
    assert "make clean" in said


def test_one_mistake_holds_back_every_change(checkout: Checkout, settings: Settings):
    checkout.edit("slurm/slurm.conf", "KillWait=10 ", "KillWait=11 ")
    checkout.append("apache/conf/tls.conf", "Nonsense On")
    assert "apache/conf/tls.conf" in checkout.refused()
    assert "KillWait=11" not in live_text(settings, "slurm/slurm.conf")


# ---- what is right is live ------------------------------------------------------------------


@pytest.mark.needs("slurm")
def test_a_limit_of_a_partition(checkout: Checkout, service: Services):
    def limit() -> str:
        return service("slurmctld").check_output("scontrol show partition debug")

    assert "MaxTime=00:30:00" in limit()
    checkout.edit("slurm/partitions.conf", "MaxTime=30 ", "MaxTime=45 ")
    said = checkout.applied()
    assert "jobs keep running" in said
    assert "MaxTime=00:45:00" in limit()
    checkout.give_up()
    checkout.applied()
    assert "MaxTime=00:30:00" in limit()
    assert "inval" not in service("slurmctld").check_output("sinfo --noheader --Node --format=%T")


@pytest.mark.needs("htc/alice")
@pytest.mark.shares("condor")
def test_a_setting_of_the_pool(
    checkout: Checkout, service: Services, signed_in: Callable[[str], requests.Session], settings: Settings
):
    """Also while the collector remembers a person whose jobs are over: of them nobody tells anew."""

    def asked() -> str:
        return service("condor-cm").check_output("condor_config_val -negotiator NEGOTIATOR_INTERVAL")

    assert asked() == "5"
    with sessions.running(Hub(settings, signed_in("alice"), "alice", "htc")):
        pass
    assert "alice@" in service("condor-cm").check_output("condor_status -submitters -autoformat Name")
    checkout.edit("condor/config.d/30-jobs.conf", "NEGOTIATOR_INTERVAL = 5", "NEGOTIATOR_INTERVAL = 7")
    assert "jobs keep running" in checkout.applied()
    assert asked() == "7"
    checkout.give_up()
    checkout.applied()
    assert asked() == "5"


@pytest.mark.needs("people")
def test_the_realm_with_the_second_factors_kept(checkout: Checkout, settings: Settings, everybody: People):
    def asked(key: str) -> object:
        token = keycloak.token_of(settings)
        (answer,) = keycloak.ask(settings, token, [keycloak.Call(keycloak.ADMIN)])
        return keycloak.expect(answer, 200).get(key)

    factors = keycloak.second_factors(settings, everybody.people)
    assert any(factors.values())
    usual = asked("accessCodeLifespanLogin"), asked("revokeRefreshToken")
    checkout.edit(
        "keycloak/realm.json",
        '"accessCodeLifespanLogin": 1800,',
        '"accessCodeLifespanLogin": 1700, "revokeRefreshToken": true,',
    )
    assert "second factors stay" in checkout.applied()
    assert (asked("accessCodeLifespanLogin"), asked("revokeRefreshToken")) == (1700, True)
    assert keycloak.second_factors(settings, everybody.people) == factors
    checkout.give_up()
    checkout.applied()
    # what the file no longer says is Keycloak's own again
    assert (asked("accessCodeLifespanLogin"), asked("revokeRefreshToken")) == usual == (1800, False)
    assert keycloak.second_factors(settings, everybody.people) == factors


@pytest.mark.needs("people", "slurm")
def test_a_limit_in_the_list_of_people(checkout: Checkout, service: Services):
    def most() -> str:
        return service("slurmctld").check_output("sacctmgr -nP show qos part_debug format=MaxTRESPU")

    before = most()
    checkout.edit("accounts/people.yaml", "max_tres_per_user: gres/gpu=1", "max_tres_per_user: gres/gpu=2")
    checkout.applied()
    assert most() == "gres/gpu=2" != before
    checkout.give_up()
    checkout.applied()
    assert most() == before


@pytest.mark.needs("people", "slurm")
def test_a_qos_and_the_partition_that_uses_it_come_together(checkout: Checkout, service: Services):
    checkout.edit(
        "accounts/people.yaml", "  qos:\n    normal:", "  qos:\n    brief: {max_wall: 10}\n    normal:"
    )
    checkout.edit("slurm/partitions.conf", "QOS=part_debug", "QOS=brief")
    checkout.applied()
    assert "QoS=brief" in service("slurmctld").check_output("scontrol show partition debug")
    checkout.give_up()
    checkout.applied()
    assert "QoS=part_debug" in service("slurmctld").check_output("scontrol show partition debug")
    assert "brief" not in service("slurmctld").check_output("sacctmgr -nP show qos format=Name")
