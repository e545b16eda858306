"""The alerts: each fires for its fault and not for a healthy cluster, by Prometheus' own tool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from quorate.control.status import MemberState
from quorate_monitoring.programs import program
from quorate_monitoring.queries import ALERTS, DASHBOARDS, queries
from quorate_operator.queue import BACKOFF_MAX_S
from quorate_operator.reconcile import PASS_LIMIT_S

REFERENCE = ALERTS.parents[3] / "docs" / "reference"
RUNBOOKS = ALERTS.parents[3] / "docs" / "how-to" / "runbooks"
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
}
LEADER = 'namespace="shop",cluster="counter",pod="counter-1"'
FOLLOWER = 'namespace="shop",cluster="counter",pod="counter-2"'
NEIGHBOURS = (
    'namespace="shop",cluster="orders",pod="orders-0"',
    'namespace="market",cluster="counter",pod="counter-1"',
)
"""Leaders of other clusters, one of the same name and one in the same namespace."""
FOUND = 'quorate_operator_condition{%%o,condition="%s",reason="%s"}'
TRUE = {
    "Ready": "AllMembersCaughtUp",
    "Quorate": "LeaderFollowedByMajority",
    "Reconciled": "Applied",
}
HEALTHY = {
    "up{%s}": "1x240",
    "quorate_is_leader{%s}": "1x240",
    "quorate_recovering{%s}": "0x240",
    "quorate_possible_loss{%s}": "0x240",
    "quorate_storage_low{%s}": "0x240",
    "quorate_storage_full{%s}": "0x240",
    'quorate_member_lag_bytes{%s,seat="2"}': "4096x240",
    'quorate_member_last_contact_seconds{%s,seat="2"}': "0.05x240",
    'quorate_member_info{%s,state="leader"}': "1x240",
    "quorate_elections_total{%s}": "1x240",
    "quorate_loop_turn_duration_seconds_count{%s}": "0+15000x240",
    'quorate_loop_turn_duration_seconds_bucket{%s,le="0.5"}': "0+15000x240",
    'quorate_sync_duration_seconds_bucket{%s,le="0.001"}': "0+1000x240",
    'quorate_sync_duration_seconds_bucket{%s,le="+Inf"}': "0+1000x240",
    "quorate_operator_is_leader": "1x240",
    'quorate_operator_reconcile_total{result="unchanged"}': "0+1x240",
    'quorate_operator_condition{%o,condition="Degraded",reason="AllMembersWell"}': "0x240",
    **{FOUND % row: "1x240" for row in TRUE.items()},
}
"""One sample in 15 s, for an hour: constant, or rising by so much each time."""
SAMPLES = 240
OTHER_STATES = set(MemberState) - {"volume-lost", "not-a-member", "diverged"}
ON_THE_LEADER = "quorate_member_l"
CHANGED = {"quorate_is_leader{%s}": "0x240"}
"""What is otherwise on a follower, beside what a leader alone knows."""


def false(condition: str, reason: str) -> dict[str, str]:
    """Return what the operator serves where it finds this condition false."""
    return {FOUND % (condition, TRUE[condition]): "stale", FOUND % (condition, reason): "0x240"}


def placed(text: str, place: str) -> str:
    """Put a member's labels into the name of a series, or those that the operator gives it."""
    namespace, cluster, _ = place.split(",")
    return text.replace("%s", place).replace("%o", f"cluster_{namespace},{cluster}")


