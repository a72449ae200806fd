"""Who takes too much of a node is put out, and nobody else is."""

import pytest

from support import image_programs

guard = image_programs.load("node/node-guard")
MB, GB = 1 << 20, 1 << 30
ALICE, BOB = 2001, 2002


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 * MB), ("1G", GB), ("1.5G", 3 * GB // 2), ("300", 300 * MB), ("lots", 0)]
)
def test_sizes_are_read_as_schedulers_write_them(text: str, size: int):
    assert guard.size(text) == size


def test_what_slurm_granted_a_person_is_what_all_their_jobs_have():
    said = "2001 cpu=1,mem=512M,node=1,billing=1\n2002 cpu=2,mem=1G,node=1\n2001 cpu=1,mem=1.5G,node=1\nodd\n"
    assert guard.slurm(said) == {ALICE: 2 * GB, BOB: GB}


def test_what_htcondor_granted_a_person_is_what_all_their_slots_have():
    uids = {"alice": ALICE, "bob": BOB}
    said = "alice@benchtop.example 512\nbob@benchtop.example 1024\nalice@benchtop.example 512\nnobody@x 7\n"
    assert guard.condor(said, uids.get) == {ALICE: GB, BOB: GB}


def test_whoever_takes_most_beyond_what_they_may_is_put_out():
    assert guard.worst({ALICE: 3 * GB, BOB: 2 * GB}, {ALICE: 3 * GB, BOB: GB}) == BOB


def test_whoever_takes_no_more_than_granted_is_not_however_much_that_is():
    assert guard.worst({ALICE: 3 * GB, BOB: GB}, {ALICE: 4 * GB, BOB: GB}) is None
    assert guard.worst({}, {}) is None


def test_what_nobody_was_granted_is_taken_from_whoever_has_most():
    assert guard.worst({ALICE: 3, BOB: 2}, {}) == ALICE


def test_a_folder_is_as_full_as_its_blocks_or_its_files_whichever_is_more():
    assert 0 <= guard.folder("/") <= 1


def test_whoever_has_hardly_anything_is_not_put_out_though_nothing_is_left(monkeypatch: pytest.MonkeyPatch):
    """What the one had who was just put out is freed when their last process is gone."""
    out: list[int] = []
    monkeypatch.setattr(guard, "put_out", lambda uid, processes: out.append(uid))
    folder = guard.FOLDERS[0]
    bar = guard.least(folder)
    assert bar > MB
    assert not guard.decide(folder, {ALICE: 4096, BOB: bar - 1}, {}, {})
    assert guard.decide(folder, {ALICE: 4096, BOB: bar}, {}, {})
    assert out == [BOB]
