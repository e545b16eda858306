"""What the operator counts stands where dashboards and alerts look for it."""

from __future__ import annotations

from quorate_operator.metrics import Metrics
from quorate_operator.reconcile import PASS_LIMIT_S


def test_what_is_told_to_the_metrics_stands_under_its_labels() -> None:
    metrics, depths = Metrics(), iter([3.0, 4.0])
    metrics.watch(depth=lambda: next(depths), is_leader=lambda: 1.0)
    for _ in range(2):
        metrics.on_poll_problem("timeout")
        metrics.on_call("get", "apps", "statefulsets", "409")
    shown = metrics.text().decode().splitlines()
    assert 'quorate_operator_member_poll_errors_total{reason="timeout"} 2.0' in shown
    assert 'quorate_operator_api_requests_total{code="409",verb="get"} 2.0' in shown
    assert "quorate_operator_is_leader 1.0" in shown
    assert "quorate_operator_queue_depth 3.0" in shown
    assert "quorate_operator_queue_depth 4.0" in metrics.text().decode().splitlines()


def test_a_pass_that_is_about_to_be_cut_off_is_told_from_one_that_is_slow() -> None:
    families = {family.name: family for family in Metrics().registry.collect()}
    samples = families["quorate_operator_reconcile_seconds"].samples
    bounds = sorted(float(s.labels["le"]) for s in samples if s.name.endswith("_bucket"))
    assert any(PASS_LIMIT_S / 4 < bound <= PASS_LIMIT_S for bound in bounds)
    assert bounds[0] <= 0.05, "the usual one makes fifteen calls and no write"
