"""A key-value store: text commands in, one answer each.

::

    put KEY VALUE         ok | error: ...
    get KEY               value VALUE | none
    delete KEY            ok | none
    swap KEY OLD NEW      ok | none | found VALUE       (changes only what is as expected)
    count                 count N

Keys and old values hold no spaces; the last word may.

What to learn here: every command is answered, so a client can ``await client.request(...)``;
bounds on everything a client can fill; check first, then change.

Run it with ``quorate dev --service quorate.examples.key_value:KeyValue``.
"""

from __future__ import annotations

from quorate.service import (
    ClientSession,
    Cluster,
    ClusteredService,
    SnapshotInput,
    SnapshotOutput,
)

KEYS_MAX = 1_000_000
KEY_BYTES_MAX = 256

_USAGE = b"error: put KEY VALUE, get KEY, delete KEY, swap KEY OLD NEW or count"


class KeyValue(ClusteredService):
    """Holds values by key."""

    def __init__(self) -> None:
        """Begin empty."""
        self._values: dict[bytes, bytes] = {}

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Load the records ``KEY VALUE``; a key holds no space, so the first one parts them."""
        for record in snapshot or ():
            key, _, value = record.partition(b" ")
            self._values[key] = value

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        """Write all pairs by key, not in the order of arrival: equal states, equal records."""
        for key, value in sorted(self._values.items()):
            snapshot.write(b"%b %b" % (key, value))

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Apply one command and answer it."""
        assert session is not None, "this service sends no messages to itself"
        session.offer(self._apply(message))

    def _apply(self, message: bytes) -> bytes:
        match message.split(b" ", 2):
            case [b"count"]:
                answer = b"count %d" % len(self._values)
            case [_, key, *_] if not 0 < len(key) <= KEY_BYTES_MAX:
                answer = b"error: a key has 1 to %d bytes" % KEY_BYTES_MAX
            case [b"get", key]:
                found = self._values.get(key)
                answer = b"none" if found is None else b"value " + found
            case [b"put", key, value]:
                answer = self._put(key, value)
            case [b"delete", key]:
                answer = b"none" if self._values.pop(key, None) is None else b"ok"
            case [b"swap", key, words]:
                answer = self._swap(key, words)
            case _:
                answer = _USAGE
        return answer

    def _put(self, key: bytes, value: bytes) -> bytes:
        if len(self._values) >= KEYS_MAX and key not in self._values:
            return b"error: the store holds %d keys and no more" % KEYS_MAX
        self._values[key] = value
        return b"ok"

    def _swap(self, key: bytes, words: bytes) -> bytes:
        old, has_new, new = words.partition(b" ")
        if not has_new:
            return _USAGE
        found = self._values.get(key)
        if found is None:
            return b"none"
        if found != old:
            return b"found " + found
        self._values[key] = new
        return b"ok"
