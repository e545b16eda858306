from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.examples.calculator import SHOWN_MAX, Calculator, press
from quorate.testing import ServiceHarness

KEYS = st.one_of(
    st.integers(0, 10**19).map(lambda number: b"%d" % number),
    st.tuples(st.sampled_from(b"+-x/"), st.integers(0, 10**10)).map(lambda key: b"%c%d" % key),
    st.sampled_from([b"=", b"C", b"", b"+", b"sqrt", b"+-1", b"x 2", b"1_0", "²".encode()]),
    st.binary(max_size=30),
)


def test_the_keys_of_the_demo_answer_42() -> None:
    client = ServiceHarness(Calculator).open_session()
    assert client.send(b"8", b"x5", b"+2", b"=") == [b"42"]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ([b"="], b"0"),
        ([b"7", b"-10", b"="], b"-3"),
        ([b"7", b"/2", b"="], b"3"),
        ([b"0", b"-7", b"/2", b"="], b"-4"),
        ([b"7", b"C", b"="], b"0"),
        ([b"7", b"12", b"="], b"12"),
        ([b"007", b"="], b"7"),
    ],
)
def test_keys_and_answers(keys: list[bytes], answer: bytes) -> None:
    client = ServiceHarness(Calculator).open_session()
    assert client.send(*keys) == [answer]


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ([b"5", b"/0"], b"error: division by zero"),
        ([b"5", b"sqrt"], b"error: not a key: sqrt"),
        ([b"5", b""], b"error: not a key: "),
        ([b"5", b"%2"], b"error: not a key: %2"),
        ([b"5", b"x" + b"9" * 18], b"error: more than 18 digits"),
        ([b"5", b"9" * 19], b"error: not a key: " + b"9" * 19),
        ([b"5", b"9" * 99], b"error: not a key: " + b"9" * 20),
    ],
)
def test_a_mistake_is_answered_and_changes_nothing(keys: list[bytes], error: bytes) -> None:
    client = ServiceHarness(Calculator).open_session()
    assert client.send(*keys, b"=") == [error, b"5"]


@pytest.mark.parametrize("sign", [b"+", b"-"])
def test_a_number_may_have_eighteen_digits_and_no_more_on_either_side_of_zero(sign: bytes) -> None:
    client = ServiceHarness(Calculator).open_session()
    most = b"9" * 18
    shown = most if sign == b"+" else b"-" + most
    answers = client.send(b"0", sign + most, b"=", sign + b"1", b"x2", b"=")
    assert answers == [shown, *[b"error: more than 18 digits"] * 2, shown]


def test_every_session_has_a_calculator_of_its_own() -> None:
    harness = ServiceHarness(Calculator)
    first, second = harness.open_session(), harness.open_session()
    first.send(b"8")
    second.send(b"9")
    assert first.send(b"=") == [b"8"]
    second.close()
    harness.restart()
    assert first.send(b"=") == [b"8"]
    assert harness.open_session().send(b"=") == [b"0"]


def test_a_calculator_is_forgotten_with_its_session() -> None:
    harness = ServiceHarness(Calculator)
    harness.open_session()
    alone = len(harness.take_snapshot())
    for _ in range(3):
        another = harness.open_session()
        another.send(b"7")
        another.close()
    assert len(harness.take_snapshot()) == alone, "the state grows with every client that ever came"


@given(st.lists(st.tuples(st.integers(0, 1), KEYS), max_size=30))
def test_any_keys_are_deterministic_and_bounded(keys: list[tuple[int, bytes]]) -> None:
    harness = ServiceHarness(Calculator)
    clients = [harness.open_session(), harness.open_session()]
    for index, key in keys:
        for answer in clients[index].send(key, b"="):
            assert len(answer) <= 40
    harness.assert_deterministic()


@given(st.integers(-SHOWN_MAX, SHOWN_MAX), KEYS)
def test_what_is_shown_stays_within_its_digits(shown: int, key: bytes) -> None:
    answer = press(shown, key)
    assert answer.startswith(b"error: ") if isinstance(answer, bytes) else abs(answer) <= SHOWN_MAX
