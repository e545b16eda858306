"""Values that consensus cannot work with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.consensus.config import MS, ROOM_RESERVE_BYTES_MAX, ConsensusConfig


def test_the_defaults_can_be_used() -> None:
    assert ConsensusConfig().problems() == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"election_timeout_min_ns": 0, "heartbeat_interval_ns": 0}, "election timeout"),
        ({"election_timeout_max_ns": 400 * MS}, "election timeout"),
        ({"heartbeat_interval_ns": 101 * MS}, "heartbeat"),
        ({"segment_length": 3 * 1024 * 1024}, "quarter"),
        ({"segment_length": 64 * 1024 * 1024 + 1}, "multiples"),
        ({"frame_bytes_max": 1000, "append_bytes_max": 1000}, "multiples"),
        ({"append_bytes_max": 1024}, "append_bytes_max"),
        ({"window_bytes": 1024}, "window_bytes"),
    ],
)
def test_each_mistake_is_named(change: dict[str, int], word: str) -> None:
    (problem,) = replace(ConsensusConfig(), **change).problems()  # type: ignore[arg-type]
    assert word in problem


def test_the_reserve_is_a_quarter_of_a_segment_and_never_more_than_some_thousand_terms() -> None:
    assert ConsensusConfig(segment_length=4096).room_reserve_bytes == 1024
    assert ConsensusConfig().room_reserve_bytes == ROOM_RESERVE_BYTES_MAX == 4 * 1024 * 1024
