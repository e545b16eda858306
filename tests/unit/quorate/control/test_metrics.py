"""What is counted comes out as Prometheus text, and the page names all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from quorate.control.metrics import (
    COUNTERS,
    REFUSED_LABELS_MAX,
    SYNC_BUCKETS_S,
    TURN_BUCKETS_S,
    DurationHistogram,
    Metrics,
    MetricsCollector,
    make_registry,
    render,
)
from quorate.control.port import Gauges
from quorate.control.status import AlarmRow, FollowerRow, MemberState, MemberStatus

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "metrics.md"
STATUS = MemberStatus(
    1, "0.1.0", "c" * 32, 0, "d" * 32, 1, "e" * 16, MemberState.FOLLOWER, leadership_term_id=3
)
NOTHING = Gauges()


def scrape(metrics: Metrics, status: MemberStatus, gauges: Gauges = NOTHING) -> dict[str, float]:
    collector = MetricsCollector(metrics, lambda: status, lambda: gauges)
    text = render(make_registry(collector)).decode()
    return {
        sample.name
        + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_positions_role_and_counts_are_read_at_each_scrape() -> None:
    metrics = Metrics()
    status = replace(
        STATUS,
        role="leader",
        leader=1,
        written_position=5,
        append_position=4,
        commit_position=3,
        service_position=2,
        possible_loss=True,
        recovering="unsynced",
        caught_up=True,
    )
    assert scrape(metrics, STATUS)["quorate_is_leader"] == 0
    metrics.ingress_messages += 10
    metrics.elections += 1
    seen = scrape(metrics, status, Gauges(1, 2, 3, 4, 5))
    expected = {
        "quorate_written_position_bytes": 5,
        "quorate_append_position_bytes": 4,
        "quorate_commit_position_bytes": 3,
        "quorate_service_position_bytes": 2,
        "quorate_is_leader": 1,
        "quorate_has_leader": 1,
        "quorate_leadership_term_id": 3,
        "quorate_caught_up": 1,
        "quorate_recovering": 1,
        "quorate_possible_loss": 1,
        "quorate_sessions": 1,
        "quorate_client_connections": 2,
        "quorate_kept_egress_bytes": 3,
        "quorate_timers": 4,
        "quorate_spare_segments": 5,
        "quorate_elections_total": 1,
        "quorate_ingress_messages_total": 10,
    }
    assert {name: seen[name] for name in expected} == expected


def test_the_lowest_seat_is_a_leader_and_a_low_disk_is_not_full() -> None:
    for leader, known in ((None, 0), (0, 1), (2, 1)):
        seen = scrape(Metrics(), replace(STATUS, leader=leader))
        assert seen["quorate_has_leader"] == known
    for storage, full in (("space", 0), ("low", 0), ("full", 1)):
        seen = scrape(Metrics(), replace(STATUS, storage=storage))
        assert seen["quorate_storage_full"] == full


def test_lag_and_last_contact_of_others_are_the_leaders_to_tell() -> None:
    rows = (
        FollowerRow(0, connected=True, append_position=60, last_contact_ms=1500),
        FollowerRow(2, connected=False, append_position=200),
        FollowerRow(3, connected=True, append_position=100, last_contact_ms=0),
    )
    leading = replace(STATUS, role="leader", written_position=100, members=rows)
    seen = scrape(Metrics(), leading)
    assert seen["quorate_member_lag_bytes{seat=0}"] == 40
    assert seen["quorate_member_lag_bytes{seat=2}"] == 0
    assert seen["quorate_member_last_contact_seconds{seat=0}"] == 1.5
    assert seen["quorate_member_last_contact_seconds{seat=2}"] == -1
    assert seen["quorate_member_last_contact_seconds{seat=3}"] == 0
    following = scrape(Metrics(), replace(leading, role="follower"))
    assert not [name for name in following if "lag" in name]


def test_refusals_are_counted_by_boundary_and_reason_and_bounded() -> None:
    metrics = Metrics()
    metrics.refused("client", "too large")
    metrics.refused("client", "too large", 2)
    assert scrape(metrics, STATUS)["quorate_refused_total{boundary=client}{reason=too large}"] == 3
    for number in range(2 * REFUSED_LABELS_MAX):
        metrics.refused("client", f"reason {number}")
    assert len(metrics.refusals()) == REFUSED_LABELS_MAX + 1
    assert metrics.refusals()["other", "other"] == REFUSED_LABELS_MAX + 1
    metrics.refused("client", "too large")
    assert metrics.refusals()["client", "too large"] == 4


def test_a_boundary_that_counts_for_itself_is_read_at_each_scrape() -> None:
    metrics, counts = Metrics(), {"gap": 1}
    metrics.watch_refusals("client", lambda: counts)
    metrics.refused("client", "gap")
    counts["gap"] = 5
    assert scrape(metrics, STATUS)["quorate_refused_total{boundary=client}{reason=gap}"] == 6


def test_an_alarm_raised_twice_is_one_series() -> None:
    alarms = (AlarmRow("clocks", "a"), AlarmRow("clocks", "b"))
    assert scrape(Metrics(), replace(STATUS, alarms=alarms))["quorate_alarm{name=clocks}"] == 1


def test_who_the_member_is_stands_in_labels() -> None:
    (name,) = [name for name in scrape(Metrics(), STATUS) if name.startswith("quorate_member_info")]
    for label in ("{durability=fsync}", "{seat=1}", "{state=follower}", "{version=0.1.0}"):
        assert label in name


@pytest.mark.parametrize(
    ("duration_ns", "le"), [(0, "5e-05"), (50_000, "5e-05"), (50_001, "0.0001")]
)
def test_a_duration_counts_in_the_first_bucket_that_holds_it(duration_ns: int, le: str) -> None:
    histogram = DurationHistogram(SYNC_BUCKETS_S)
    histogram.observe_ns(duration_ns)
    assert next(bound for bound, count in histogram.buckets() if count) == le
    assert histogram.buckets()[-1] == ("+Inf", 1.0)
    assert histogram.sum == duration_ns / 1e9


def test_durations_beyond_every_bucket_still_count() -> None:
    metrics = Metrics()
    metrics.sync.observe_ns(60_000_000_000)
    metrics.loop_turn.observe_ns(1_000_000)
    seen = scrape(metrics, STATUS)
    assert seen["quorate_sync_duration_seconds_bucket{le=5.0}"] == 0
    assert seen["quorate_sync_duration_seconds_count"] == 1
    assert seen["quorate_sync_duration_seconds_sum"] == 60
    assert seen["quorate_loop_turn_duration_seconds_bucket{le=0.001}"] == 1


def test_counters_begin_at_zero_with_every_start() -> None:
    """A rate over a restart would show what never happened."""
    begun = {
        name: value
        for name, value in scrape(Metrics(), STATUS).items()
        if name.startswith("quorate_") and re.search(r"_(total|count|sum|bucket)\b", name)
    }
    assert {name for name, value in begun.items() if value} == set()
    assert {f"{counter.name}_total" for counter in COUNTERS} <= begun.keys()


@pytest.mark.parametrize("bounds", [SYNC_BUCKETS_S, TURN_BUCKETS_S])
def test_a_longer_duration_is_in_no_lower_bucket(bounds: tuple[float, ...]) -> None:
    """Bounds out of order would count in the wrong place, and Prometheus would refuse them."""
    assert list(bounds) == sorted(set(bounds))
    for bound in bounds:
        histogram = DurationHistogram(bounds)
        histogram.observe_ns(round(bound * 1e9))
        assert next(le for le, count in histogram.buckets() if count) == repr(bound)


def families() -> Iterator[Metric]:
    metrics = Metrics()
    metrics.refused("client", "x")
    return MetricsCollector(metrics, lambda: STATUS, Gauges).collect()


def test_the_page_lists_exactly_these_metrics() -> None:
    suffix = {"counter": "_total", "info": "_info"}
    rows = [
        f"| `{family.name}{suffix.get(family.type, '')}` | {family.type} | {family.documentation} |"
        for family in families()
    ]
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(listed) == sorted(rows)


def test_every_name_follows_the_rules_of_prometheus() -> None:
    for family in families():
        assert re.fullmatch(r"quorate_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
