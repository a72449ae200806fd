"""Amounts are read as batchspawner's users write them, and nonsense is told by the setting's name."""

import pytest

from benchtop_hub.backends import amounts


@pytest.mark.parametrize(
    ("written", "megabytes"),
    [
        ("2G", 2048), ("1.5gb", 1536), ("2048", 2048), ("2048M", 2048), ("512MB", 512), ("1T", 1048576),
        ("1048576K", 1024), ("2GiB", 2048), ("4g", 4096),
    ],
)  # fmt: skip
def test_memory_is_in_megabytes(written, megabytes):
    assert amounts.megabytes(written) == megabytes


@pytest.mark.parametrize("written", ["", "much", "2 G B", "-2G", "2GG", "1e3", "2,5G", "G"])
def test_no_other_memory_is_understood(written):
    with pytest.raises(ValueError, match=r'^req_memory: ".*" is no amount of memory like 2G\.$'):
        amounts.megabytes(written)


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("8:00:00", 480), ("1-0", 1440), ("30", 30), ("30:00", 30), ("1-12:30", 2190), ("2-01:02:03", 2942),
        ("00:45:59", 45),
    ],
)  # fmt: skip
def test_times_are_those_of_sbatch(written, minutes):
    assert amounts.minutes(written) == minutes


@pytest.mark.parametrize("written", ["", "8h", "1-", "-1", "1:2:3:4", "infinite", "8:00:00 ", "1.5"])
def test_no_other_time_is_understood(written):
    with pytest.raises(ValueError, match=r'^req_runtime: ".*" is no time like 8:00:00\.$'):
        amounts.minutes(written)


@pytest.mark.parametrize("written", ["two", "-1", "1.0", "", "0x2"])
def test_what_is_counted_is_a_number(written):
    assert amounts.number("nprocs", "4") == 4, "the control"
    with pytest.raises(ValueError, match=r'^req_nprocs: ".*" is no number\.$'):
        amounts.number("nprocs", written)
