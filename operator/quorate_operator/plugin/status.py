"""``kubectl quorate status``: one cluster, with its members' positions of this moment."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict

from quorate.control.status import MemberStatus
from quorate.control.summary import lag, leader_of, remarks
from quorate_operator.plugin.kubectl import Kubectl
from quorate_operator.plugin.pods import MemberPod, ask_members, find_pods, with_missing
from quorate_operator.plugin.reading import at, plain, rows_at, table, text_at

_QUORUM = "{healthy} voters healthy, {required} required, {canLose} can be lost"
_COLUMNS = ["SEAT", "POD", "STATE", "TERM", "APPEND", "COMMIT", "SERVICE", "LAG"]


def run(kubectl: Kubectl, options: argparse.Namespace) -> int:
    """Print it; return 0 if somebody leads and every member answers, else 1."""
    body = kubectl.cluster(options.name)
    namespace = text_at(body, "metadata", "namespace")
    asked = ask_members(kubectl, namespace, find_pods(kubectl, options.name))
    pods = with_missing(body, options.name, asked)
    if options.output == "json":
        members = {pod.name: pod.status and asdict(pod.status) for pod in pods}
        print(json.dumps({"status": at(body, "status"), "members": members}))
    else:
        print("\n".join(render(body, pods)))
    leads = any(pod.status is not None and pod.status.role == "leader" for pod in pods)
    return 0 if leads and all(pod.status is not None for pod in pods) else 1


def render(body: object, pods: list[MemberPod]) -> list[str]:
    """Return the lines for people."""
    status = at(body, "status")
    where = f"{text_at(body, 'metadata', 'namespace')}/{text_at(body, 'metadata', 'name')}"
    lines = [
        f"{where}: {text_at(status, 'state')}",
        *table([[f"{title}:", text] for title, text in _facts(status)], "  "),
    ]
    conditions = [
        [text_at(row, key) for key in ("type", "status", "reason", "lastTransitionTime", "message")]
        for row in rows_at(status, "conditions")
    ]
    if conditions:
        lines += ["", *table([["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], *conditions])]
    if pods:
        leader = leader_of(pod.status for pod in pods if pod.status)
        lines += ["", *table([_COLUMNS, *(_row(pod, leader) for pod in pods)])]
    return lines + [line for pod in pods for line in _remarks(pod)]


def _facts(status: object) -> list[tuple[str, str]]:
    facts = [
        ("leader", _filled("{pod}, term {term}, since {since}", at(status, "leader")) or "none"),
        ("quorum", _filled(_QUORUM, at(status, "quorum"))),
        ("operation", _filled("{type} {target}: {step}, since {since}", at(status, "operation"))),
        ("updated", _filled("{updated} of {total} members", at(status, "update"))),
        ("cluster id", text_at(status, "clusterId")),
    ]
    return [(title, text) for title, text in facts if text]


def _filled(words: str, row: object) -> str:
    """Return the words with the row's values in place of the names; empty without a row."""
    return re.sub(r"\{(\w+)\}", lambda found: text_at(row, found[1]), words) if row else ""


def _row(pod: MemberPod, leader: MemberStatus | None) -> list[str]:
    status = pod.status
    if status is None:
        return [str(pod.seat), pod.name, "no answer", *["-"] * 5]
    positions = (status.append_position, status.commit_position, status.service_position)
    term = str(status.leadership_term_id)
    return [
        str(pod.seat),
        pod.name,
        status.state.value,
        term,
        *map(str, positions),
        lag(status, leader),
    ]


def _remarks(pod: MemberPod) -> list[str]:
    found = [pod.problem] if pod.status is None else remarks(pod.status)
    return [f"{pod.name}: {plain(words)}" for words in found]
