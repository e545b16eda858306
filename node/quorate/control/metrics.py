"""Counters and histograms that the runtime feeds, and their Prometheus text.

What is counted on the way is a plain integer here, so the hot path pays for an addition.
Everything that can be read from the member's status is read when metrics are scraped.
``docs/reference/metrics.md`` lists what there is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from quorate.control.port import Gauges
from quorate.control.status import MemberStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REFUSED_LABELS_MAX = 200
"""Pairs of boundary and reason; more are counted as ``other``, so that no bug, and nobody who
sends nonsense, can make a scrape grow without end."""

SYNC_BUCKETS_S = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
)  # fmt: skip
TURN_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 10.0)


class DurationHistogram:
    """Counts of durations by upper bound, in seconds."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        """Take upper bounds in rising order; what exceeds the last is counted apart."""
        self._bounds = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self.sum = 0.0

    def observe_ns(self, duration_ns: int) -> None:
        """Count one duration in nanoseconds."""
        seconds = duration_ns / 1e9
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts by upper bound, the last one without bound."""
        cumulative, rows = 0, []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            cumulative += count
            rows.append(("+Inf" if bound == float("inf") else repr(bound), float(cumulative)))
        return rows


class Metrics:
    """What is counted on the way. The runtime and the edges add to it; only it is passed on."""

    __slots__ = (
        "_refusal_sources",
        "_refused",
        "egress_bytes",
        "egress_messages",
        "elections",
        "ingress_bytes",
        "ingress_messages",
        "log_frames",
        "loop_turn",
        "spares_exhausted",
        "sync",
    )

    def __init__(self) -> None:
        """Begin at zero."""
        self.elections = 0
        """Ballots in which this member stood."""
        self.ingress_messages = 0
        self.ingress_bytes = 0
        self.egress_messages = 0
        self.egress_bytes = 0
        self.log_frames = 0
        self.spares_exhausted = 0
        self.sync = DurationHistogram(SYNC_BUCKETS_S)
        self.loop_turn = DurationHistogram(TURN_BUCKETS_S)
        self._refused: dict[tuple[str, str], int] = {}
        self._refusal_sources: dict[str, Callable[[], Mapping[str, int]]] = {}

    def refused(self, boundary: str, reason: str, count: int = 1) -> None:
        """Count what a boundary (client, member, control, service) has refused, by reason."""
        key = (boundary, reason)
        if key not in self._refused and len(self._refused) >= REFUSED_LABELS_MAX:
            key = ("other", "other")
        self._refused[key] = self._refused.get(key, 0) + count

    def watch_refusals(self, boundary: str, read: Callable[[], Mapping[str, int]]) -> None:
        """Include the counts by reason that a boundary keeps itself, read at each scrape."""
        self._refusal_sources[boundary] = read

    def refusals(self) -> dict[tuple[str, str], int]:
        """Return the counts by boundary and reason."""
        counts = dict(self._refused)
        for boundary, read in self._refusal_sources.items():
            for reason, count in read().items():
                counts[boundary, reason] = counts.get((boundary, reason), 0) + count
        return counts


class _Gauge(NamedTuple):
    name: str
    meaning: str
    read: Callable[[MemberStatus, Gauges], float]


class _Counter(NamedTuple):
    name: str
    meaning: str
    read: Callable[[Metrics], float]


GAUGES = (
    _Gauge(
        "quorate_written_position_bytes",
        "End of the log in the file, synced or not.",
        lambda status, _: status.written_position,
    ),
    _Gauge(
        "quorate_append_position_bytes",
        "End of what counts as durable here.",
        lambda status, _: status.append_position,
    ),
    _Gauge(
        "quorate_commit_position_bytes",
        "End of what is known here to be held by a quorum.",
        lambda status, _: status.commit_position,
    ),
    _Gauge(
        "quorate_service_position_bytes",
        "End of what the service has applied.",
        lambda status, _: status.service_position,
    ),
    _Gauge(
        "quorate_is_leader",
        "1 while this member leads, else 0.",
        lambda status, _: status.role == "leader",
    ),
    _Gauge(
        "quorate_has_leader",
        "1 while this member knows the leader of its term, else 0.",
        lambda status, _: status.leader is not None,
    ),
    _Gauge(
        "quorate_leadership_term_id",
        "The highest term that this member has adopted.",
        lambda status, _: status.leadership_term_id,
    ),
    _Gauge(
        "quorate_caught_up",
        "1 while this member holds the leader's log up to a bound, else 0.",
        lambda status, _: status.caught_up,
    ),
    _Gauge(
        "quorate_recovering",
        "1 while this member may have lost what it acknowledged and has no vote, else 0.",
        lambda status, _: bool(status.recovering),
    ),
    _Gauge(
        "quorate_possible_loss",
        "1 when the present term began without proof that nothing acknowledged is missing.",
        lambda status, _: status.possible_loss,
    ),
    _Gauge("quorate_sessions", "Open client sessions.", lambda _, gauges: gauges.sessions),
    _Gauge(
        "quorate_client_connections",
        "Open connections of clients.",
        lambda _, gauges: gauges.client_connections,
    ),
    _Gauge(
        "quorate_kept_egress_bytes",
        "Egress kept until clients acknowledge it, over all sessions.",
        lambda _, gauges: gauges.kept_egress_bytes,
    ),
    _Gauge("quorate_timers", "Pending timers of the service.", lambda _, gauges: gauges.timers),
    _Gauge(
        "quorate_spare_segments",
        "Segments written full of zeros and ready to be used.",
        lambda _, gauges: gauges.spares,
    ),
    _Gauge(
        "quorate_disk_free_bytes",
        "What the file system of the data directory still takes; NaN where it does not tell.",
        lambda _, gauges: gauges.disk_free_bytes,
    ),
    _Gauge(
        "quorate_storage_low",
        "1 while the disk has no space for another segment, else 0.",
        lambda _, gauges: gauges.storage_low,
    ),
    _Gauge(
        "quorate_storage_full",
        "1 while this member leads and refuses clients' messages for want of room, else 0.",
        lambda status, _: status.storage == "full",
    ),
)

