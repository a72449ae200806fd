"""What a site gives who does not say: read as batchspawner has it, and beneath what the form grants."""

import asyncio

import pytest

from benchtop_hub.backends import request
from benchtop_hub.backends.slurm.defaults import site_defaults
from standins import CHOICE, OnSlurm, Slurm
from standins import session as made


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, {}),
        ({"memory": "", "partition": " "}, {}),
        ({"memory": "2G"}, {"memory": 2048}),
        ({"memory": "1.5gb"}, {"memory": 1536}),
        ({"memory": "2048"}, {"memory": 2048}),
        ({"runtime": "8:00:00"}, {"runtime": 480}),
        ({"runtime": "1-0"}, {"runtime": 1440}),
        ({"runtime": "30"}, {"runtime": 30}),
        ({"runtime": "30:00"}, {"runtime": 30}),
        ({"nprocs": "4"}, {"cpus": 4}),
        ({"gres": "gpu"}, {"gpu": "any:1"}),
        ({"gres": "gpu:2"}, {"gpu": "any:2"}),
        ({"gres": "gpu:tesla"}, {"gpu": "tesla:1"}),
        ({"gres": "gpu:tesla:1"}, {"gpu": "tesla:1"}),
        ({"ngpus": "2"}, {"gpu": "any:2"}),
        ({"ngpus": "0"}, {"gpu": "none"}),
        (
            {"partition": "debug", "account": "a", "qos": "q", "reservation": "r"},
            {"partition": "debug", "account": "a", "qos": "q", "reservation": "r"},
        ),
        ({"prologue": "module load x", "queue": "long"}, {}),
    ],
)
def test_settings_are_fields_of_a_request(settings, fields):
    assert site_defaults(settings) == fields


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"gres": "shard:1"}, "req_gres"),
        ({"gres": "gpu:0"}, "req_gres"),
        ({"gres": "gpu:tesla:1,gpu:pascal:1"}, "req_gres"),
        ({"memory": "much"}, "req_memory"),
        ({"runtime": "8h"}, "req_runtime"),
        ({"nprocs": "two"}, "req_nprocs"),
        ({"ngpus": "tesla:1"}, "req_ngpus"),
    ],
)
def test_what_cannot_be_read_is_told_by_the_name_of_the_setting(settings, option):
    with pytest.raises(ValueError, match=rf"^{option}: .*\.$"):
        site_defaults(settings)
    with pytest.raises(ValueError, match=rf"^{option}: "):
        Slurm().check_defaults(settings)


def test_another_resource_is_told_where_it_goes():
    with pytest.raises(ValueError, match="Ask for what else there is with req_options"):
        site_defaults({"gres": "shard:1"})


# ---- beneath the form --------------------------------------------------------------------------------

SITE = {
    "req_partition": "debug",
    "req_memory": "2G",
    "req_nprocs": "2",
    "req_runtime": "20",
    "req_gres": "gpu:pascal:1",
}


def granted(asked, **site):
    session = made(OnSlurm, Slurm(), **site)
    backend, wanted = session.parse_request(asked)
    return asyncio.run(session.check_request(backend, wanted))


def test_who_does_not_say_gets_what_the_site_gives():
    got = granted({}, **SITE)
    assert (got.partition, got.memory, got.cpus, got.runtime, got.gres) == (
        "debug",
        2048,
        2,
        20,
        "gpu:pascal:1",
    )


@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [
        ({"memory": 512}, "memory", 512),
        ({"cpus": ["1"]}, "cpus", 1),
        ({"runtime": "5"}, "runtime", 5),
        ({"gpu": "none"}, "gpu_count", 0),
        ({"gpu": ["none"]}, "gpu_count", 0),
    ],
)
def test_what_somebody_chooses_themselves_wins(asked, field, value):
    got = granted(asked, **SITE)
    assert getattr(got, field) == value
    assert got.partition == "debug", "the rest is the site's"


def test_an_empty_field_of_the_form_says_nothing():
    assert granted({"memory": [""], "runtime": [""]}, **SITE).memory == 2048


@pytest.mark.parametrize(
    ("site", "field", "usual"),
    [
        ({"req_partition": "secret"}, "partition", "debug"),
        ({"req_account": "theirs"}, "account", "default"),
        ({"req_gres": "gpu:tesla:1"}, "gpu_count", 0),
        ({"req_memory": "1T"}, "memory", 1024),
        ({"req_runtime": "31"}, "runtime", 30),
        ({"req_reservation": "class"}, "reservation", ""),
    ],
)
def test_a_default_that_the_person_may_not_use_is_left_out(site, field, usual):
    assert getattr(granted({}, **site), field) == usual
    with_others = {"req_nprocs": "3", **site}
    got = granted({}, **with_others)
    assert (getattr(got, field), got.cpus) == (usual, 3), "and no other"


def test_what_somebody_asks_for_is_refused_although_the_site_gives_something():
    with pytest.raises(request.Refused, match="Memory: 9999 MB is more"):
        granted({"memory": 9999}, **SITE)


def test_a_default_that_does_not_go_with_what_somebody_chooses_is_left_out():
    session = made(OnSlurm, Slurm(), req_gres="gpu:pascal:1", req_nprocs="2")
    session.backends[0].choices = [CHOICE, type(CHOICE)(**{**vars(CHOICE), "partition": "plain", "gpus": {}})]
    backend, wanted = session.parse_request({"partition": "plain"})
    got = asyncio.run(session.check_request(backend, wanted))
    assert (got.partition, got.gpu_count, got.cpus) == ("plain", 0, 2)


def test_the_form_starts_with_what_the_site_gives():
    html = " ".join(asyncio.run(made(OnSlurm, Slurm(), **SITE).get_options_form()).split())
    assert '<option value="pascal:1" selected>' in html
    assert 'value="2 GB"' in html
    assert 'value="20 min"' in html


def test_the_form_keeps_what_somebody_chose_the_last_time():
    session = made(OnSlurm, Slurm(), **SITE)
    session.load_state({"asked": {"gpu": "none", "memory": 512}})
    html = " ".join(asyncio.run(session.get_options_form()).split())
    assert '<option value="none" selected>' in html
    assert 'value="0.5 GB"' in html
