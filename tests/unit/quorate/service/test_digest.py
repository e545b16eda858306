from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.protocol.log_codec import EntryType
from quorate.service.digest import DIGEST_LENGTH, NO_DIGEST, UnitHead, UnitKind, chain_digest
from quorate.service.outbox import EgressBatch

HEAD = UnitHead(UnitKind.SESSION_INGRESS, 4096, 17, 64, 3, 2)
BATCH = EgressBatch(64, 3, 1, 1, b"0123456789abcdef")


def test_a_digest_is_chained() -> None:
    first = chain_digest(NO_DIGEST, HEAD, [], ([], []), 0)
    assert len(first) == DIGEST_LENGTH
    assert chain_digest(first, HEAD, [], ([], []), 0) != first


def test_everything_that_a_unit_did_is_in_its_digest() -> None:
    digests = {
        chain_digest(NO_DIGEST, HEAD, [], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [BATCH], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [BATCH, BATCH], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [BATCH._replace(session_id=65)], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [BATCH._replace(first_egress_sequence=2)], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [BATCH._replace(message_count=2)], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [BATCH._replace(batch=b"0123456789abcdeF")], ([], []), 0),
        chain_digest(NO_DIGEST, HEAD, [], ([1, 2], []), 0),
        chain_digest(NO_DIGEST, HEAD, [], ([1, -1], []), 0),
        chain_digest(NO_DIGEST, HEAD, [], ([], [1, 2]), 0),
        chain_digest(NO_DIGEST, HEAD, [], ([], []), 1),
    }
    assert len(digests) == 11


@given(st.integers(0, len(HEAD) - 1))
def test_every_field_of_the_head_counts(index: int) -> None:
    other = [*HEAD]
    other[index] = UnitKind.TIMER if index == 0 else HEAD[index] + 1
    before = chain_digest(NO_DIGEST, HEAD, [], ([], []), 0)
    assert chain_digest(NO_DIGEST, UnitHead(*other), [], ([], []), 0) != before  # type: ignore[arg-type]


def test_kinds_of_entries_have_the_numbers_of_the_log() -> None:
    for kind in UnitKind:
        if kind < UnitKind.FOUNDING:
            assert EntryType(kind).name == kind.name
