"""Joins and cuts the batches of a client without Python code per message where that can be.

``protocol.batch`` says what the bytes mean; this module does the same for the client's hot
path and is tested against it. Messages of one length, the usual case, take the C code of
``bytes.join`` and ``Struct.iter_unpack``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from quorate.errors import RemoteProtocolError
from quorate.protocol.batch import EGRESS_HEADER_LENGTH, EgressKind

EgressItem = tuple[int, int, bytes]
"""The first eight bytes of the header as one number, the ingress sequence, the payload. For a
plain message (not an error) the number is the payload's length, nothing else."""

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<QQ")
_SHORT_LENGTHS: Final = tuple(_LENGTH.pack(length) for length in range(1024))
_UNIFORM_BYTES_MAX: Final = 4096
"""Longest payload for which a layout of its own is compiled and kept."""


def join_ingress(messages: Sequence[bytes]) -> bytes:
    """Return ``messages``, at least one, as an ingress batch."""
    lengths = set(map(len, messages))
    if len(lengths) == 1:
        prefix = _LENGTH.pack(lengths.pop())
        return prefix + prefix.join(messages)
    if max(lengths) < len(_SHORT_LENGTHS):
        prefixes = map(_SHORT_LENGTHS.__getitem__, map(len, messages))
    else:
        prefixes = map(_LENGTH.pack, map(len, messages))
    return b"".join(chain.from_iterable(zip(prefixes, messages, strict=True)))


def cut_egress(batch: bytes, message_count: int) -> list[EgressItem]:
    """Cut an egress batch into exactly ``message_count`` items.

    Raises:
        RemoteProtocolError: It does not split so, or holds a kind or flag of a later release.

    """
    if len(batch) >= EGRESS_HEADER_LENGTH:
        (length,) = _LENGTH.unpack_from(batch)
        uniform = message_count * (EGRESS_HEADER_LENGTH + length) == len(batch)
        if uniform and length <= _UNIFORM_BYTES_MAX:
            items = list(_uniform_layout(length).iter_unpack(batch))
            if {item[0] for item in items} == {length}:
                return items
    return _cut_one_by_one(batch, message_count)


def error_code(head: int) -> int:
    """Return the error code of an item that is not a plain message."""
    return head >> 48


def _cut_one_by_one(batch: bytes, message_count: int) -> list[EgressItem]:
    items: list[EgressItem] = []
    offset = 0
    for _ in range(message_count):
        begin = offset + EGRESS_HEADER_LENGTH
        if begin > len(batch):
            raise RemoteProtocolError(f"egress batch of {len(batch)} bytes is cut short")
        head, sequence = _HEADER.unpack_from(batch, offset)
        kind_and_flags = head >> 32 & 0xFFFF
        if kind_and_flags not in (EgressKind.MESSAGE, EgressKind.ERROR):
            raise RemoteProtocolError(f"egress message of kind and flags {kind_and_flags:#x}")
        if kind_and_flags == EgressKind.MESSAGE and head >> 48:
            raise RemoteProtocolError(f"egress message with error code {head >> 48}")
        offset = begin + (head & 0xFFFFFFFF)
        items.append((head, sequence, batch[begin:offset]))
    if offset != len(batch):
        raise RemoteProtocolError(f"egress batch of {len(batch)} bytes, not {offset}")
    return items


@lru_cache(maxsize=64)
def _uniform_layout(length: int) -> struct.Struct:
    return struct.Struct(f"<QQ{length}s")
