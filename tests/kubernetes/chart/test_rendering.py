"""The chart as helm renders it: what is frozen, what is refused, and for whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from quorate_kubernetes.chart import CHART, helm, objects, of_kind, template
from quorate_kubernetes.layout import ROOT

GOLDEN = Path(__file__).with_name("golden.yaml")


def test_the_linter_is_content(tmp_path: Path) -> None:
    result = helm("lint", str(CHART), "--strict", "--kube-version", "1.34.0", tmp=tmp_path)
    assert result.returncode == 0, result.stdout


def test_the_rendering_is_the_frozen_one(tmp_path: Path) -> None:
    """Definitions aside, which have a test of their own. To accept a change: see the message."""
    rendered = [body for body in objects(template(tmp_path)) if not is_large(body)]
    text = yaml.safe_dump_all(rendered, sort_keys=True)
    wanted = GOLDEN.read_text() if GOLDEN.exists() else ""
    if text != wanted and os.environ.get("QUORATE_ACCEPT"):
        GOLDEN.write_text(text)
    assert text == wanted, (
        "the chart renders otherwise; look at the change with QUORATE_ACCEPT=1 and git diff"
    )


def is_large(body: dict[str, Any]) -> bool:
    return body["kind"] in {"CustomResourceDefinition", "ConfigMap", "PrometheusRule"}


@pytest.mark.parametrize(
    "option",
    [
        "replica=1",
        "replicas=-1",
        "replicas=two",
        "image.repository=",
        "image.name=x",
        "image.tag=a b",
        "image.pullPolicy=Sometimes",
        "logLevel=loud",
        "resyncSeconds=1",
        "reconcilesAtOnce=0",
        "clusterDomain=cluster.local.",
        "crds.install=maybe",
        "crds.keep=true",
        "resources.limits.memory=lots",
        "resources.claims=x",
        "image.repository=quorate:v1",
        "image.repository=quorate@sha256:00",
        "image.digest=sha256:00",
        "serviceAccount.name=X",
        "serviceAccount.secrets=x",
        "podLabels.a=1",
        "nodeSelector.a=true",
        "tolerations[0].value=true",
        "tolerations[0].efect=NoExecute",
        "affinity.podAntiaffinity.x=y",
        "monitoring.rules.for.QuorateNoLeadr=5m",
        "monitoring.rules.for.QuorateNoLeader=soon",
        "monitoring=null",
        "serviceAccount=null",
        "resyncSeconds=null",
        "imagePullSecrets[0].key=x",
    ],
)
def test_values_that_mean_nothing_are_refused(tmp_path: Path, option: str) -> None:
    words = ("template", "q", str(CHART), "--kube-version", "1.34.0", "--set", option)
    result = helm(*words, tmp=tmp_path)
    assert result.returncode != 0
    assert "values don't meet the specifications of the schema" in result.stderr


def test_an_older_kubernetes_is_refused(tmp_path: Path) -> None:
    result = helm("template", "q", str(CHART), "--kube-version", "1.29.0", tmp=tmp_path)
    assert result.returncode != 0
    assert "kubeVersion" in result.stderr


def test_the_definition_is_kept_and_can_be_left_out(tmp_path: Path) -> None:
    (definition,) = of_kind(template(tmp_path), "CustomResourceDefinition")
    annotations = definition["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
    source = yaml.safe_load((ROOT / "crds/quorate.io_clusterservices.yaml").read_text())
    assert definition["spec"] == source["spec"], "rendering changes no number"
    without = template(tmp_path, "--set", "crds.install=false")
    assert not of_kind(without, "CustomResourceDefinition")


def test_pods_run_under_the_restricted_standard(tmp_path: Path) -> None:
    text = template(tmp_path)
    specs = [body["spec"]["template"]["spec"] for body in of_kind(text, "Deployment")]
    specs += [body["spec"] for body in of_kind(text, "Pod")]
    assert len(specs) == 2
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "cpu" not in container["resources"]["limits"]


def test_selectors_select_the_pods_and_hold_no_version(tmp_path: Path) -> None:
    text = template(tmp_path)
    (deployment,) = of_kind(text, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [body["spec"]["selector"] for body in of_kind(text, "Service")]
    selectors += [
        body["spec"]["selector"]["matchLabels"] for body in of_kind(text, "PodDisruptionBudget")
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not [key for key in selector if "version" in key or "chart" in key]
    (test,) = of_kind(text, "Pod")
    assert not selectors[0].items() <= test["metadata"]["labels"].items()


def test_two_releases_share_no_name(tmp_path: Path) -> None:
    first = {(b["kind"], b["metadata"]["name"]) for b in objects(template(tmp_path))}
    second = template(tmp_path, "--namespace", "other", "--set", "crds.install=false")
    cluster_wide = {"ClusterRole", "ClusterRoleBinding"}
    shared = {(b["kind"], b["metadata"]["name"]) for b in objects(second)} & first
    assert not [pair for pair in shared if pair[0] in cluster_wide]


def test_every_value_that_a_pod_can_have_reaches_it(tmp_path: Path) -> None:
    options = (
        "nodeSelector.disk=fast",
        "tolerations[0].key=k",
        "affinity.nodeAffinity.x=y",
        "priorityClassName=high",
        "podAnnotations.a=b",
        r"podAnnotations.prometheus\.io/path=/other",
        "podLabels.c=d",
        "imagePullSecrets[0].name=s",
        "image.repository=r.example.org/quorate",
        "image.tag=v9",
        "image.pullPolicy=Always",
        "installation=mine",
        "replicas=3",
        "serviceAccount.annotations.e=f",
    )
    text = template(tmp_path, *(word for option in options for word in ("--set", option)))
    (deployment,) = of_kind(text, "Deployment")
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["replicas"] == 3
    assert pod["metadata"]["annotations"] == {
        "a": "b",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/other",
    }
    assert pod["metadata"]["labels"]["c"] == "d"
    spec = pod["spec"]
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"disk": "fast"}, [{"key": "k"}])
    assert spec["affinity"] == {"nodeAffinity": {"x": "y"}}
    assert (spec["priorityClassName"], spec["imagePullSecrets"]) == ("high", [{"name": "s"}])
    (container,) = spec["containers"]
    assert container["image"] == "r.example.org/quorate:v9"
    assert container["imagePullPolicy"] == "Always"
    (account,) = of_kind(text, "ServiceAccount")
    assert account["metadata"]["annotations"] == {"e": "f"}
