"""What the minter takes for a request, and from whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchtop_minter.grants import Refused
from benchtop_minter.people import calling_cell
from benchtop_minter.service import Malformed, Question, question


def test_a_person_and_a_number_is_a_question():
    assert question(b'{"person": "alice", "lifetime": 600}') == Question("alice", 600)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"alice"',
        b"{",
        b"\xff\xfe",
        b'{"person": "alice"}',
        b'{"lifetime": 600}',
        b'{"person": "alice", "lifetime": 600, "uid": 0}',
        b'{"person": "alice", "person": "erin", "lifetime": 600}',
        b'{"person": ["alice"], "lifetime": 600}',
        b'{"person": null, "lifetime": 600}',
        b'{"person": "alice", "lifetime": "600"}',
        b'{"person": "alice", "lifetime": 600.0}',
        b'{"person": "alice", "lifetime": true}',
        b'{"person": "alice", "lifetime": NaN}',
        b'{"person": "alice", "lifetime": Infinity}',
        b'{"person": "alice", "lifetime": 1e3}',
        b'{"person": "alice", "lifetime": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
)
def test_anything_else_is_not(body: bytes):
    with pytest.raises(Malformed, match="JSON object"):
        question(body)


@given(st.binary(max_size=200))
def test_no_body_makes_it_fail_in_another_way(body: bytes):
    with pytest.raises(Malformed):
        question(body)


def certificate(*names: str) -> dict[str, object]:
    return {"subject": tuple((("commonName", name),) for name in names)}


@pytest.mark.parametrize("cell", ["hpc-1", "hpc-12"])
def test_a_cell_of_this_cluster_may_ask(cell: str):
    assert calling_cell(certificate(cell), {"hpc"}) == (cell, "hpc")


@pytest.mark.parametrize(
    "names",
    [(), ("htc-1",), ("hpc",), ("hpc-0",), ("hpc-1x",), ("hpc-1\n",), ("hpc-minter",), ("hpc-1", "hpc-2")],
)
def test_nobody_else_may(names: tuple[str, ...]):
    with pytest.raises(Refused, match="the cells of hpc are served"):
        calling_cell(certificate(*names), {"hpc"})
