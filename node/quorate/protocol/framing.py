"""Messages on a connection: the header before each one, and cutting a byte stream into them.

A message on a member link is a header of 16 bytes and a payload::

    0  length   u32   header and payload
    4  type     u8
    5  version  u8    of the message's layout
    6  flags    u16   none is defined; a set one is refused
    8  term     u64   that the message is about; 0 where it has none

This module knows no message; ``handshake`` and ``consensus_codec`` do. Client links have a
header without the term, see ``session_codec``.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from quorate.errors import LocalProtocolError, RemoteProtocolError

MEMBER_HEADER = struct.Struct("<IBBHQ")
MESSAGE_VERSION = 1
PAYLOAD_BYTES_MAX = 4 * 1024 * 1024
"""The longest payload of any message: a follower's catch-up piece of whole log frames."""

_SMALL_CHUNK = 4096


class WireFrame(NamedTuple):
    """One message as it came, its payload still encoded."""

    message_type: int
    term: int
    """From the header."""
    payload: bytes


def encode_header(message_type: int, payload_length: int, *, term: int = 0) -> bytes:
    """Return the header of a message.

    Raises:
        LocalProtocolError: The payload is longer than ``PAYLOAD_BYTES_MAX``.

    """
    if payload_length > PAYLOAD_BYTES_MAX:
        raise LocalProtocolError(
            f"message type {message_type}: payload of {payload_length} bytes exceeds "
            f"{PAYLOAD_BYTES_MAX}"
        )
    length = MEMBER_HEADER.size + payload_length
    return MEMBER_HEADER.pack(length, message_type, MESSAGE_VERSION, 0, term)


class FrameDecoder:
    """Cuts what arrives on one connection into messages; holds at most one unfinished one.

    Memory is bounded by ``payload_bytes_max`` plus what is fed at once: a longer message is
    refused when its header is read, before its payload is waited for.
    """

    __slots__ = (
        "_buffered",
        "_chunks",
        "_offset",
        "_payload_length",
        "_term",
        "_type",
        "payload_bytes_max",
    )

    def __init__(self, *, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        """Begin before the first message.

        Args:
            payload_bytes_max: Longest payload taken; may be changed between two messages, so
                that a peer which has not proved itself gets less room.

        """
        self.payload_bytes_max = payload_bytes_max
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self._buffered = 0
        self._payload_length = -1
        self._type = 0
        self._term = 0

    def feed(self, data: bytes) -> Iterator[WireFrame]:
        """Take what arrived and return an iterator over the messages that are whole now.

        The bytes are kept even when the iterator is not used up; the next call goes on there.

        Raises:
            RemoteProtocolError: (While iterating) a length, version or flag that is not the
                protocol. The connection is to be dropped; the decoder is of no more use.

        """
        if data:
            # A peer that sends byte by byte must not cost an object per byte.
            last = self._chunks[-1] if self._chunks else None
            if last is not None and len(last) + len(data) <= _SMALL_CHUNK:
                self._chunks[-1] = last + data
            else:
                self._chunks.append(data)
            self._buffered += len(data)
        return self._cut()

    def _cut(self) -> Iterator[WireFrame]:
        while True:
            if self._payload_length < 0:
                if self._buffered < MEMBER_HEADER.size:
                    return
                self._read_header()
            if self._buffered < self._payload_length:
                return
            payload = self._take(self._payload_length)
            self._payload_length = -1
            yield WireFrame(self._type, self._term, payload)

    def _read_header(self) -> None:
        header = MEMBER_HEADER
        fields = header.unpack(self._take(header.size))
        length, self._type, version, flags, self._term = fields
        if not header.size <= length <= header.size + self.payload_bytes_max:
            raise RemoteProtocolError(
                f"message of {length} bytes outside {header.size}.."
                f"{header.size + self.payload_bytes_max}"
            )
        if version != MESSAGE_VERSION or flags:
            raise RemoteProtocolError(
                f"message type {self._type} has version {version} and flags {flags}: "
                "unknown to this release"
            )
        self._payload_length = length - header.size

    def _take(self, length: int) -> bytes:
        """Remove and return the first ``length`` buffered bytes, copied at most once."""
        self._buffered -= length
        first = self._chunks[0] if self._chunks else b""
        end = self._offset + length
        if end < len(first):
            piece = first[self._offset : end]
            self._offset = end
            return piece
        pieces = []
        while length:
            first = self._chunks[0]
            piece = first[self._offset : self._offset + length]
            pieces.append(piece)
            length -= len(piece)
            self._offset += len(piece)
            if self._offset == len(first):
                self._chunks.popleft()
                self._offset = 0
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]
