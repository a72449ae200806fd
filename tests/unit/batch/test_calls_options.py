"""What a job asks for: understood, checked against what a cluster has, and told to each batch system."""

import pytest

from benchtop_batch.calls import options, site
from benchtop_batch.calls.failed import OptionError
from benchtop_batch.calls.site import Account

PARTITIONS = (
    "PartitionName=debug AllowAccounts=default,tier3 AllowQos=normal,interactive Default=YES MaxNodes=2"
    " MaxTime=00:30:00 PriorityTier=10 State=UP TotalNodes=2\n"
    "PartitionName=usatlas AllowAccounts=tier3 AllowQos=usatlas,interactive Default=NO MaxNodes=2"
    " MaxTime=12:00:00 PriorityTier=10 State=UP TotalNodes=2\n"
    "PartitionName=scavenger AllowAccounts=ALL AllowQos=scavenger Default=NO MaxNodes=UNLIMITED"
    " MaxTime=06:00:00 PriorityTier=1 State=UP TotalNodes=3\n"
    "PartitionName=closed AllowAccounts=ALL AllowQos=ALL Default=NO MaxTime=UNLIMITED State=DOWN\n"
)
NODES = """
debug|gpu:pascal:2(S:0)
debug|(null)
usatlas|gpu:pascal:2
usatlas|gpu:tesla:2
scavenger|gpu:tesla:2
"""
THERE = site.of_partitions(PARTITIONS, NODES)
ALICE = [
    Account("default", ("normal", "interactive", "scavenger")),
    Account("tier3", ("normal", "interactive", "scavenger", "usatlas")),
]
CAROL = ALICE[:1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("90 s", 90), ("1-12:00:00", 129600), ("02:00:00", 7200), ("5:30", 330),
     ("15", 900), (15, 900), ("1.5h", 5400)],
)  # fmt: skip
def test_a_time_is_understood_as_people_write_it(text: object, seconds: int):
    assert options.seconds(text) == seconds


@pytest.mark.parametrize(("text", "megabytes"), [("1G", 1024), ("500M", 500), ("1.5GiB", 1536), (300, 300)])
def test_so_is_an_amount_of_memory(text: object, megabytes: int):
    assert options.megabytes(text) == megabytes


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"memry": "1G"}, "have no option “memry”. Did you mean “memory”?"),
        ({"time": "soon"}, "time: “soon” is no time: write it as 10m"),
        ({"memory": "lots"}, "memory: “lots” is no amount"),
        ({"cpus": 0}, "cpus: “0” is no whole number from 1"),
        ({"gpus": "tesla:many"}, "gpus: “tesla:many” says no GPUs"),
        ({"partition": "--uid=0"}, "does not begin with “-”"),
        ({"account": "a\nb"}, "has to be one line"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(given: dict[str, object], words: str):
    with pytest.raises(OptionError, match=words.replace("?", "[?]")):
        options.check("slurm", given)


def test_what_is_asked_for_is_put_into_the_words_of_each_batch_system():
    wanted = {"cpus": 2, "memory": "1G", "time": "90s", "gpus": "tesla:1", "extra": ["--nice"]}
    assert options.of_slurm(options.check("slurm", wanted)) == [
        "--gres=gpu:tesla:1", "--time=1:30", "--mem=1024M", "--cpus-per-task=2", "--nice",
    ]  # fmt: skip
    wanted = {"cpus": 2, "memory": "1G", "disk": "1G", "requirements": 'Machine != "x"'}
    assert options.of_condor(options.check("condor", wanted)) == [
        "request_cpus = 2", "request_memory = 1024", "request_disk = 1048576",
        'requirements = Machine != "x"',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mine", "wanted", "found"),
    [
        (ALICE, {"gpus": ("pascal", 1)}, ("debug", "default", "normal")),
        (ALICE, {"gpus": ("pascal", 1), "time": 3600}, ("usatlas", "tier3", "usatlas")),
        (ALICE, {"gpus": ("tesla", 1)}, ("usatlas", "tier3", "usatlas")),
        (ALICE, {"gpus": ("tesla", 1), "qos": "interactive"}, ("usatlas", "tier3", "interactive")),
        (CAROL, {"gpus": ("tesla", 1)}, ("scavenger", "default", "scavenger")),
        (ALICE, {"account": "tier3"}, ("debug", "tier3", "normal")),
        (ALICE, {"nodes": 3}, ("scavenger", "default", "scavenger")),
        (ALICE, {"partition": "scavenger"}, ("scavenger", "default", "scavenger")),
    ],
)
def test_who_asks_for_a_gpu_needs_to_know_no_partition(
    mine: list[Account], wanted: dict[str, object], found: tuple[str, str, str]
):
    chosen = site.choose(wanted, THERE, mine)
    assert (chosen["partition"], chosen["account"], chosen["qos"]) == found


@pytest.mark.parametrize(
    ("mine", "wanted", "words"),
    [
        (
            ALICE,
            {"partition": "debugg"},
            "no partition “debugg”. Did you mean “debug”? The partitions of this",
        ),
        (ALICE, {"partition": "closed"}, "no partition “closed”"),
        (ALICE, {"account": "tier2"}, "no account “tier2”. Did you mean “tier3”? Your accounts are default"),
        (ALICE, {"gpus": ("telsa", 1)}, "no GPU type “telsa”. Did you mean “tesla”? .* pascal, tesla"),
        (ALICE, {"gpus": ("tesla", 3)}, "No node has 3 GPUs of type tesla: at most 2"),
        (ALICE, {"gpus": ("tesla", 1), "partition": "debug"}, "use usatlas or scavenger"),
        (ALICE, {"gpus": ("pascal", 1), "time": 86400}, "may run 720 minutes at most"),
        (ALICE, {"nodes": 4}, "may have 3 nodes at most"),
        (CAROL, {"partition": "usatlas"}, "You may not use partition usatlas .* account tier3"),
    ],
)
def test_what_the_cluster_has_not_is_told_with_what_it_has(
    mine: list[Account], wanted: dict[str, object], words: str
):
    with pytest.raises(OptionError, match=words.replace("? ", "[?] ")):
        site.choose(wanted, THERE, mine)


def test_accounts_are_read_with_the_one_that_counts_first():
    lines = ["default||interactive,normal,scavenger", "tier3|usatlas|normal,usatlas"]
    assert site.of_accounts(lines, "tier3") == [
        Account("tier3", ("usatlas", "normal")),
        Account("default", ("normal", "interactive", "scavenger")),
    ]
