"""A seeded source of keys for the calculator: the same seed, the same keys, everywhere.

The demo sends them through a cluster and compares the answers with those of a calculator on
its own. A run of keys begins with a number and ends with ``=``; in between are a few small
operands, so that numbers stay within the calculator's eighteen digits. One run in sixteen makes
a mistake, because answers to mistakes must survive a change of leader too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

_MASK = 2**64 - 1
_OPERANDS_MAX = 9
_OPERAND_MAX = 99
_OPERATORS = (b"+", b"-", b"x", b"/")
_MISTAKES = (b"/0", b"sqrt", b"x999999999999999999", b"?")


def keys(seed: int, count: int) -> Iterator[bytes]:
    """Return the first ``count`` keys of the stream that ``seed`` names."""
    return islice(_stream(seed), count)


def _stream(seed: int) -> Iterator[bytes]:
    numbers = _numbers(seed)
    while True:
        yield b"%d" % (next(numbers) % 1000)
        for _ in range(next(numbers) % (_OPERANDS_MAX + 1)):
            drawn = next(numbers)
            operand = drawn // len(_OPERATORS) % _OPERAND_MAX + 1
            yield b"%b%d" % (_OPERATORS[drawn % len(_OPERATORS)], operand)
        drawn = next(numbers)
        if drawn % 16 == 0:
            yield _MISTAKES[drawn // 16 % len(_MISTAKES)]
        yield b"="


def _numbers(seed: int) -> Iterator[int]:
    """Yield 48 well mixed bits at a time.

    Source: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    2014); the upper bits, which are the best.
    """
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        yield (mixed ^ (mixed >> 31)) >> 16
