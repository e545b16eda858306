"""Changes bytes the way that liars, bit rot and half-written files do."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds with one to four changes: bits, numbers, pieces, a lost end."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        match random.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1:
                width = random.choice((1, 2, 4, 8))
                number = random.choice(NUMBERS) & (2 ** (8 * width) - 1)
                data[at : at + width] = number.to_bytes(width, "little")
            case 2:
                del data[at : at + random.randint(1, 80)]
            case 3:
                data[at:at] = random.randbytes(random.randint(1, 80))
            case 4:
                other = random.choice(seeds)
                start = random.randrange(len(other) + 1)
                data[at:at] = other[start : start + random.randint(1, 80)]
            case _:
                del data[at:]
    return bytes(data)
