"""What the scheduler says is read as it says it, and combined into what a person may use."""

from datetime import datetime

import pytest

from benchtop_hub.backends.slurm import answers, rights

PARTITIONS = """\
PartitionName=debug AllowGroups=ALL AllowAccounts=tier3,default AllowQos=normal,interactive QoS=part \
State=UP MaxTime=00:30:00
PartitionName=harvester AllowAccounts=default,tier3 AllowQos=normal QoS=N/A MaxTime=1-00:00:00 State=UP \
MaxCPUsPerNode=6
PartitionName=usatlas AllowAccounts=tier3 AllowQos=usatlas,interactive QoS=N/A MaxTime=12:00:00 State=UP
PartitionName=open AllowAccounts=ALL AllowQos=ALL QoS=N/A MaxTime=UNLIMITED State=UP MaxMemPerNode=2048
PartitionName=group AllowGroups=usatlas DenyAccounts=default DenyQos=usatlas AllowQos=ALL QoS=N/A \
MaxTime=UNLIMITED State=UP
PartitionName=broken AllowAccounts=ALL AllowQos=ALL QoS=N/A MaxTime=UNLIMITED State=DOWN
PartitionName=empty AllowAccounts=ALL AllowQos=ALL QoS=N/A MaxTime=UNLIMITED State=UP
"""
NODES = """\
cpu-1|debug*|(null)|(null)|2/6/0/8|4096|1024|
cpu-1|harvester|(null)|(null)|2/6/0/8|4096|1024|
cpu-1|open|(null)|(null)|2/6/0/8|4096|1024|
cpu-1|group|(null)|(null)|2/6/0/8|4096|1024|
cpu-1|broken|(null)|(null)|2/6/0/8|4096|1024|
gpu-1|debug*|gpu:pascal:2|gpu:pascal:1(IDX:0)|4/12/0/16|8192|2048|
gpu-1|usatlas|gpu:pascal:2(S:0-1)|gpu:pascal:1(IDX:0)|4/12/0/16|8192|2048|
gpu-2|usatlas|gpu:tesla:2,shard:4|gpu:tesla:0(IDX:N/A)|0/0/8/8|4096|0|
"""
QOS = """\
normal||||||||
interactive|||||||cpu=4,gres/gpu=1|
part|||||||gres/gpu=1|
usatlas|gres/gpu:tesla=1,mem=2G|||02:00:00||||
closed|||||0|||
shut||||||0||
"""
ACCOUNTS = """\
root||||||||||
default|root|||||||||
tier3|root|||||||||
"""
ALICE = "default|||interactive,normal||||||\ntier3|||interactive,normal,usatlas||||||\n"
CAROL = "default|||interactive,normal|gres/gpu=0|||||\n"
NOW = datetime(2026, 11, 25, 12, 0)
RESERVED = """\
ReservationName=class StartTime=2026-11-25T11:00:00 EndTime=2026-11-25T13:00:00 Nodes=cpu-1 \
PartitionName=debug Flags= TRES=cpu=8 Users=alice,bob Groups=(null) Accounts=(null) State=ACTIVE
ReservationName=group StartTime=2026-11-25T11:00:00 EndTime=2026-11-25T13:00:00 PartitionName=(null) \
Users=(null) Groups=usatlas Accounts=(null) State=ACTIVE
ReservationName=account StartTime=2026-11-26T11:00:00 EndTime=2026-11-26T13:00:00 PartitionName=(null) \
Users=(null) Groups=(null) Accounts=tier3 State=INACTIVE
ReservationName=not-her StartTime=2026-11-25T11:00:00 EndTime=2026-11-25T13:00:00 PartitionName=(null) \
Users=-alice Groups=(null) Accounts=tier3,default State=ACTIVE
ReservationName=over StartTime=2026-11-25T09:00:00 EndTime=2026-11-25T10:00:00 Users=alice \
Groups=(null) Accounts=(null)
ReservationName=maint StartTime=2026-11-25T11:00:00 EndTime=2026-11-25T13:00:00 Users=root \
Groups=(null) Accounts=(null)
"""


def choices(assoc, accounts=ACCOUNTS, groups=frozenset()):
    parts = answers.partitions(PARTITIONS, answers.nodes(NODES))
    return rights.choices(parts, answers.qualities(QOS), answers.associations(accounts, assoc), groups)


def one(assoc, *wanted, accounts=ACCOUNTS):
    (found,) = [c for c in choices(assoc, accounts) if (c.partition, c.account, c.qos) == wanted]
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
    assert answers.minutes(text) == expected


def test_a_node_tells_what_it_has_and_what_is_free():
    gpu_1 = next(node for node in answers.nodes(NODES) if node.name == "gpu-1")
    assert gpu_1 == rights.Node(
        "gpu-1", "debug", 16, 8192, {"any": 2, "pascal": 2}, 12, 6144, {"any": 1, "pascal": 1}
    )


def test_a_node_that_takes_no_jobs_has_nothing_free():
    (gpu_2,) = [node for node in answers.nodes(NODES) if node.name == "gpu-2"]
    assert (gpu_2.free_cpus, gpu_2.free_memory, gpu_2.free_gpus) == (0, 0, {"any": 0, "tesla": 0})


