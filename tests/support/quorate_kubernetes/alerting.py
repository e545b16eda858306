"""A Prometheus beside the cluster: it finds the pods, scrapes them, and evaluates the alerts.

It runs in the control plane's network, and takes the alerts as the chart renders them, with shorter
waits.
"""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import yaml

from quorate_kubernetes import processes
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl, Object
from quorate_kubernetes.layout import LOGS, ROOT, STATE
from quorate_kubernetes.waiting import wait_until
from quorate_monitoring.discovery import configuration, discovered, shortened_waits
from quorate_monitoring.programs import program

NAME = "prometheus"
"""Of the process and its log."""
ADDRESS = "127.0.0.1:9090"
RUNBOOKS = (ROOT / "docs" / "how-to" / "runbooks").as_uri()
START_TIMEOUT_S = 60.0
TIMEOUT_S = 90.0
"""Of a wait for an alert: a deadline on a machine under load, not an expectation."""
ASK_TIMEOUT_S = 5.0
LOG_TAIL = 1_500
POLL_S = 0.2
_FOLDER = STATE / NAME
_RULES = "templates/monitoring/rules.yaml"

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert whose condition holds: pending until it has held long enough, then firing."""

    name: str
    is_firing: bool
    severity: str
    labels: Mapping[str, str]
    """Without its name and severity: which cluster, pod or seat."""
    runbook: str
    """``runbook_url``."""


class Alerting:
    """Asks the Prometheus that ``alerting`` has started."""

    def __init__(self, watched: Sequence[Kubectl]) -> None:
        """Take the namespaces whose pods are watched."""
        self._watched = watched
        self._base = f"http://{ADDRESS}/api/v1"

    def discover(self) -> None:
        """Let it scrape the pods that are there now; it takes that up within five seconds."""
        pods = [pod for kubectl in self._watched for pod in kubectl.list("pods")]
        unfinished = _FOLDER / "targets.unfinished"
        unfinished.write_text(json.dumps(discovered(pods)))
        unfinished.rename(_FOLDER / "targets.json")

    def alerts(self) -> list[Alert]:
        """Return every alert that is pending or firing."""
        return [_alert(row) for row in self._ask("alerts")["alerts"]]

    def firing(self, severity: str = "") -> set[str]:
        """Return the names of the alerts that fire, all or those of this severity."""
        return {
            alert.name
            for alert in self.alerts()
            if alert.is_firing and severity in ("", alert.severity)
        }

    def ever_fired(self, severity: str) -> set[str]:
        """Return the names of the alerts of this severity that have fired since the start."""
        fired = f'ALERTS{{alertstate="firing",severity="{severity}"}}'
        return {labels["alertname"] for labels in self._query(f"last_over_time({fired}[1h])")}

    def broken_rules(self) -> list[str]:
        """Return what the evaluation of rules has complained about."""
        rules = [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]
        assert rules, "no rule is loaded"
        return [f"{r['name']}: {r.get('lastError')}" for r in rules if r["health"] == "err"]

    def wait_scraped(self, pods: set[str], times: int) -> None:
        """Wait until each of these pods has answered so many scrapes."""

        def enough() -> bool:
            answers = self._query(f"sum by (pod) (sum_over_time(up[1h])) >= {times}")
            return pods <= {labels.get("pod", "") for labels in answers}

        self._wait(f"each of {', '.join(sorted(pods))} has answered {times} scrapes", enough)

    def wait_firing(self, name: str, **labels: str) -> Alert:
        """Wait until this alert fires with just these labels, and return it."""

        def found() -> Alert | None:
            same = [
                alert for alert in self.alerts() if (alert.name, alert.labels) == (name, labels)
            ]
            return next((alert for alert in same if alert.is_firing), None)

        return self._wait(f"{name} fires with {labels}", found)

    def wait_resolved(self, name: str) -> None:
        """Wait until this alert is neither pending nor firing."""

        def gone() -> bool:
            return name not in {alert.name for alert in self.alerts()}

        self._wait(f"{name} is resolved", gone)

    def wait_begun(self) -> None:
        """Wait until it answers.

        Raises:
            BedFailure: It has ended, or does not begin; with the end of its log.

        """

        def answers() -> bool:
            if processes.pid_of(NAME) is None:
                raise BedFailure(f"Prometheus has ended: {_log_tail()}")
            try:
                return bool(self._ask("status/runtimeinfo"))
            except OSError:
                return False

        try:
            wait_until("Prometheus answers", answers, START_TIMEOUT_S)
        except BedFailure as failure:
            raise BedFailure(f"{failure}\n{_log_tail()}") from None

    def _wait(self, what: str, condition: Callable[[], _Value | None]) -> _Value:
        try:
            return wait_until(what, condition, TIMEOUT_S, POLL_S)
        except BedFailure as failure:
            raise BedFailure(f"{failure}\n{self._seen()}") from None

    def _seen(self) -> str:
        """Return what explains that an alert does not do what it should."""
        targets = self._ask("targets", state="active")["activeTargets"]
        lines = [f"{row['scrapeUrl']}: {row['health']} {row['lastError']}" for row in targets]
        lines += [f"{alert}" for alert in self.alerts()]
        lines += [f"broken rule {text}" for text in self.broken_rules()]
        return "\n".join(lines if targets else [*lines, f"no target: {_log_tail()}"])

    def _query(self, expr: str) -> list[Mapping[str, str]]:
        return [row["metric"] for row in self._ask("query", query=expr)["result"]]

    def _ask(self, path: str, **query: str) -> Object:
        url = f"{self._base}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=ASK_TIMEOUT_S) as answer:
            found: Object = json.load(answer)["data"]
        return found


@contextmanager
def alerting(kubectl: Kubectl, installation: Installation) -> Iterator[Alerting]:
    """Watch the pods of a namespace and of an installation for a while.

    Args:
        kubectl: Of the namespace with the members.
        installation: Whose operator is watched, and whose chart has the alerts.

    Raises:
        BedFailure: It does not begin.

    """
    processes.kill(NAME)  # of a story that was cut off, on a cluster that was kept
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir()
    (_FOLDER / "rules.yaml").write_text(json.dumps(rendered_rules(installation)))
    body = configuration(_FOLDER / "targets.json", _FOLDER / "rules.yaml")
    (_FOLDER / "prometheus.yml").write_text(json.dumps(body))
    asked = Alerting((kubectl, installation.kubectl))
    asked.discover()
    command = (
        program("prometheus"),
        f"--config.file={_FOLDER}/prometheus.yml",
        f"--storage.tsdb.path={_FOLDER}/tsdb",
        f"--web.listen-address={ADDRESS}",
    )
    processes.start(NAME, command)
    try:
        asked.wait_begun()
        yield asked
    finally:
        processes.kill(NAME)


def rendered_rules(installation: Installation) -> Object:
    """Return the chart's alerts as helm renders them, each with its shorter wait and its page."""
    values = {f"monitoring.rules.for.{name}": wait for name, wait in shortened_waits().items()}
    values["monitoring.rules.runbooks"] = RUNBOOKS
    text = installation.helm(
        "template",
        *("--api-versions=monitoring.coreos.com/v1", "--kube-version=1.34.0"),
        f"--show-only={_RULES}",
        *(f"--set-string={name}={value}" for name, value in values.items()),
        chart=True,
    )
    found: Object = yaml.safe_load(text)["spec"]
    return found


def _alert(row: Object) -> Alert:
    labels = dict(row["labels"])
    return Alert(
        name=labels.pop("alertname"),
        is_firing=row["state"] == "firing",
        severity=labels.pop("severity"),
        labels=labels,
        runbook=row["annotations"].get("runbook_url", ""),
    )


def _log_tail() -> str:
    log = LOGS / f"{NAME}.log"
    return f"{log} ends with:\n{log.read_text(errors='replace')[-LOG_TAIL:]}"
