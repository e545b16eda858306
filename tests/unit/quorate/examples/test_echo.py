from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.examples.echo import Echo
from quorate.testing import ServiceHarness


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_every_message_comes_back(messages: list[bytes]) -> None:
    harness = ServiceHarness(Echo)
    client = harness.open_session()
    assert client.send(*messages) == messages
    harness.assert_deterministic()
