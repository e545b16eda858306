"""The rolling digest as released: members of different releases compare theirs in an update."""

from __future__ import annotations

import pytest

from quorate.service.digest import NO_DIGEST, UnitHead, UnitKind, chain_digest
from quorate.service.outbox import EgressBatch

BATCHES = (EgressBatch(64, 3, 9, 2, b"two messages"), EgressBatch(896, 1, 1, 1, b"one"))


@pytest.mark.parametrize(
    ("head", "batches", "numbers", "failures", "expected"),
    [
        (
            UnitHead(UnitKind.FOUNDING, 0, 0, 1 << 31),
            (),
            ((), ()),
            0,
            "ab81a71235ccbd7b54cbd4721763152f",
        ),
        (
            UnitHead(UnitKind.TIMER, 4096, 17, 5),
            BATCHES,
            ((5, -1, 6, 99), ()),
            1,
            "4c6e2468993cdc3fdf28773ced9a5eb7",
        ),
        (
            UnitHead(UnitKind.SESSION_INGRESS, 8256, 1 << 60, 896, 20, 8),
            BATCHES[1:],
            ((), (64, 6)),
            0,
            "4b40fc1f26a2a11791c2a16502052764",
        ),
    ],
)
def test_the_digest_of_a_unit(
    head: UnitHead,
    batches: tuple[EgressBatch, ...],
    numbers: tuple[tuple[int, ...], tuple[int, ...]],
    failures: int,
    expected: str,
) -> None:
    assert chain_digest(NO_DIGEST, head, batches, numbers, failures).hex() == expected
