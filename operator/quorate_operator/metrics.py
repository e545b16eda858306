"""What the operator counts about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from quorate_operator.model import ConditionRow

PREFIX = "quorate_operator"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Conditions(Collector):
    """The conditions of each cluster as they were found last, one series each, read when asked for.

    The label of the namespace is not called so: a scraper puts the operator's own there.
    """

    LABELS = ("cluster_namespace", "cluster", "condition", "reason")

    def __init__(self) -> None:
        """Begin without a cluster."""
        self._rows: dict[tuple[str, str], tuple[ConditionRow, ...]] = {}

    def found(self, key: tuple[str, str], rows: Iterable[ConditionRow]) -> None:
        """Take the conditions of the cluster of this namespace and name."""
        self._rows[key] = tuple(rows)

    def forget(self, key: tuple[str, str]) -> None:
        """Serve nothing of a cluster that is gone, or is meant to go."""
        self._rows.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the one family."""
        family = GaugeMetricFamily(
            f"{PREFIX}_condition", "1 while this condition of a cluster is true", labels=self.LABELS
        )
        for (namespace, name), rows in sorted(self._rows.items()):
            for row in rows:
                if row.status is not None:
                    family.add_metric((namespace, name, row.type, row.reason), float(row.status))
        yield family


class Metrics:
    """Counters in a registry of their own; names are an interface to dashboards and alerts."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.registry = CollectorRegistry()
        self.reconciles = self._counter("reconcile_total", "Reconciliations ended", "result")
        self.reconcile_seconds = Histogram(
            f"{PREFIX}_reconcile_seconds",
            "Duration of reconciliations",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.api_requests = self._counter(
            "api_requests_total", "Calls to the API server", "verb", "code"
        )
        self.member_poll_errors = self._counter(
            "member_poll_errors_total", "Answers of members that were not used", "reason"
        )
        self.actions = self._counter("actions_total", "Steps carried out", "action")
        self.deferred = self._counter("deferred_total", "Disruptions put off", "reason")
        self.dropped = self._counter("queue_dropped_total", "Wakes that found no room")
        self.queue_depth = self._gauge("queue_depth", "ClusterServices due and not yet begun")
        self.is_leader = self._gauge("is_leader", "1 while this process may act")
        self.conditions = Conditions()
        self.registry.register(self.conditions)

    def on_call(self, verb: str, group: str, resource: str, code: str) -> None:
        """Count a call to the API server."""
        del group, resource
        self.api_requests.labels(verb, code).inc()

    def on_poll_problem(self, reason: str) -> None:
        """Count an answer of a member that was not used."""
        self.member_poll_errors.labels(reason).inc()

    def watch(self, *, depth: Callable[[], float], is_leader: Callable[[], float]) -> None:
        """Read these gauges whenever they are asked for."""
        self.queue_depth.set_function(depth)
        self.is_leader.set_function(is_leader)

    def text(self) -> bytes:
        """Return all of it in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", words, labels, registry=self.registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", words, registry=self.registry)
