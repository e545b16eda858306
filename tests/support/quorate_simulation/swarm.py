"""The shape of one walk: sizes, limits and which choices are likely, all drawn from its seed.

Every walk draws its own weights, some of them zero: a walk in which nothing is ever dropped
and everybody crashes finds other faults than the average of all walks would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from quorate.consensus.config import MS, ConsensusConfig

SEGMENT_LENGTHS = (4096, 4096, 8192, 65536)

CHOICES: dict[str, tuple[float, ...]] = {
    "deliver": (30, 40, 60),
    "persist": (15, 25, 40),
    "duplicate": (0, 0, 1, 4),
    "drop": (0, 0, 1, 4),
    "tick": (1, 3, 6),
    "fire": (0, 0.5, 2),
    "advance": (0, 0.5, 2),
    "propose": (1, 3, 8),
    "empty": (0, 0, 1),
    "crash": (0, 0.1, 0.3, 1),
    "power": (0, 0, 0.2, 0.5),
    "power_all": (0, 0, 0, 0.1, 0.3),
    "stop": (0, 0, 0.2),
    "restart": (2, 4),
    "wipe": (0, 0, 0, 0, 0.1),
    "damage": (0, 0, 0, 0.5),
    "up": (3, 6),
    "down": (0, 0.3, 1),
    "refused": (0, 0.3, 1),
    "cut": (0, 0.1, 0.4),
    "heal": (0.5, 1),
    "transfer": (0, 0, 0.5, 2),
    "found": (1, 2),
    "read": (3, 6),
    "answer": (1, 3, 6),
    "apply": (2, 5),
    "digest": (0, 0, 1),
    "sync": (1, 4),
    "stall": (0, 0, 0.5),
    "room": (0, 0, 0.5),
}
"""Choice → the weights that a seed draws one of."""


@dataclass(slots=True)
class Swarm:
    """What one seed has drawn."""

    seats: int
    founded: bool
    """Start as a cluster that exists; else blank directories, and the walk founds it."""
    replicated: bool
    fifo: float
    """Chance that the oldest message of a link is taken, and not any."""
    body_max: int
    disagree: bool
    """One member's digests differ from the others'."""
    config: ConsensusConfig
    weights: dict[str, float] = field(default_factory=dict)


def draw_swarm(seed: int) -> Swarm:
    """Return the shape of the walk with this seed."""
    random = Random(seed * 7919 + 1)
    weights = {name: random.choice(options) for name, options in CHOICES.items()}
    founded = random.random() < 0.85
    replicated = random.random() < 0.3
    if founded:
        weights["found"] = 0.0
    if not replicated:
        weights["sync"] = 0.0
    segment = random.choice(SEGMENT_LENGTHS)
    frame_max = 1024
    append_max = random.choice((frame_max, 4096, 1 << 20))
    config = ConsensusConfig(
        election_timeout_min_ns=500 * MS,
        election_timeout_max_ns=800 * MS,
        frame_bytes_max=frame_max,
        segment_length=segment,
        service_lag_bytes=segment // 4,
        append_bytes_max=append_max,
        read_bytes_max=append_max,
        window_bytes=random.choice((append_max, append_max * 2, 1 << 23)),
        unsynced_bytes_max=random.choice((1 << 23, 1 << 25)),
        tail_bytes=random.choice((0, 512, 4096, 1 << 24)),
        terms_reported_max=random.choice((1, 2, 64)),
        unanimous_election=replicated,
    )
    return Swarm(
        seats=random.choices((1, 2, 3, 4, 5), (4, 6, 60, 8, 22))[0],
        founded=founded,
        replicated=replicated,
        fifo=random.choice((0.0, 0.5, 0.9, 1.0)),
        body_max=random.choice((40, 200, 900)),
        disagree=random.random() < 0.2,
        config=config,
        weights=weights,
    )
