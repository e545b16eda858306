"""What the fake answers from: a cluster of three members, and what a test changes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quorate.control.status import MemberState, MemberStatus, encode_status

CLUSTER = {
    "metadata": {"name": "counter", "namespace": "shop"},
    "spec": {"replicas": 3},
    "status": {
        "state": "Ready",
        "clusterId": "ab" * 16,
        "leader": {"member": 1, "pod": "counter-1", "term": 7, "since": "2026-11-28T08:00:00Z"},
        "quorum": {"required": 2, "healthy": 3, "canLose": 1},
        "members": [
            {
                "seat": seat,
                "memberId": f"{seat}" * 32,
                "role": role,
                "voter": True,
                "health": "Well",
            }
            for seat, role in enumerate(["follower", "leader", "follower"])
        ],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "AllMembersCaughtUp",
                "message": "all three",
                "lastTransitionTime": "2026-11-28T08:00:01Z",
            }
        ],
    },
}


def pod_of(seat: int) -> dict[str, Any]:
    """Return the pod in this seat, which is well."""
    return {
        "metadata": {
            "name": f"counter-{seat}",
            "labels": {"apps.kubernetes.io/pod-index": str(seat)},
        },
        "spec": {"nodeName": f"node-{seat}"},
        "status": {
            "containerStatuses": [{"restartCount": seat}],
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True"},
                {"type": "DisruptionTarget", "status": "False"},
            ],
        },
    }


def status_of(seat: int, **changes: object) -> MemberStatus:
    """Return what the member in this seat says, but for these changes; seat 1 leads."""
    leads = seat == 1
    values: dict[str, Any] = {
        "status_version": 1,
        "version": "0.1.0",
        "cluster_id": "ab" * 16,
        "epoch": 0,
        "member_id": f"{seat}" * 32,
        "seat": seat,
        "start_nonce": "00" * 8,
        "state": MemberState.LEADER if leads else MemberState.FOLLOWER,
        "role": "leader" if leads else "follower",
        "leadership_term_id": 7,
        "leader": 1,
        "written_position": 4096,
        "append_position": 4096 - 1024 * seat,
        "commit_position": 3072,
        "service_position": 2048,
    }
    return MemberStatus(**(values | changes))


def say(folder: Path, status: MemberStatus) -> None:
    """Have the member in the status's seat say it."""
    (folder / f"counter-{status.seat}.json").write_bytes(encode_status(status))


def calls(folder: Path) -> list[list[str]]:
    """Return the arguments of each call so far."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def cluster_of(folder: Path) -> dict[str, Any]:
    """Return the resource as it is now."""
    body: dict[str, Any] = json.loads((folder / "cluster.json").read_text())
    return body


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the resource."""
    body = cluster_of(folder)
    edit(body)
    (folder / "cluster.json").write_text(json.dumps(body))
