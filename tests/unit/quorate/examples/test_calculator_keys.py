from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from quorate.examples.calculator import Calculator
from quorate.examples.calculator_keys import keys
from quorate.testing import ServiceHarness


def test_the_stream_of_a_seed_never_changes() -> None:
    assert list(keys(1, 12)) == [
        b"770",
        b"=",
        b"938",
        b"-16",
        b"x23",
        b"/63",
        b"x43",
        b"-18",
        b"=",
        b"487",
        b"/41",
        b"+74",
    ]


@given(st.integers(0, 2**64 - 1), st.integers(0, 50), st.integers(0, 50))
def test_a_shorter_stream_is_the_beginning_of_a_longer_one(seed: int, a: int, b: int) -> None:
    longer = list(keys(seed, a + b))
    assert len(longer) == a + b
    assert list(keys(seed, a)) == longer[:a]


def test_seeds_differ() -> None:
    streams = [tuple(keys(seed, 40)) for seed in range(20)]
    assert len(set(streams)) == 20


def test_the_mixture_has_answers_mistakes_and_every_operator() -> None:
    stream = list(keys(7, 20_000))
    assert {key[:1] for key in stream} >= {b"=", b"+", b"-", b"x", b"/"}
    assert 0.1 < stream.count(b"=") / len(stream) < 0.3
    assert b"/0" in stream
    assert b"sqrt" in stream
    assert all(after[:1].isdigit() for key, after in pairwise(stream) if key == b"=")
    assert all(stream), "no key is empty"


def test_numbers_stay_within_the_calculators_digits_but_for_the_mistake_on_purpose() -> None:
    stream = list(keys(7, 20_000))
    client = ServiceHarness(Calculator).open_session()
    answers = client.send(*(key for key in stream if key != b"x999999999999999999"))
    assert b"error: more than 18 digits" not in answers
    assert any(len(answer) > 6 for answer in answers)
