"""Applies one log several times and finds where a service comes to other results.

A service that reads a clock, draws a random number, or writes an incomplete snapshot runs well
alone and diverges in a cluster. Here it meets its own log again: in other slices, and through
snapshots taken on the way.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from quorate.consensus.types import LogFrame
from quorate.protocol.batch import EgressKind, EgressMessage, decode_egress_batch
from quorate.service.api import ClusteredService
from quorate.service.container import ServiceContainer
from quorate.service.outbox import EgressBatch, Outbound

SNAPSHOTS_MAX = 32
"""Snapshots taken on the way, spread evenly: enough to hit every phase, few enough to be quick."""
_SHORT: Final = reprlib.Repr()
_SHORT.maxother = 200
"""Characters shown of a message; what lies between its ends is left out."""


class NonDeterministic(AssertionError):
    """The service came to other results when its own log was applied again."""


class AppliedFrame(NamedTuple):
    """One frame of the log and what came of it the first time."""

    frame: LogFrame
    digest: bytes
    outbox: tuple[Outbound, ...]


def apply_whole(container: ServiceContainer, frame: LogFrame, messages_max: int) -> list[Outbound]:
    """Apply one frame in slices of ``messages_max`` and return what came of it."""
    container.begin(frame)
    while not container.step(messages_max):
        pass
    return container.take_outbox()


def compare_runs(
    make_service: Callable[[], ClusteredService],
    applied: Sequence[AppliedFrame],
    snapshot: bytes,
) -> None:
    """Apply the log again, message by message, then through snapshots; compare throughout.

    Args:
        make_service: Makes a service in its first state.
        applied: The log, with what came of each frame.
        snapshot: Taken behind the last frame in the first run.

    Raises:
        NonDeterministic: A digest, an outbox or the last snapshot differs.

    """
    compare_once(make_service, applied, snapshot, "applied message by message", 1)

    container = _start(make_service, None)
    stride = len(applied) // SNAPSHOTS_MAX + 1
    for index, row in enumerate(applied):
        _apply(container, row, 1_000_000, "continued from a snapshot")
        if index % stride == 0:
            container = _start(make_service, container.take_snapshot())
    _compare_snapshots(container, snapshot, "continued from a snapshot")


def compare_once(
    make_service: Callable[[], ClusteredService],
    applied: Sequence[AppliedFrame],
    snapshot: bytes,
    how: str,
    messages_max: int,
) -> None:
    """Apply the log again from its beginning and compare throughout.

    Args:
        make_service: Makes a service in its first state.
        applied: The log, with what came of each frame.
        snapshot: Taken behind the last frame in the first run.
        how: What is different this time, in words.
        messages_max: Size of the slices in which frames are applied.

    Raises:
        NonDeterministic: A digest, an outbox or the snapshot differs.

    """
    container = _start(make_service, None)
    for row in applied:
        _apply(container, row, messages_max, how)
    _compare_snapshots(container, snapshot, how)


def _start(
    make_service: Callable[[], ClusteredService], snapshot: bytes | None
) -> ServiceContainer:
    container = ServiceContainer(make_service(), lambda _failure: None)
    container.start(snapshot)
    return container


def _apply(container: ServiceContainer, row: AppliedFrame, messages_max: int, how: str) -> None:
    outbox = apply_whole(container, row.frame, messages_max)
    if tuple(outbox) != row.outbox:
        raise NonDeterministic(
            f"{how}, the service answers differently to the frame at {row.frame.position} "
            f"(log time {row.frame.timestamp}): first {_difference(row.outbox, outbox)}"
        )
    if container.digest != row.digest:
        raise NonDeterministic(
            f"{how}, the service sets other timers, fails elsewhere or ends other sessions in "
            f"the frame at {row.frame.position} (log time {row.frame.timestamp})"
        )


def _difference(before: Sequence[Outbound], now: Sequence[Outbound]) -> str:
    """Name the first message, or end of a session, that is another one now."""
    for ours, theirs in zip_longest(_cut(before), _cut(now)):
        if ours != theirs:
            return f"{_shown(ours)}, then {_shown(theirs)}"
    return "the same messages, then with other numbers"


def _cut(outbox: Sequence[Outbound]) -> Iterator[tuple[int, EgressMessage] | Outbound]:
    """Yield messages with their sessions, and what else there is."""
    for item in outbox:
        if isinstance(item, EgressBatch):
            for message in decode_egress_batch(item.batch, item.message_count):
                yield item.session_id, message
        else:
            yield item


def _shown(item: tuple[int, EgressMessage] | Outbound | None) -> str:
    match item:
        case None:
            return "nothing"
        case (session_id, EgressMessage(kind, _, _, payload)):
            what = "a failure" if kind is EgressKind.ERROR else _SHORT.repr(payload)
            return f"{what} to session {session_id}"
        case _:
            return str(item)


def _compare_snapshots(container: ServiceContainer, snapshot: bytes, how: str) -> None:
    if container.take_snapshot() != snapshot:
        raise NonDeterministic(
            f"{how}, the service has the same answers but writes another snapshot at "
            f"{container.position}: equal states must write equal records"
        )