COUNTERS = (
    _Counter(
        "quorate_elections",
        "Ballots in which this member has stood for leader.",
        lambda metrics: metrics.elections,
    ),
    _Counter(
        "quorate_ingress_messages",
        "Messages of clients that this member appended as leader.",
        lambda metrics: metrics.ingress_messages,
    ),
    _Counter(
        "quorate_ingress_bytes",
        "Bytes of these messages.",
        lambda metrics: metrics.ingress_bytes,
    ),
    _Counter(
        "quorate_egress_messages",
        "Messages that this member sent to clients as leader.",
        lambda metrics: metrics.egress_messages,
    ),
    _Counter(
        "quorate_egress_bytes",
        "Bytes of these messages.",
        lambda metrics: metrics.egress_bytes,
    ),
    _Counter(
        "quorate_log_frames",
        "Log frames written to the recording.",
        lambda metrics: metrics.log_frames,
    ),
    _Counter(
        "quorate_spares_exhausted",
        "Segments that the writer had to zero itself, for want of a spare.",
        lambda metrics: metrics.spares_exhausted,
    ),
)

HISTOGRAMS = (
    ("quorate_sync_duration_seconds", "Data syncs of the recording."),
    ("quorate_loop_turn_duration_seconds", "Turns of the agent's loop, waiting excluded."),
)

LABELLED = (
    ("quorate_member_lag_bytes", "On the leader: log not yet durable in another seat.", ("seat",)),
    (
        "quorate_member_last_contact_seconds",
        "On the leader: time since another seat was heard; -1 for never.",
        ("seat",),
    ),
    ("quorate_alarm", "1 for each alarm that is raised.", ("name",)),
)

REFUSED = (
    "quorate_refused",
    "What a boundary has refused, by reason.",
    ("boundary", "reason"),
)

INFO = (
    "quorate_member",
    "Who this member is: constant 1, the facts are labels.",
    ("cluster_id", "durability", "member_id", "seat", "state", "version"),
)


class MetricsCollector(Collector):
    """Turns counters and status into Prometheus metrics, at each scrape anew."""

    def __init__(
        self,
        metrics: Metrics,
        status: Callable[[], MemberStatus],
        gauges: Callable[[], Gauges],
    ) -> None:
        """Read from these whenever someone scrapes."""
        self._metrics = metrics
        self._status = status
        self._gauges = gauges

    def describe(self) -> list[Metric]:
        """Promise nothing: registering must not scrape a member that is not ready yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its present value."""
        status, gauges = self._status(), self._gauges()
        for gauge in GAUGES:
            value = float(gauge.read(status, gauges))
            yield GaugeMetricFamily(gauge.name, gauge.meaning, value=value)
        for counter in COUNTERS:
            value = float(counter.read(self._metrics))
            yield CounterMetricFamily(counter.name, counter.meaning, value=value)
        histograms = (self._metrics.sync, self._metrics.loop_turn)
        for (name, meaning), histogram in zip(HISTOGRAMS, histograms, strict=True):
            yield HistogramMetricFamily(
                name, meaning, buckets=histogram.buckets(), sum_value=histogram.sum
            )
        yield from _labelled(status)
        refused = CounterMetricFamily(REFUSED[0], REFUSED[1], labels=REFUSED[2])
        for labels, count in sorted(self._metrics.refusals().items()):
            refused.add_metric(labels, count)
        yield refused
        yield InfoMetricFamily(
            INFO[0], INFO[1], value={label: str(getattr(status, label)) for label in INFO[2]}
        )


def _labelled(status: MemberStatus) -> Iterator[Metric]:
    lag, contact, alarms = (
        GaugeMetricFamily(name, meaning, labels=labels) for name, meaning, labels in LABELLED
    )
    if status.role == "leader":
        for row in status.members:
            behind = max(0, status.written_position - row.append_position)
            lag.add_metric([str(row.seat)], behind)
            heard = row.last_contact_ms
            contact.add_metric([str(row.seat)], heard / 1000 if heard >= 0 else -1)
    for name in sorted({alarm.name for alarm in status.alarms}):
        alarms.add_metric([name], 1)
    yield from (lag, contact, alarms)


def make_registry(collector: MetricsCollector) -> CollectorRegistry:
    """Return a registry of its own with this member's metrics and those of its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return the Prometheus text of everything in the registry."""
    return generate_latest(registry)
