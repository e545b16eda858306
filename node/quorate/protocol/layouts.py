"""How a message is laid out: a row of fixed fields and at most one part of variable length.

A ``Layout`` packs the header and all fixed fields with one ``struct``, so that a message costs
a few microseconds however many fields it has. ``consensus_codec`` has the table of layouts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.fields import pack_bytes
from quorate.protocol.framing import (
    MEMBER_HEADER,
    MESSAGE_VERSION,
    PAYLOAD_BYTES_MAX,
    WireFrame,
)

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is laid out among the fixed fields."""

    format: str
    """In the letters of ``struct``."""
    width: int
    """How many parts ``struct`` makes of it."""
    split: Callable[[object], Iterable[object]]
    join: Callable[[Sequence[int]], object]
    """From ``width`` parts; raises ``RemoteProtocolError``."""


@dataclass(frozen=True, slots=True)
class Tail:
    """How the part of variable length is laid out."""

    encode: Callable[[object], list[bytes]]
    decode: Callable[[bytes, int], object]
    """From the payload and the offset of the part, which goes on to the payload's end."""


class Layout(Generic[M]):
    """One message type: its number, class and fields."""

    __slots__ = ("_fixed", "_tail", "_term", "message_class", "number", "payload", "whole")

    def __init__(
        self,
        number: int,
        message_class: type[M],
        *fixed: tuple[str, Kind],
        term: str | None = None,
        tail: tuple[str, Tail] | None = None,
    ) -> None:
        """Describe a message.

        Args:
            number: The type on the wire; never changes.
            message_class: What it stands for.
            fixed: Name and kind of each field of fixed size, in order.
            term: Name of the field that travels as the term of the header.
            tail: Name and layout of the field behind the others.

        """
        self.number = number
        self.message_class = message_class
        self._fixed = fixed
        self._term = term
        self._tail = tail
        letters = "".join(kind.format for _, kind in fixed)
        self.whole = struct.Struct(MEMBER_HEADER.format + letters)
        self.payload = struct.Struct("<" + letters)

    def encode(self, message: M) -> list[bytes]:
        """Return header and fixed fields as one buffer, then the buffers of the tail."""
        parts: list[object] = []
        for name, kind in self._fixed:
            parts.extend(kind.split(getattr(message, name)))
        term = getattr(message, self._term) if self._term else 0
        tail: list[bytes] = []
        if self._tail is not None:
            name, layout = self._tail
            tail = layout.encode(getattr(message, name))
        length = self.whole.size + sum(map(len, tail))
        if length > MEMBER_HEADER.size + PAYLOAD_BYTES_MAX:
            raise LocalProtocolError(
                f"{self.message_class.__name__} of {length} bytes exceeds {PAYLOAD_BYTES_MAX}"
            )
        try:
            fixed = self.whole.pack(length, self.number, MESSAGE_VERSION, 0, term, *parts)
        except struct.error as error:
            raise LocalProtocolError(f"{message!r} does not fit its layout: {error}") from error
        return [fixed, *tail]

    def decode(self, frame: WireFrame) -> M:
        """Return the message in ``frame``, whose type is this layout's."""
        payload, size = frame.payload, self.payload.size
        if len(payload) < size or (self._tail is None and len(payload) > size):
            raise RemoteProtocolError(
                f"{self.message_class.__name__} has a payload of {len(payload)} bytes, not {size}"
            )
        fields: dict[str, object] = {}
        if self._term is not None:
            fields[self._term] = frame.term
        elif frame.term:
            raise RemoteProtocolError(
                f"{self.message_class.__name__} has no term, yet {frame.term} came with it"
            )
        parts = self.payload.unpack_from(payload)
        offset = 0
        for name, kind in self._fixed:
            end = offset + kind.width
            fields[name] = kind.join(parts[offset:end])
            offset = end
        if self._tail is not None:
            name, layout = self._tail
            fields[name] = layout.decode(payload, size)
        return self.message_class(**fields)


def enumeration(values: type[IntEnum]) -> Kind:
    """Return the kind of a field of one byte that is one of ``values``."""
    by_number = {int(value): value for value in values}

    def join(parts: Sequence[int]) -> object:
        value = by_number.get(parts[0])
        if value is None:
            raise RemoteProtocolError(f"{parts[0]} is no {values.__name__}")
        return value

    return Kind("B", 1, _one, join)


def optional(tail: Tail) -> Tail:
    """Return the layout that stands for None by having no bytes."""

    def encode(value: object) -> list[bytes]:
        return [] if value is None else tail.encode(value)

    def decode(payload: bytes, offset: int) -> object:
        return None if offset == len(payload) else tail.decode(payload, offset)

    return Tail(encode, decode)


def _one(value: object) -> Iterable[object]:
    return (value,)


def _sixteen(value: object) -> Iterable[object]:
    assert isinstance(value, bytes)
    return (pack_bytes(value, 16),)


def _first(parts: Sequence[int]) -> object:
    return parts[0]


def _truth(parts: Sequence[int]) -> object:
    if parts[0] > 1:
        raise RemoteProtocolError(f"{parts[0]} is not a truth value")
    return parts[0] == 1


U32 = Kind("I", 1, _one, _first)
U64 = Kind("Q", 1, _one, _first)
I64 = Kind("q", 1, _one, _first)
FLAG = Kind("B", 1, _one, _truth)
BYTES16 = Kind("16s", 1, _sixteen, _first)
