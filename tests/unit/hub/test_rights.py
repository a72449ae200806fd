"""What the scheduler says is read as it says it, and combined into what a person may use."""

import pytest

from benchtop_hub import rights

PARTITIONS = """\
PartitionName=debug AllowAccounts=tier3,default AllowQos=normal,interactive QoS=part State=UP MaxTime=00:30:00
PartitionName=harvester AllowAccounts=default,tier3 AllowQos=normal QoS=N/A MaxTime=1-00:00:00 State=UP
PartitionName=usatlas AllowAccounts=tier3 AllowQos=usatlas,interactive QoS=N/A MaxTime=12:00:00 State=UP
PartitionName=open AllowAccounts=ALL AllowQos=ALL QoS=N/A MaxTime=UNLIMITED State=UP
PartitionName=broken AllowAccounts=ALL AllowQos=ALL QoS=N/A MaxTime=UNLIMITED State=DOWN
"""
NODES = """\
cpu-1|debug|(null)
cpu-1|harvester|(null)
gpu-1|debug|gpu:pascal:2
gpu-1|usatlas|gpu:pascal:2(S:0-1)
gpu-2|usatlas|gpu:tesla:2,shard:4
"""
QOS = """\
normal||||
interactive|||cpu=4,gres/gpu=1|
part|||gres/gpu=1|
usatlas|02:00:00|gres/gpu:tesla=1||
closed||||0
"""
ALICE = "default||interactive,normal||\ntier3||interactive,normal,usatlas||\n"
CAROL = "default||interactive,normal|gres/gpu=0|\n"


def choices(assoc):
    parts = rights.partitions(PARTITIONS, NODES)
    return rights.choices(parts, rights.qualities(QOS), rights.associations(assoc))


def one(assoc, *wanted):
    (found,) = [c for c in choices(assoc) if (c.partition, c.account, c.qos) == wanted]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:30:00", 30),
        ("12:00:00", 720),
        ("1-00:00:00", 1440),
        ("00:00:59", 0),
        ("UNLIMITED", None),
        ("", None),
    ],
)
def test_times_are_read_and_never_rounded_up(text, expected):
    assert rights.minutes(text) == expected


def test_nodes_are_known_by_name():
    assert rights.node_names(NODES) == {"cpu-1", "gpu-1", "gpu-2"}


def test_a_partition_that_is_down_is_not_offered():
    assert "broken" not in rights.partitions(PARTITIONS, NODES)


def test_a_partition_has_the_gpus_of_its_best_node():
    assert rights.partitions(PARTITIONS, NODES)["usatlas"].gpus == {"any": 2, "pascal": 2, "tesla": 2}


def test_only_matching_accounts_partitions_and_qos_are_combined():
    found = {(c.partition, c.account, c.qos) for c in choices(ALICE) if c.partition != "open"}
    assert found == {
        ("debug", "default", "interactive"), ("debug", "default", "normal"),
        ("harvester", "default", "normal"),
        ("debug", "tier3", "interactive"), ("debug", "tier3", "normal"), ("harvester", "tier3", "normal"),
        ("usatlas", "tier3", "interactive"), ("usatlas", "tier3", "usatlas"),
    }  # fmt: skip


def test_a_partition_for_all_takes_every_qos_of_the_person():
    assert {c.qos for c in choices(CAROL) if c.partition == "open"} == {"interactive", "normal"}


def test_the_partition_limits_what_its_own_qos_limits():
    assert one(ALICE, "debug", "default", "normal").offered() == {"pascal": 1, "any": 1}


def test_the_limit_says_which_rule_it_is():
    assert one(ALICE, "debug", "default", "normal").gpus["pascal"].rule == "partition:debug/qos:part/MaxTRES"


def test_a_limit_of_one_type_leaves_the_others():
    assert one(ALICE, "usatlas", "tier3", "usatlas").offered() == {"any": 2, "pascal": 2, "tesla": 1}


def test_the_shortest_time_wins():
    assert one(ALICE, "usatlas", "tier3", "usatlas").minutes == rights.Limit(120, "qos:usatlas/MaxWall")
    assert one(ALICE, "usatlas", "tier3", "interactive").minutes == rights.Limit(
        720, "partition:usatlas/MaxTime"
    )


def test_who_may_have_no_gpu_is_offered_none():
    assert all(not c.offered() for c in choices(CAROL))
    assert one(CAROL, "debug", "default", "normal").gpus["pascal"] == rights.Limit(0, "assoc:default/MaxTRES")


def test_an_association_for_one_partition_holds_there_alone():
    assert {c.partition for c in choices("default|harvester|normal||\n")} == {"harvester"}


def test_somebody_without_an_account_may_use_nothing():
    assert choices("") == []


def test_a_qos_that_grants_no_job_is_not_offered():
    assert {c.qos for c in choices("default||closed,normal||\n")} == {"normal"}