def test_a_partition_that_is_down_or_has_no_node_is_not_offered():
    assert {"broken", "empty"}.isdisjoint(answers.partitions(PARTITIONS, answers.nodes(NODES)))


def test_a_partition_has_the_gpus_of_its_best_node():
    assert {k: v.value for k, v in one(ALICE, "usatlas", "tier3", "usatlas").gpus.items()} == {
        "any": 2, "pascal": 2, "tesla": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "megabytes"), [("mem=4000M", 4000), ("mem=4G", 4096), ("mem=1.50G", 1536), ("mem=2T", 2097152)]
)
def test_memory_is_read_in_megabytes(text, megabytes):
    assert answers.resources(f"cpu=1,{text}")["mem"] == megabytes


def test_only_matching_accounts_partitions_and_qos_are_combined():
    found = {(c.partition, c.account, c.qos) for c in choices(ALICE) if c.partition not in {"open", "group"}}
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
    assert {c.partition for c in choices("default||harvester|normal||||||\n")} == {"harvester"}


def test_somebody_without_an_account_may_use_nothing():
    assert choices("") == []


def test_a_qos_that_grants_no_job_is_not_offered():
    assert {c.qos for c in choices("default|||closed,shut,normal||||||\n") if c.partition == "open"} == {
        "normal"
    }


@pytest.mark.parametrize("limit", ["|||||0|", "||||||0"])
def test_an_association_that_grants_no_job_is_not_offered(limit):
    assert choices(f"default|||normal{limit}\n") == []


def test_cpus_and_memory_are_those_of_the_best_node_or_what_a_limit_leaves():
    assert one(ALICE, "debug", "default", "normal").cpus == rights.Limit(16, "partition:debug/Nodes")
    assert one(ALICE, "debug", "default", "interactive").cpus == rights.Limit(4, "qos:interactive/MaxTRES")
    assert one(ALICE, "harvester", "default", "normal").cpus.value == 6
    assert one(ALICE, "open", "default", "normal").memory.value == 2048
    assert one(ALICE, "usatlas", "tier3", "usatlas").memory == rights.Limit(2048, "qos:usatlas/MaxTRES")


def test_what_is_had_with_a_gpu_is_what_a_node_with_such_a_gpu_has():
    choice = one(ALICE, "usatlas", "tier3", "interactive")
    assert choice.most("memory", "pascal", 1).value == 8192
    assert choice.most("memory", "tesla", 1).value == 4096
    assert choice.most("memory", "none", 0, cpus=17).value == 0


def test_what_an_association_does_not_say_its_account_says():
    accounts = "root||||cpu=99||mem=8G||||\ndefault|root||normal,interactive|cpu=2|||01:00:00||\n"
    choice = one("default||||||||\n", "open", "default", "normal", accounts=accounts)
    assert (choice.cpus, choice.minutes) == (
        rights.Limit(2, "assoc:default/MaxTRES"),
        rights.Limit(60, "assoc:default/MaxWall"),
    )
    own = one("default|||normal|cpu=1|||00:10:00||\n", "open", "default", "normal", accounts=accounts)
    assert (own.cpus.value, own.minutes.value) == (1, 10)


def test_what_all_of_an_account_may_have_together_no_job_of_it_exceeds():
    accounts = "root||||||cpu=3||||\ndefault|root|||||cpu=5||||\n"
    assert one("default|||normal||||||\n", "open", "default", "normal", accounts=accounts).cpus.value == 3


def test_an_account_that_is_closed_closes_all_below():
    accounts = "root||||||||0|\ndefault|root||||||||\n"
    assert choices("default|||normal||||||\n", accounts) == []


def test_a_qos_may_be_added_to_what_is_inherited_or_taken_from_it():
    accounts = "default|||normal,interactive||||||\n"
    found = {c.qos for c in choices("default|||+usatlas,-interactive||||||\n", accounts)}
    assert found == {"normal", "usatlas"}


def test_accounts_that_are_above_each_other_end_no_hub():
    assert choices("a|||normal||||||\n", "a|b||||||||\nb|a||||||||\n")


def test_a_partition_of_a_group_is_for_the_group():
    assert "group" not in {c.partition for c in choices(ALICE)}
    found = {(c.account, c.qos) for c in choices(ALICE, groups={"usatlas"}) if c.partition == "group"}
    assert found == {("tier3", "interactive"), ("tier3", "normal")}


def test_reservations_are_those_that_the_person_may_use_and_that_are_not_over():
    def names(person, groups=frozenset()):
        return [one.name for one in answers.reservations(RESERVED, person, groups, NOW)]

    assert names("alice") == ["class", "account"]
    assert names("alice", {"usatlas"}) == ["class", "group", "account"]
    assert names("carol") == ["account", "not-her"]
    assert answers.reservations("No reservations in the system\n", "alice", set(), NOW) == []


def test_a_reservation_serves_its_partition_and_its_accounts():
    known = {one.name: one for one in answers.reservations(RESERVED, "alice", {"usatlas"}, NOW)}
    debug, usatlas = one(ALICE, "debug", "default", "normal"), one(ALICE, "usatlas", "tier3", "usatlas")
    assert [known["class"].serves(c) for c in (debug, usatlas)] == [True, False]
    assert [known["account"].serves(c) for c in (debug, usatlas)] == [False, True]