def rising(samples: int) -> str:
    """Return a counter that rises by one every so many samples."""
    return " ".join(f"{count}x{samples - 1}" for count in range(SAMPLES // samples + 1))


SLOWEST_FAILURES = rising(int(PASS_LIMIT_S + BACKOFF_MAX_S) // 15)
"""Of one ClusterService whose every pass takes all its time and fails."""
MEMBER = {"namespace": "shop", "cluster": "counter", "pod": "counter-1"}
CLUSTER = {"namespace": "shop", "cluster": "counter"}
SEAT = CLUSTER | {"seat": "2"}
FAULTS = [
    ("QuorateNoLeader", {"quorate_is_leader{%s}": "0x240"}, CLUSTER),
    # All members down: the last that is known of them is half an hour old.
    (
        "QuorateNoLeader",
        {
            **{f"quorate_is_leader{{{at}}}": "1x120 stale" for at in (LEADER, FOLLOWER)},
            **{f"up{{{at}}}": "1x120 0x120" for at in (LEADER, FOLLOWER)},
        },
        CLUSTER,
    ),
    # No member has an address since long ago, so Prometheus knows of none; the operator does.
    (
        "QuorateNoLeader",
        {
            f"{name}{{{member}}}": "stale"
            for name in ("quorate_is_leader", "up")
            for member in (LEADER, FOLLOWER)
        }
        | false("Quorate", "MajorityMissing"),
        CLUSTER,
    ),
    *(
        ("QuorateClusterNotReady", false(condition, reason), CLUSTER | {"condition": condition})
        for condition, reason in (
            ("Ready", "NotFounded"),
            ("Ready", "MembersCatchingUp"),
            ("Reconciled", "ApiRefused"),
        )
    ),
    (
        "QuorateMemberDown",
        {'quorate_member_last_contact_seconds{%s,seat="2"}': "11x240"},
        SEAT,
    ),
    ("QuorateMemberDown", {'quorate_member_last_contact_seconds{%s,seat="2"}': "-1x240"}, SEAT),
    ("QuorateMemberRecovering", {"quorate_recovering{%s}": "1x240"}, MEMBER),
    (
        "QuorateVolumeLost",
        {'quorate_member_info{%s,state="volume-lost"}': "1x240"},
        MEMBER | {"state": "volume-lost"},
    ),
    (
        "QuorateVolumeLost",
        {'quorate_member_info{%s,state="not-a-member"}': "1x240"},
        MEMBER | {"state": "not-a-member"},
    ),
    ("QuoratePossibleLoss", {"quorate_possible_loss{%s}": "1x240"}, CLUSTER),
    ("QuorateStorageLow", {"quorate_storage_low{%s}": "1x240"}, MEMBER),
    ("QuorateStorageFull", {"quorate_storage_full{%s}": "1x240"}, MEMBER),
    ("QuorateFollowerLagging", {'quorate_member_lag_bytes{%s,seat="2"}': f"{2**26 + 1}x240"}, SEAT),
    ("QuorateServiceDiverged", {'quorate_member_info{%s,state="diverged"}': "1x240"}, MEMBER),
    ("QuorateElectionsFlapping", {"quorate_elections_total{%s}": rising(8)}, CLUSTER),
    (
        "QuorateLoopStalled",
        {'quorate_loop_turn_duration_seconds_bucket{%s,le="0.5"}': "0+14999.8x240"},
        MEMBER,
    ),
    (
        "QuorateSyncSlow",
        {
            'quorate_sync_duration_seconds_bucket{%s,le="0.001"}': "0+980x240",
            'quorate_sync_duration_seconds_bucket{%s,le="0.1"}': "0+989x240",
            'quorate_sync_duration_seconds_bucket{%s,le="0.5"}': "0+1000x240",
        },
        MEMBER,
    ),
    (
        "QuorateAlarmRaised",
        {'quorate_alarm{%s,name="service_slow"}': "1x240"},
        MEMBER | {"name": "service_slow"},
    ),
    ("QuorateOperatorAbsent", {"quorate_operator_is_leader": "0x240"}, {}),
    ("QuorateOperatorAbsent", {"quorate_operator_is_leader": "stale"}, {}),
    *(
        (
            "QuorateOperatorFailing",
            {f'quorate_operator_reconcile_total{{result="{result}"}}': SLOWEST_FAILURES},
            {"result": result},
        )
        for result in ("bug", "conflict", "error", "refused", "timeout", "unavailable")
    ),
]
"""Alert, what is otherwise than in a healthy cluster, and the labels of what fires: just enough
where there is a threshold."""
NEARLY = {
    'quorate_member_last_contact_seconds{%s,seat="2"}': "9x240",
    'quorate_member_lag_bytes{%s,seat="2"}': f"{2**26}x240",
    "quorate_elections_total{%s}": rising(12),
    'quorate_loop_turn_duration_seconds_bucket{%s,le="0.5"}': "0+14999.9x240",
    'quorate_sync_duration_seconds_bucket{%s,le="0.001"}': "0+980x240",
    'quorate_sync_duration_seconds_bucket{%s,le="0.1"}': "0+991x240",
    **{
        f'quorate_operator_reconcile_total{{result="{result}"}}': "0+1x240"
        for result in ("absent", "acted", "deferred", "reported")
    },
    'quorate_operator_reconcile_total{result="conflict"}': rising(20),
    "quorate_operator_is_leader": "0x240",
    'quorate_operator_is_leader{pod="other"}': "1x240",
    # Members that the operator cannot ask may well have a leader; that one is scraped.
    **false("Quorate", "NoLeader"),
    **false("Reconciled", "Paused"),
    **{'quorate_member_info{%s,state="' + state + '"}': "1x240" for state in OTHER_STATES},
}
"""What no alert is for, all at once."""
CRITICAL = {
    "QuorateNoLeader",
    "QuorateVolumeLost",
    "QuoratePossibleLoss",
    "QuorateStorageFull",
    "QuorateServiceDiverged",
}
"""Clients wait, or what they were told may not be so: somebody is woken."""


def healthy() -> dict[str, str]:
    """Return the series of a leader and its follower, of other clusters and of the operator."""
    of_follower = {k: v for k, v in (HEALTHY | CHANGED).items() if ON_THE_LEADER not in k}
    return {
        placed(key, place): values
        for place in (LEADER, FOLLOWER, *NEIGHBOURS)
        for key, values in (of_follower if place == FOLLOWER else HEALTHY).items()
    }


def case(
    name: str, changes: dict[str, str], fired: dict[str, dict[str, str]], at: str = "1h"
) -> dict[str, object]:
    """One case for promtool: after this time just these alerts fire, with these labels."""
    series = [
        {"series": key, "values": values}
        for key, values in (
            healthy() | {placed(key, LEADER): values for key, values in changes.items()}
        ).items()
    ]
    expected = []
    for alert, labels in fired.items():
        known = {"alertname": alert, "alertstate": "firing", **RULES[alert]["labels"], **labels}
        pairs = ",".join(f'{label}="{value}"' for label, value in known.items())
        expected.append({"labels": f"ALERTS{{{pairs}}}", "value": 1})
    query = {"expr": 'ALERTS{alertstate="firing"}', "eval_time": at, "exp_samples": expected}
    return {"name": name, "interval": "15s", "input_series": series, "promql_expr_test": [query]}


def promtool(folder: Path, cases: list[dict[str, object]]) -> subprocess.CompletedProcess[str]:
    body = {"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": cases}
    (folder / "cases.yaml").write_text(yaml.safe_dump(body))
    return subprocess.run(
        [program("promtool"), "test", "rules", str(folder / "cases.yaml")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_nothing_fires_for_what_is_in_order(tmp_path: Path) -> None:
    ended = promtool(tmp_path, [case("healthy", {}, {}), case("nearly", NEARLY, {})])
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("alert", RULES)
def test_each_alert_fires_for_its_fault_and_for_no_other(tmp_path: Path, alert: str) -> None:
    cases = [
        case(f"{alert} {number}", changes, {alert: labels})
        for number, (fired, changes, labels) in enumerate(FAULTS)
        if fired == alert
    ]
    assert cases, "an alert that no case makes fire"
    ended = promtool(tmp_path, cases)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(("alert", "labels"), [(alert, labels) for alert, _, labels in FAULTS])
def test_what_an_alert_says_is_filled_in(alert: str, labels: dict[str, str]) -> None:
    named = re.findall(r"\$labels\.(\w+)", str(RULES[alert]["annotations"]))
    assert set(named) <= set(labels)


def test_an_alert_waits_as_long_as_it_says(tmp_path: Path) -> None:
    """A leader that is missing for less than a minute is an election, and no alert."""
    short = {"quorate_is_leader{%s}": "1x236 0x3"}
    long = {"quorate_is_leader{%s}": "1x232 0x7"}
    fired = {"QuorateNoLeader": CLUSTER}
    ended = promtool(tmp_path, [case("short", short, {}), case("long", long, fired)])
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_an_outage_is_told_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    """All members are down from half an hour on, until the cluster is well again or removed."""
    well = {series: f"{values.partition('x')[0]}x480" for series, values in healthy().items()}
    ups = [f"up{{{at}}}" for at in (LEADER, FOLLOWER)]
    down = well | {key: "1x120 stale" for key in well if LEADER in key or FOLLOWER in key}
    down |= dict.fromkeys(ups, "1x120 0x360")
    healed = well | dict.fromkeys(ups, "1x120 0x300 1x60")
    healed |= {f"quorate_is_leader{{{LEADER}}}": "1x120 _x300 1x60"}
    healed |= {f"quorate_is_leader{{{FOLLOWER}}}": "0x120 _x300 0x60"}
    gone = down | dict.fromkeys(ups, "1x120 0x300 stale")
    cases = [
        case("down", down, {"QuorateNoLeader": CLUSTER}, "2h"),
        case("healed", healed, {}, "2h"),
        case("gone", gone, {}, "2h"),
    ]
    ended = promtool(tmp_path, cases)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_cluster_that_never_began_is_not_an_outage(tmp_path: Path) -> None:
    """No client waits for it: that it does not begin is told by the milder alert."""
    changes = {key: "stale" for key in healthy() if LEADER in key or FOLLOWER in key}
    changes |= false("Quorate", "NotFounded") | false("Ready", "NotFounded")
    fired = {"QuorateClusterNotReady": CLUSTER | {"condition": "Ready"}}
    ended = promtool(tmp_path, [case("never", changes, fired)])
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_prometheus_takes_the_file() -> None:
    ended = subprocess.run(
        [program("promtool"), "check", "rules", str(ALERTS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("alert", RULES)
def test_each_alert_has_what_its_reader_needs(alert: str) -> None:
    rule = RULES[alert]
    assert rule["labels"] == {"severity": "critical" if alert in CRITICAL else "warning"}
    (minutes,) = re.findall(r"^(\d+)m$|^0s$", rule["for"])
    assert int(minutes or 0) <= (1 if alert in CRITICAL else 15)
    assert rule["annotations"]["runbook"] == f"docs/how-to/runbooks/{alert}.md"
    page = (RUNBOOKS / f"{alert}.md").read_text()
    assert page.startswith(f"# {alert}\n")
    assert all(f"## {part}\n" in page for part in ("Meaning", "Look", "Act"))


def test_no_runbook_is_left_over() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(RULES)


@pytest.mark.parametrize(
    ("named", "pages"),
    [
        (r"`(quorate_\w+)`", ["metrics.md", "operator-metrics.md"]),
        # Of the log's lines, whose fields are called as metrics are.
        (r"`((?!quorate_)[a-z]+(?:_[a-z]+)+)`", ["events.md", "metrics.md", "alarms.md"]),
        (r"`spec\.([\w.]+)`", ["clusterservice.md"]),
    ],
    ids=["metrics", "events", "fields"],
)
def test_what_a_runbook_names_is_in_the_reference(named: str, pages: list[str]) -> None:
    text = "".join((REFERENCE / page).read_text() for page in pages)
    known = set(re.findall(r"\| `(?:quorate_)?([\w.]+)` \|", text))
    found = {
        (runbook.name, name)
        for runbook in RUNBOOKS.glob("*.md")
        for name in re.findall(named, runbook.read_text())
    }
    assert found, "the pattern finds nothing any more"
    assert not {
        (runbook, name) for runbook, name in found if name.removeprefix("quorate_") not in known
    }


def test_each_panel_that_a_runbook_sends_its_reader_to_is_on_a_dashboard() -> None:
    panels = {query.panel for path in DASHBOARDS for query in queries(path)}
    found = {
        (runbook.name, panel)
        for runbook in RUNBOOKS.glob("*.md")
        for panel in re.findall(r"“([^”]+)”", runbook.read_text())
    }
    assert found, "no runbook names a panel any more"
    assert not {(runbook, panel) for runbook, panel in found if panel not in panels}
