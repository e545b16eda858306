"""Small pieces that the layouts share: a bounded reader of fields and tables of records.

A *record* is ``id u16, length u32, value``. A table of records is sorted by id, each id at most
once. An id with the bit ``OPTIONAL`` is skipped by a release that does not know it; any other
unknown id halts the reader, so a later release can add what must not be overlooked.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.log_codec import UnknownFormat

T = TypeVar("T")

OPTIONAL = 0x8000
"""Set in the id of a record that may be skipped by whoever does not know it."""

_U8 = struct.Struct("<B")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")
_RECORD = struct.Struct("<HI")


class FieldReader:
    """Reads fields from the front of some bytes and never beyond their end.

    Every method raises ``RemoteProtocolError`` when the bytes are too short or make no sense;
    ``what`` names the thing being read in those messages.
    """

    __slots__ = ("_data", "_offset", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        """Begin at the first byte of ``data``."""
        self._data = data
        self._offset = 0
        self._what = what

    def take(self, length: int) -> bytes:
        """Return the next ``length`` bytes."""
        start = self._offset
        if length > len(self._data) - start:
            raise RemoteProtocolError(
                f"{self._what} cut short: {length} bytes wanted at offset {start} "
                f"of {len(self._data)}"
            )
        self._offset = start + length
        return self._data[start : start + length]

    def u8(self) -> int:
        """Return the next byte."""
        return self._number(_U8)

    def u16(self) -> int:
        """Return the next two bytes as an unsigned number."""
        return self._number(_U16)

    def u32(self) -> int:
        """Return the next four bytes as an unsigned number."""
        return self._number(_U32)

    def u64(self) -> int:
        """Return the next eight bytes as an unsigned number."""
        return self._number(_U64)

    def i64(self) -> int:
        """Return the next eight bytes as a signed number."""
        return self._number(_I64)

    def flag(self) -> bool:
        """Return the next byte as a truth value; only 0 and 1 are one."""
        value = self.u8()
        if value > 1:
            raise RemoteProtocolError(f"{self._what}: {value} is not a truth value")
        return bool(value)

    def text(self, bytes_max: int) -> str:
        """Return a text of at most ``bytes_max`` bytes: length u16, then UTF-8."""
        length = self.u16()
        if length > bytes_max:
            raise RemoteProtocolError(f"{self._what}: text of {length} bytes exceeds {bytes_max}")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise RemoteProtocolError(f"{self._what}: text is not UTF-8") from error

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(len(self._data) - self._offset)

    def end(self) -> None:
        """Check that nothing is left."""
        left = len(self._data) - self._offset
        if left:
            raise RemoteProtocolError(f"{self._what}: {left} bytes too many")

    def _number(self, layout: struct.Struct) -> int:
        (value,) = layout.unpack(self.take(layout.size))
        return int(value)


def pack_u8(value: int) -> bytes:
    """Return one byte."""
    return _pack(_U8, value)


def pack_u16(value: int) -> bytes:
    """Return two bytes, unsigned."""
    return _pack(_U16, value)


def pack_u32(value: int) -> bytes:
    """Return four bytes, unsigned."""
    return _pack(_U32, value)


def pack_u64(value: int) -> bytes:
    """Return eight bytes, unsigned."""
    return _pack(_U64, value)


def pack_i64(value: int) -> bytes:
    """Return eight bytes, signed."""
    return _pack(_I64, value)


def pack_bytes(value: bytes, length: int) -> bytes:
    """Return ``value`` after checking that it has the ``length`` that the layout gives it."""
    if len(value) != length:
        raise LocalProtocolError(f"{len(value)} bytes where the layout has {length}")
    return value


def pack_text(value: str, bytes_max: int) -> bytes:
    """Return a text as length u16 and UTF-8.

    Raises:
        LocalProtocolError: It takes more than ``bytes_max`` bytes.

    """
    try:
        encoded = value.encode()
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"text {value!r} has no UTF-8") from error
    if len(encoded) > bytes_max:
        raise LocalProtocolError(f"text of {len(encoded)} bytes exceeds {bytes_max}")
    return _U16.pack(len(encoded)) + encoded


def encode_records(records: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a table of records in canonical order: ascending by id."""
    ordered = sorted(records)
    return b"".join(
        piece
        for record_id, value in ordered
        for piece in (_RECORD.pack(record_id, len(value)), value)
    )


def decode_records(data: bytes, known: frozenset[int], what: str) -> dict[int, bytes]:
    """Cut a table that fills ``data`` into its known records, by id.

    Returns:
        The records whose ids are in ``known``; a known id may be missing, which the caller
        judges with ``read_record``.

    Raises:
        RemoteProtocolError: Cut short, out of order, or an id twice.
        UnknownFormat: An id that is neither known nor optional.

    """
    reader = FieldReader(data, what)
    records: dict[int, bytes] = {}
    previous = -1
    left = len(data)
    while left:
        record_id, length = reader.u16(), reader.u32()
        value = reader.take(length)
        left -= _RECORD.size + length
        if record_id <= previous:
            raise RemoteProtocolError(f"{what}: record {record_id} stands behind {previous}")
        previous = record_id
        if record_id in known:
            records[record_id] = value
        elif not record_id & OPTIONAL:
            raise UnknownFormat(
                f"{what} has the mandatory field {record_id}: written by a later release; "
                "upgrade this member"
            )
    return records


def read_record(
    records: dict[int, bytes], record_id: int, what: str, read: Callable[[FieldReader], T]
) -> T:
    """Return what ``read`` makes of the whole value of one record.

    Raises:
        RemoteProtocolError: The table lacks the record, or ``read`` leaves bytes over.

    """
    data = records.get(record_id)
    if data is None:
        raise RemoteProtocolError(f"{what} lacks the mandatory field {record_id}")
    reader = FieldReader(data, f"{what}, field {record_id}")
    value = read(reader)
    reader.end()
    return value


def _pack(layout: struct.Struct, value: int) -> bytes:
    try:
        return layout.pack(value)
    except struct.error as error:
        raise LocalProtocolError(
            f"{value} does not fit into {layout.size} bytes of the layout"
        ) from error
