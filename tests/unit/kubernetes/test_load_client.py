"""The load of the Kubernetes stories notices every way in which answers can be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_kubernetes.load_client import CheckedLoad
from quorate_processes.journal import expected_answers

Answer = tuple[int, bytes]


def right_answers(service: str, count: int) -> list[Answer]:
    messages = [b"load %d" % number for number in range(1, count + 1)]
    answers = expected_answers(messages) if service == "journal" else messages
    return list(enumerate(answers, 1))


def verdict(service: str, answers: Sequence[Answer]) -> str:
    async def feed() -> str:
        load = CheckedLoad(service=service, rate=1.0, label="load")
        for sequence, message in answers:
            load._on_egress(sequence, message)
        return str(load.figures()["wrong"])

    return asyncio.run(feed())


@pytest.mark.parametrize("service", ["journal", "echo"])
@given(count=st.integers(0, 30))
def test_right_answers_pass(service: str, count: int) -> None:
    assert not verdict(service, right_answers(service, count))


@pytest.mark.parametrize("service", ["journal", "echo"])
@given(data=st.data())
def test_a_lost_answer_is_noticed(service: str, data: st.DataObject) -> None:
    answers = right_answers(service, 20)
    # The last one is missing in the count, which the story compares with what was sent.
    del answers[data.draw(st.integers(0, 18))]
    assert "was due" in verdict(service, answers)


@pytest.mark.parametrize("service", ["journal", "echo"])
@given(data=st.data())
def test_a_doubled_answer_is_noticed(service: str, data: st.DataObject) -> None:
    answers = right_answers(service, 20)
    place = data.draw(st.integers(0, 19))
    answers.insert(data.draw(st.integers(place + 1, 20)), answers[place])
    assert "was due" in verdict(service, answers)


@pytest.mark.parametrize("service", ["journal", "echo"])
@given(data=st.data())
def test_a_moved_answer_is_noticed(service: str, data: st.DataObject) -> None:
    answers = right_answers(service, 20)
    first, second = data.draw(st.sets(st.integers(0, 19), min_size=2, max_size=2).map(sorted))
    answers[first], answers[second] = answers[second], answers[first]
    assert "was due" in verdict(service, answers)


@given(lost=st.integers(1, 19))
def test_a_message_that_the_journal_never_applied_is_noticed(lost: int) -> None:
    """All answers come, in order, but the history behind them lacks one message."""
    messages = [b"load %d" % number for number in range(1, 21) if number != lost]
    answers = list(enumerate(expected_answers(messages), 1))
    assert "was due" in verdict("journal", answers)
