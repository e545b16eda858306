"""Whatever a user sets, the chart renders objects that Kubernetes takes, and says no otherwise."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quorate_kubernetes.chart import (
    CHART,
    MONITORED,
    VERSION,
    helm,
    objects,
    of_kind,
    template,
    values,
)
from quorate_kubernetes.layout import ROOT
from quorate_kubernetes.shapes import misfits

DIGEST = f"sha256:{'0123abcd' * 8}"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
VARIANTS = {
    "as it is": (),
    "no process": ("replicas=0",),
    "one process": ("replicas=1",),
    "by digest": (f"image.digest={DIGEST}", "image.tag=v1"),
    "private registry": (
        "image.repository=r.example.org:5000/team_a/quorate",
        "imagePullSecrets[0].name=one",
        "imagePullSecrets[1].name=two",
    ),
    "placed": (
        "nodeSelector.disk=fast",
        "tolerations[0].key=only",
        "tolerations[0].operator=Exists",
        "tolerations[0].tolerationSeconds=30",
        f"affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].key=gpu",
        "priorityClassName=high",
    ),
    "account of others": ("serviceAccount.create=false", "serviceAccount.name=theirs"),
    "account named": ("serviceAccount.name=ours", "serviceAccount.annotations.role=r"),
    "resources in numbers": ("resources.limits.cpu=2", "resources.limits.memory=134217728"),
    "no resources": ("resources.requests=null", "resources.limits=null"),
    "labels of the chart itself": (
        r"podLabels.app\.kubernetes\.io/name=other",
        r"monitoring.labels.app\.kubernetes\.io/instance=other",
        r"monitoring.dashboards.labels.app\.kubernetes\.io/name=other",
    ),
    "monitoring with all": (
        "monitoring.labels.release=prometheus",
        "monitoring.podMonitor.interval=15s",
        "monitoring.rules.for.QuorateNoLeader=5m",
        "monitoring.rules.runbooks=https://example.org/runbooks/",
        "monitoring.dashboards.annotations.folder=Quorate",
    ),
    "no monitoring": (
        "monitoring.podMonitor.enabled=false",
        "monitoring.rules.enabled=false",
        "monitoring.dashboards.enabled=false",
    ),
    "maps taken away": (
        "podLabels=null",
        "podAnnotations=null",
        "nodeSelector=null",
        "tolerations=null",
        "affinity=null",
        "imagePullSecrets=null",
        "serviceAccount.annotations=null",
        "monitoring.labels=null",
        "monitoring.rules.for=null",
        "monitoring.dashboards.labels=null",
    ),
}
OTHERWISE = {
    "image.repository": "r.example.org/quorate",
    "image.tag": "v9",
    "image.digest": DIGEST,
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "one"}],
    "replicas": 3,
    "installation": "mine",
    "clusterDomain": "example.org",
    "resyncSeconds": 61,
    "reconcilesAtOnce": 5,
    "logLevel": "debug",
    "crds.install": False,
    "resources.requests.cpu": "51m",
    "resources.requests.memory": "129Mi",
    "resources.limits.memory": "513Mi",
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "only", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "serviceAccount.name": "theirs",
    "serviceAccount.annotations": {"a": "b"},
    "monitoring.labels": {"a": "b"},
    "monitoring.podMonitor.enabled": False,
    "monitoring.podMonitor.interval": "15s",
    "monitoring.rules.enabled": False,
    "monitoring.rules.for": {"QuorateNoLeader": "5m"},
    "monitoring.rules.runbooks": "https://example.org",
    "monitoring.dashboards.enabled": False,
    "monitoring.dashboards.labels.grafana_dashboard": "2",
    "monitoring.dashboards.annotations": {"a": "b"},
}
"""Each value of the chart with another than its default."""
NAMED_BY_OTHERS = {"serviceAccount.create"}
"""Refused alone: see the test of an account that is there."""
LONGEST = "a" * 53
"""Helm takes no longer one."""
RELEASES = (
    ("q", "123"),
    ("quorate", "true"),
    ("on", "1e3"),
    (LONGEST, "n" * 63),
    (f"{'a' * 39}-{'b' * 13}", "system"),
    (f"quorate-{'x' * 31}-{'y' * 13}", "system"),
)
LABEL_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
DNS_LABEL = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


@pytest.mark.parametrize("served", [(), MONITORED], ids=["bare", "monitored"])
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_each_variant_fits(tmp_path: Path, variant: str, served: tuple[str, ...]) -> None:
    text = template(tmp_path, *served, *values(*VARIANTS[variant]))
    assert_taken(objects(text), "system")


@pytest.mark.parametrize(("release", "namespace"), RELEASES)
def test_any_release_in_any_namespace_fits(tmp_path: Path, release: str, namespace: str) -> None:
    text = template(tmp_path, *MONITORED, release=release, namespace=namespace)
    assert_taken(objects(text), namespace)
    for body in of_kind(text, "Service"):
        assert re.fullmatch(DNS_LABEL, body["metadata"]["name"])


def assert_taken(bodies: list[dict[str, Any]], namespace: str) -> None:
    assert not [line for body in bodies for line in misfits(body)]
    for body in bodies:
        metadata = body["metadata"]
        assert len(metadata["name"]) <= 253
        if body["kind"] not in CLUSTER_WIDE:
            assert metadata["namespace"] == namespace
        for value in metadata.get("labels", {}).values():
            assert re.fullmatch(LABEL_VALUE, value), (body["kind"], value)
    names = [(body["kind"], body["metadata"]["name"]) for body in bodies]
    assert len(set(names)) == len(names)
    (deployment,) = (body for body in bodies if body["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("release", ["a.b", "1st", "2026"])
def test_a_release_that_no_service_can_be_named_after_is_refused(
    tmp_path: Path, release: str
) -> None:
    result = helm("template", release, str(CHART), *VERSION, tmp=tmp_path)
    assert result.returncode != 0
    assert "a Service is named after it" in result.stderr


def test_releases_in_namespaces_that_look_alike_share_no_right(tmp_path: Path) -> None:
    first = template(tmp_path, release="b-quorate", namespace="a")
    second = template(tmp_path, release="quorate", namespace="a-b")
    (one,), (other,) = of_kind(first, "ClusterRole"), of_kind(second, "ClusterRole")
    assert one["metadata"]["name"] != other["metadata"]["name"]


def test_an_account_that_is_there_is_used_and_given_the_rights(tmp_path: Path) -> None:
    text = template(tmp_path, *values(*VARIANTS["account of others"]))
    assert not of_kind(text, "ServiceAccount")
    subjects = [
        row
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for body in of_kind(text, kind)
        for row in body["subjects"]
    ]
    wanted = {"kind": "ServiceAccount", "name": "theirs", "namespace": "system"}
    assert subjects == [wanted, wanted]
    assert [spec["serviceAccountName"] for spec in pod_specs(text)] == ["theirs", "theirs"]


def test_no_account_at_all_is_refused(tmp_path: Path) -> None:
    options = values("serviceAccount.create=false")
    result = helm("template", "q", str(CHART), *VERSION, *options, tmp=tmp_path)
    assert result.returncode != 0
    assert "give serviceAccount.name the account that is there" in result.stderr


def test_the_test_pod_goes_where_the_operator_can(tmp_path: Path) -> None:
    given = values(*VARIANTS["placed"], *VARIANTS["private registry"])
    operator, test = pod_specs(template(tmp_path, *given))
    for field in ("imagePullSecrets", "priorityClassName", "nodeSelector", "tolerations"):
        assert operator[field]
        assert test[field] == operator[field]
    assert test["affinity"] == operator["affinity"]
    assert [c["image"] for c in test["containers"]] == [c["image"] for c in operator["containers"]]


def test_a_digest_is_what_is_pulled(tmp_path: Path) -> None:
    text = template(tmp_path, *values(*VARIANTS["by digest"]))
    images = {c["image"] for spec in pod_specs(text) for c in spec["containers"]}
    assert images == {f"quorate@{DIGEST}"}


@pytest.mark.parametrize("replicas", [1, 2])
def test_no_drain_is_held_up_for_good(tmp_path: Path, replicas: int) -> None:
    (budget,) = of_kind(template(tmp_path, *values(f"replicas={replicas}")), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_monitors_and_alerts_are_there_where_their_kinds_are_served(tmp_path: Path) -> None:
    kinds = ("PodMonitor", "PrometheusRule")
    bare, served = template(tmp_path), template(tmp_path, *MONITORED)
    off = template(tmp_path, *MONITORED, *values(*VARIANTS["no monitoring"]))
    for kind in kinds:
        assert not of_kind(bare, kind)
        assert len(of_kind(served, kind)) == 1
        assert not of_kind(off, kind)
    assert len(of_kind(bare, "ConfigMap")) == 2
    assert not of_kind(off, "ConfigMap")


def test_whatever_looks_for_the_operator_finds_its_pods_and_their_port(tmp_path: Path) -> None:
    text = template(tmp_path, *MONITORED)
    (deployment,), (service,) = of_kind(text, "Deployment"), of_kind(text, "Service")
    (monitor,), (budget,) = of_kind(text, "PodMonitor"), of_kind(text, "PodDisruptionBudget")
    pod = deployment["spec"]["template"]
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    selectors = [
        service["spec"]["selector"],
        *(body["spec"]["selector"]["matchLabels"] for body in (deployment, monitor, budget)),
        spread["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    sought = [
        *(row["targetPort"] for row in service["spec"]["ports"]),
        *(row["port"] for row in monitor["spec"]["podMetricsEndpoints"]),
        *(container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("liveness", "readiness")),
    ]
    assert set(sought) == {port["name"] for port in container["ports"]}


def test_what_is_set_for_monitoring_arrives(tmp_path: Path) -> None:
    text = template(tmp_path, *MONITORED, *values(*VARIANTS["monitoring with all"]))
    (monitor,), (rules,) = of_kind(text, "PodMonitor"), of_kind(text, "PrometheusRule")
    for body in (monitor, rules):
        assert body["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["podMetricsEndpoints"][0]["interval"] == "15s"
    source = yaml.safe_load((CHART / "rules/alerts.yaml").read_text())
    for group in source["groups"]:
        for rule in group["rules"]:
            page = f"https://example.org/runbooks/{rule['alert']}.md"
            rule["annotations"]["runbook_url"] = page
            assert (ROOT / "docs/how-to/runbooks" / f"{rule['alert']}.md").exists()
            if rule["alert"] == "QuorateNoLeader":
                rule["for"] = "5m"
    assert rules["spec"] == source


def test_the_notes_can_be_printed(tmp_path: Path) -> None:
    """Helm prints them to a cluster only: so they are rendered as a ConfigMap of a copy."""
    copy = tmp_path / "chart"
    shutil.copytree(CHART, copy)
    notes = copy / "templates" / "NOTES.txt"
    body = f'{{{{- define "notes" -}}}}\n{notes.read_text()}\n{{{{- end -}}}}\n'
    notes.with_name("_notes.tpl").write_text(body)
    notes.with_name("notes.yaml").write_text(
        "apiVersion: v1\nkind: Notes\nmetadata: {name: notes}\n"
        'data: {{ include "notes" . | toJson }}\n'
    )
    (bare,) = of_kind(template(tmp_path, chart=copy), "Notes")
    assert "image: quorate:0.1.0\n" in bare["data"]
    assert "there is no PodMonitor" in bare["data"]
    assert "helm test quorate --namespace system\n" in bare["data"]
    options = values("crds.install=false", f"image.digest={DIGEST}")
    (other,) = of_kind(template(tmp_path, *MONITORED, *options, chart=copy), "Notes")
    assert f"image: quorate@{DIGEST}\n" in other["data"]
    assert "PodMonitor" not in other["data"]
    assert "crds.install is false" in other["data"]


@pytest.mark.parametrize("name", sorted(OTHERWISE))
def test_no_value_is_ignored(tmp_path: Path, name: str) -> None:
    """A template that writes a default out would pass every test of the default."""
    setting: Any = OTHERWISE[name]
    for part in reversed(name.split(".")):
        setting = {part: setting}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(setting))
    before = template(tmp_path, *MONITORED)
    after = template(tmp_path, *MONITORED, "--values", str(tmp_path / "values.yaml"))
    assert objects(after) != objects(before)


def test_every_value_is_changed_by_a_test() -> None:
    found = set(leaves(yaml.safe_load((CHART / "values.yaml").read_text()), ""))
    assert found == set(OTHERWISE) | NAMED_BY_OTHERS


def leaves(mapping: dict[str, Any], prefix: str) -> Iterator[str]:
    """Yield the path of each value that holds no others."""
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def pod_specs(text: str) -> list[dict[str, Any]]:
    """Return the operator's and the test's."""
    (deployment,), (test,) = of_kind(text, "Deployment"), of_kind(text, "Pod")
    return [deployment["spec"]["template"]["spec"], test["spec"]]
