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

    Memory is bounded by ``payload_bytes_max`` plus what is added at once: a longer message is
    refused when its header is read, before its payload is waited for.
    """

    __slots__ = ("_buffered", "_data", "_offset", "_pieces", "_wanted", "payload_bytes_max")

    def __init__(self, *, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        """Begin before the first message.

        Args:
            payload_bytes_max: Longest payload taken; may be changed between two messages, so
                that a peer which has not proved itself gets less room.

        """
        self.payload_bytes_max = payload_bytes_max
        self._data = b""
        self._offset = 0
        self._pieces: list[bytes] = []
        """What waits for the rest of a message, ``_wanted`` bytes in all."""
        self._buffered = 0
        self._wanted = 0

    def add(self, data: bytes) -> None:
        """Take what arrived; ``next_frame`` returns the messages in it."""
        if self._offset < len(self._data):
            # Not all of the last messages were taken.
            self._keep(0)
        if self._pieces:
            # A peer that sends byte by byte must not cost an object per byte.
            if len(self._pieces[-1]) + len(data) <= _SMALL_CHUNK:
                self._pieces[-1] += data
            else:
                self._pieces.append(data)
            self._buffered += len(data)
            if self._buffered < self._wanted:
                return
            data = b"".join(self._pieces)
            self._pieces = []
        self._data, self._offset = data, 0

    def next_frame(self) -> WireFrame | None:
        """Return the next message, or None when it is not whole yet.

        Raises:
            RemoteProtocolError: A length, version or flag that is not the protocol. The connection
                is to be dropped; the decoder is of no more use.

        """
        data, offset = self._data, self._offset
        available = len(data) - offset
        if not available:
            self._data, self._offset = b"", 0
            return None
        if available < MEMBER_HEADER.size:
            self._keep(MEMBER_HEADER.size)
            return None
        length, message_type, version, flags, term = MEMBER_HEADER.unpack_from(data, offset)
        if not MEMBER_HEADER.size <= length <= MEMBER_HEADER.size + self.payload_bytes_max:
            raise RemoteProtocolError(
                f"message of {length} bytes outside {MEMBER_HEADER.size}.."
                f"{MEMBER_HEADER.size + self.payload_bytes_max}"
            )
        if version != MESSAGE_VERSION or flags:
            raise RemoteProtocolError(
                f"message type {message_type} has version {version} and flags {flags}: "
                "unknown to this release"
            )
        if available < length:
            self._keep(length)
            return None
        self._offset = end = offset + length
        return WireFrame(message_type, term, data[offset + MEMBER_HEADER.size : end])

    def _keep(self, wanted: int) -> None:
        """Set what has not been taken aside until so many bytes are there."""
        if self._offset < len(self._data):
            self._pieces = [self._data[self._offset :] if self._offset else self._data]
            self._buffered = len(self._pieces[0])
            self._wanted = wanted
        self._data, self._offset = b"", 0
