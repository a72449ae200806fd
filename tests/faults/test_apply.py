"""`make apply` of what restarts Apache or the hubs, and of what is right to every check and does not work.

Apart from tests/stack/test_apply.py because a restart of Apache ends the sessions that other tests share.
"""

from collections.abc import Callable

import requests
from testinfra.host import Host

from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from support.checkout import Checkout, made

Services = Callable[..., Host]


def started(settings: Settings, name: str) -> str:
    return next(one.started for one in compose.containers(settings.project) if one.service == name)


def test_a_vhost(checkout: Checkout, settings: Settings, front_door: requests.Session):
    def header() -> str | None:
        return front_door.get(f"{settings.url}/signed-out").headers.get("X-Trial")

    assert header() is None
    signed_in = enrol.login(settings, "carol")
    hub = started(settings, "hpc-1")
    checkout.append("apache/conf/public-headers.conf", 'Header always set X-Trial "on"')
    said = checkout.applied()
    assert "apache restarts" in said
    assert "carol" in said.partition("log in again")[0]
    assert header() == "on"
    assert signed_in.get(settings.url, allow_redirects=False).status_code == 303  # it said so
    assert started(settings, "hpc-1") == hub
    checkout.give_up()
    checkout.applied()
    assert header() is None


def test_a_form_and_a_default_of_the_hub(checkout: Checkout, settings: Settings, service: Services):
    def form() -> str:
        page = enrol.login(settings, "carol").get(f"{settings.url}/jupyterhub/hpc/hub/spawn", timeout=60)
        assert page.status_code == 200, page.text
        return page.text

    usual = form()
    assert "Where it runs" not in usual
    assert '<label for="partition">Partition</label>' in usual
    door = started(settings, "apache")
    checkout.edit(
        "hub/templates/form.html",
        '<label for="partition">Partition</label>',
        '<label for="partition">Where it runs</label>',
    )
    checkout.edit("hub/clusters/hpc.py", '["usatlas", "debug", "harvester"]', '["harvester", "debug"]')
    said = checkout.applied()
    assert "hpc-1" in said
    assert "one after the other" in said
    page = form()
    assert '<label for="partition">Where it runs</label>' in page
    assert page.index('value="harvester"') < page.index('value="debug"')
    assert started(settings, "apache") == door
    checkout.give_up()
    checkout.applied()
    assert "Where it runs" not in form()


def test_what_only_fails_when_it_runs_is_taken_back(checkout: Checkout, settings: Settings):
    """Apache's own test finds nothing wrong with it."""
    checkout.append("apache/facility.conf", "PidFile /nowhere/apache2.pid")
    said = checkout.refused()
    assert "git checkout -- apache/facility.conf" in said
    assert "the previous configuration is live again" in said
    assert "/nowhere" not in (settings.live / "apache/facility.conf").read_text()
    assert enrol.login(settings, "carol").get(settings.url).status_code == 200


def test_a_line_that_takes_a_restart_of_the_pool_says_whose_jobs_end(checkout: Checkout, service: Services):
    def cpus() -> str:
        return service("condor-cm").check_output(
            "condor_status -constraint PartitionableSlot -autoformat Name DetectedCpus TotalCpus"
        )

    assert cpus().count(" 12") >= 2
    checkout.edit("condor/config.d/90-laptop.conf", "NUM_CPUS = 12", "NUM_CPUS = 10")
    said = checkout.applied()
    assert "THE JOBS ON condor-ep-1, condor-ep-2 END" in said
    assert " 10" in cpus()
    checkout.give_up()
    checkout.applied()
    assert " 10" not in cpus()


def test_up_brings_a_change_in_too(checkout: Checkout, settings: Settings, service: Services):
    checkout.edit("slurm/partitions.conf", "MaxTime=30 ", "MaxTime=45 ")
    checkout.live = True  # whichever verb it is that brings it in
    made(settings, "up")
    assert "MaxTime=00:45:00" in service("slurmctld").check_output("scontrol show partition debug")
