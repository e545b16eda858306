"""The far end of the loopback probe: sends every message back, on one blocking socket."""

from __future__ import annotations

import socket
import sys

MESSAGE_BYTES = 100


def receive(connection: socket.socket) -> bytes:
    """Return one message, or nothing when the other side is gone."""
    data = b""
    while len(data) < MESSAGE_BYTES:
        piece = connection.recv(MESSAGE_BYTES - len(data))
        if not piece:
            return b""
        data += piece
    return data


def main() -> None:
    """Connect to the port of the first argument and echo until the other side has gone."""
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while message := receive(connection):
            connection.sendall(message)


if __name__ == "__main__":
    main()
