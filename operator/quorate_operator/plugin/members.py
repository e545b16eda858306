"""``kubectl quorate members``: where each member is and what the operator makes of it."""

from __future__ import annotations

import argparse
import json

from quorate_operator.plugin.kubectl import Kubectl
from quorate_operator.plugin.pods import MemberPod, find_pods, is_ready, restarts_of
from quorate_operator.plugin.reading import at, rows_at, table, text_at

_COLUMNS = [
    "SEAT", "POD", "READY", "RESTARTS", "ROLE", "VOTER", "HEALTH", "NODE", "MEMBER", "REASON",
]  # fmt: skip


def run(kubectl: Kubectl, options: argparse.Namespace) -> int:
    """Print them; return 0."""
    body = kubectl.cluster(options.name)
    if options.output == "json":
        print(json.dumps(rows_at(body, "status", "members")))
        return 0
    pods = {pod.seat: pod for pod in find_pods(kubectl, options.name)}
    print("\n".join(render(body, pods)))
    return 0


def render(body: object, pods: dict[int, MemberPod]) -> list[str]:
    """Return the lines of the table: a row for each seat that the operator or Kubernetes knows."""
    rows = {seat: row for row in rows_at(body, "status", "members") if (seat := _seat(row)) >= 0}
    return table([_COLUMNS, *(_row(seat, rows.get(seat), pods.get(seat))
                              for seat in sorted({*rows, *pods}))])  # fmt: skip


def _seat(row: object) -> int:
    seat = at(row, "seat")
    return seat if isinstance(seat, int) else -1


def _row(seat: int, row: object, pod: MemberPod | None) -> list[str]:
    return [
        str(seat),
        "missing" if pod is None else pod.name,
        "-" if pod is None else ("yes" if is_ready(pod) else "no"),
        "-" if pod is None else str(restarts_of(pod)),
        text_at(row, "role"),
        text_at(row, "voter"),
        text_at(row, "health"),
        text_at(pod.body, "spec", "nodeName") if pod else text_at(row, "node"),
        text_at(row, "memberId")[:8],
        text_at(row, "reason"),
    ]
