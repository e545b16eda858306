"""Tables of records, one record at a time: none may be missing, none may be overlooked."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.types import (
    Membership,
)
from quorate.errors import RemoteProtocolError
from quorate.protocol.fields import OPTIONAL, decode_records, encode_records
from quorate.protocol.log_codec import UnknownFormat
from quorate.protocol.term_codec import (
    decode_constants,
    decode_founding,
    decode_settings,
    decode_term,
    encode_constants,
    encode_founding,
    encode_settings,
    encode_term,
)
from quorate_wire import term_bodies
from quorate_wire.term_bodies import ALICE

FOUNDING = replace(term_bodies.FOUNDING, members=(ALICE,), attempt=7)
TERM = replace(
    term_bodies.TERM,
    log_time=1,
    feature_activated=1,
    feature_supported=1,
    possible_loss=False,
    membership=Membership(voter_sets=((ALICE,),)),
)
Table = tuple[bytes, Callable[[bytes], object]]
TABLES: dict[str, Table] = {
    "founding": (encode_founding(FOUNDING), decode_founding),
    "term": (encode_term(TERM), decode_term),
    "settings": (encode_settings(ClusterSettings()), decode_settings),
    "constants": (encode_constants(ClusterConstants()), decode_constants),
}
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


def records_of(data: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 0
    while offset < len(data):
        record_id, length = struct.unpack_from("<HI", data, offset)
        offset += 6 + length
        found.append((record_id, data[offset - length : offset]))
    return found


@tables
def test_every_record_is_missed_that_is_not_optional(table: Table) -> None:
    encoded, decode = table
    records = records_of(encoded)
    for record in records:
        rest = encode_records(other for other in records if other != record)
        if record[0] & OPTIONAL:
            decode(rest)
        else:
            with pytest.raises(
                RemoteProtocolError, match=f"lacks the mandatory field {record[0]}$"
            ):
                decode(rest)


@tables
def test_every_id_that_is_not_known_halts_or_is_skipped_as_its_bit_says(table: Table) -> None:
    encoded, decode = table
    records = records_of(encoded)
    known = {record_id for record_id, _ in records}
    for number in (*range(40), 0x4000, 0x7FFF):
        for record_id in {number, OPTIONAL | number} - known:
            more = encode_records([*records, (record_id, bytes(8))])
            if record_id & 0x8000:
                assert decode(more) == decode(encoded)
            else:
                with pytest.raises(UnknownFormat, match=f"mandatory field {record_id}:"):
                    decode(more)


@tables
def test_a_record_with_more_behind_its_value_is_refused(table: Table) -> None:
    encoded, decode = table
    records = records_of(encoded)
    for index, (record_id, value) in enumerate(records):
        longer = [*records]
        longer[index] = (record_id, value + b"\0")
        with pytest.raises(RemoteProtocolError):
            decode(encode_records(longer))


def test_records_are_written_in_the_order_of_their_ids() -> None:
    forwards = [(1, b"a"), (2, b""), (OPTIONAL | 1, b"c")]
    encoded = encode_records(reversed(forwards))
    assert records_of(encoded) == forwards
    assert decode_records(encoded, frozenset({1, 2}), "a table") == {1: b"a", 2: b""}
