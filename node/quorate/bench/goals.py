"""What is aimed at, and what others reach: constants of one reference machine.

All of it was measured on one machine of two cores (a virtual AMD EPYC) with three members and the
load generator on it, 100-byte messages, answers behind a majority's commit. There a data sync of
4 KiB takes 146 us and a bare loopback round trip 18 us. Peers: Aeron Cluster 1.51 (yielding idle
strategy, 32 KiB MTU), etcd 3.7, NATS JetStream 2.15; with their page cache as durability beside
``replicated``, and with a data sync per commit beside ``fsync``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quorate.bench.figures import Figure, Target
from quorate.config import Durability

REFERENCE_SYNC_US = 146.0
REFERENCE_TRIP_US = 18.0
REFERENCE = "data sync 146 us, round trip 18 us"


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table, for both durabilities."""

    replicated: float
    fsync: float
    peer_replicated: str = ""
    peer_fsync: str = ""
    at_least: bool = False


GOALS: Mapping[str, Goal] = {
    "closed": Goal(
        400_000,
        300_000,
        "Aeron 528,000/s, NATS 129,000/s",
        "Aeron 403,000/s, NATS 78,000/s",
        at_least=True,
    ),
    "lone-frames": Goal(90_000, 80_000, at_least=True),
    "connections": Goal(250_000, 200_000, at_least=True),
    "idle p50": Goal(200, 600, "Aeron 200 us, etcd 770 us", "Aeron 540 us"),
    "idle p99": Goal(1_000, 3_000, "Aeron 1.2 ms, etcd 2.7 ms", "Aeron 5.5 ms"),
    "open-10k p50": Goal(400, 1_700, "Aeron 440 us", "Aeron 1.7 ms"),
    "open-10k p99": Goal(5_000, 10_000, "Aeron 9.3 ms", "Aeron 162 ms"),
    "open-100k p50": Goal(600, 3_000, "Aeron 550 us", "Aeron 2.2 ms"),
    "open-100k p99": Goal(15_000, 50_000, "Aeron 27 ms", "Aeron 270 ms"),
    "failover median": Goal(
        100, 100, "tuned: etcd 251 ms, Aeron 639 ms", "defaults: etcd 1,146 ms, NATS 5,691 ms"
    ),
    "failover max": Goal(
        500, 500, "tuned: etcd 303 ms, Aeron 676 ms", "defaults: etcd 1,641 ms, Aeron 11,684 ms"
    ),
    "stop median": Goal(30, 30),
    "long resident": Goal(100, 100, "etcd 134 MiB, Aeron 900 MiB", "etcd 134 MiB, Aeron 900 MiB"),
    "sessions ratio": Goal(0.95, 0.95, at_least=True),
    "overload throughput": Goal(0.9, 0.9, at_least=True),
    # Twice what the gateway lets wait.
    "overload p99": Goal(400_000, 400_000),
    "overload memory": Goal(1.1, 1.1),
    "flood p99": Goal(3, 3),
    "hostile p99": Goal(3, 3),
    "lagging throughput": Goal(0.9, 0.9, at_least=True),
    "lagging elections": Goal(0, 0),
}


def with_goal(figure: Figure, key: str, durability: Durability) -> Figure:
    """Return the figure with target and peers of a row, as it is when there is no such row."""
    goal = GOALS.get(key)
    if goal is None:
        return figure
    is_synced = durability is Durability.FSYNC
    target = Target(goal.fsync if is_synced else goal.replicated, goal.at_least)
    peer = goal.peer_fsync if is_synced else goal.peer_replicated
    return replace(figure, target=target, peer=peer)


def scale(sync_us: float, trip_us: float, durability: Durability) -> float:
    """Return how many times as long as on the reference machine an idle message must take here.

    Its floor is two round trips over the loopback (client to leader, leader to follower) and,
    with ``fsync``, a data sync.
    """
    syncs = 1 if durability is Durability.FSYNC else 0
    here = 2 * trip_us + syncs * sync_us
    return here / (2 * REFERENCE_TRIP_US + syncs * REFERENCE_SYNC_US)
