"""The page of the operator's metrics names what there is, and nothing else."""

from __future__ import annotations

from pathlib import Path

from quorate_operator.metrics import Metrics

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "operator-metrics.md"


def test_the_page_lists_every_metric_with_its_labels_and_meaning() -> None:
    metrics = Metrics()
    labels: dict[str, tuple[str, ...]] = {"quorate_operator_condition": metrics.conditions.LABELS}
    for found in vars(metrics).values():
        if hasattr(found, "_labelnames"):
            labels[found._name] = found._labelnames
    rows = set()
    for family in metrics.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        named = ", ".join(f"`{label}`" for label in labels[family.name])
        rows.add(f"| `{name}` | {family.type} | {named} | {family.documentation} |")
    lines = PAGE.read_text().splitlines()
    shown = {line.replace("|  |", "| |") for line in lines if line.startswith("| `quorate_")}
    assert shown == {row.replace("|  |", "| |") for row in rows}
