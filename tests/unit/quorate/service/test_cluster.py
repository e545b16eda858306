from __future__ import annotations

import pytest

from quorate.config import ClusterSettings
from quorate.consensus.types import LogPosition, Role
from quorate.service.api import LimitExceeded
from quorate.service.cluster import ServiceCluster
from quorate.service.collector import Collector
from quorate.service.sessions import SessionTable
from quorate.service.timers import TimerQueue


def make() -> tuple[ServiceCluster, Collector, TimerQueue]:
    collector, timers = Collector(), TimerQueue()
    collector.forbidden = None
    collector.message_bytes_max = 10
    collector.self_messages_left = 1
    table = SessionTable()
    return (
        ServiceCluster(collector, table.view, timers, ClusterSettings(timers_max=2)),
        collector,
        timers,
    )


def test_a_cluster_begins_at_the_birth_of_the_log() -> None:
    cluster, _, _ = make()
    assert (cluster.time, cluster.log_position, cluster.role) == (0, 0, Role.FOLLOWER)
    assert dict(cluster.sessions) == {}
    cluster.now, cluster.position, cluster.own_role = 5, LogPosition(64), Role.LEADER
    assert (cluster.time, cluster.log_position, cluster.role) == (5, 64, Role.LEADER)


def test_timers_wait_for_the_callback_to_return_but_count_at_once() -> None:
    cluster, collector, timers = make()
    timers.schedule(1, 5)
    cluster.schedule_timer(2, 6)
    assert not timers.is_pending(2)
    cluster.schedule_timer(1, 9)
    with pytest.raises(LimitExceeded, match="timers_max 2"):
        cluster.schedule_timer(3, 6)
    assert cluster.cancel_timer(1)
    assert not cluster.cancel_timer(1)
    assert not cluster.cancel_timer(7)
    cluster.schedule_timer(3, 6)
    with pytest.raises(LimitExceeded):
        cluster.schedule_timer(1, 6)
    assert collector.timers == {1: None, 2: 6, 3: 6}


def test_messages_to_itself_wait_too() -> None:
    cluster, collector, _ = make()
    cluster.offer(b"x")
    assert collector.self_messages == [b"x"]
