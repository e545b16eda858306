"""Is a history of reads and writes of single registers linearizable? Wing and Gong, with memory.

A write answers the value before it. An operation without an answer may have happened at any
time after it was issued, or never. Registers are judged one by one: linearizability is local.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NEVER = 1 << 62
STATES_MAX = 20_000
MISSING = b"-"


@dataclass(slots=True)
class Operation:
    """One message of a client and its answer."""

    client: int
    kind: str
    """w, r, or what is no register operation."""
    key: bytes
    value: bytes
    message: bytes
    invoked: int
    returned: int = NEVER
    result: bytes = b""


def is_linearizable(operations: Sequence[Operation]) -> bool | None:
    """Tell whether one register's history is linearizable; None when that takes too long.

    Args:
        operations: Reads and writes of one key. Every answer of a write is the value before it.

    Source:
        Wing and Gong, "Testing and verifying concurrent objects"; the memory of seen states is
        Lowe's.

    """
    relevant = [op for op in operations if op.kind == "w" or op.returned != NEVER]
    relevant.sort(key=lambda op: op.invoked)
    seen: set[tuple[int, int, bytes]] = set()
    # A state: everything before `start` is done; of the rest the bits in `done`; the value.
    stack: list[tuple[int, int, bytes]] = [(0, 0, MISSING)]
    while stack:
        start, done, value = stack.pop()
        while done & 1:
            start, done = start + 1, done >> 1
        if (start, done, value) in seen:
            continue
        seen.add((start, done, value))
        if len(seen) > STATES_MAX:
            return None
        if _is_finished(relevant, start, done):
            return True
        stack.extend(_next_states(relevant, start, done, value))
    return False


def _is_finished(operations: list[Operation], start: int, done: int) -> bool:
    """Tell whether only writes without an answer are left: they may never have happened."""
    for index in range(start, len(operations)):
        if operations[index].returned != NEVER and not done >> (index - start) & 1:
            return False
    return True


def _next_states(
    operations: list[Operation], start: int, done: int, value: bytes
) -> list[tuple[int, int, bytes]]:
    """Return the states after each operation that may come next."""
    states = []
    earliest_return = NEVER
    for index in range(start, len(operations)):
        operation = operations[index]
        if done >> (index - start) & 1:
            continue
        if operation.invoked > earliest_return:
            break
        earliest_return = min(earliest_return, operation.returned)
        answered = operation.returned != NEVER
        if answered and operation.result != value:
            continue
        after = operation.value if operation.kind == "w" else value
        states.append((start, done | 1 << (index - start), after))
    return states
