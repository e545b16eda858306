"""What the model raises when the operator does what it must not."""

from __future__ import annotations


class PromiseBroken(AssertionError):
    """The operator did what it must never do."""


def claim(holds: object, words: str) -> None:
    """Let go on what holds.

    Raises:
        PromiseBroken: It does not hold.

    """
    if not holds:
        raise PromiseBroken(words)
