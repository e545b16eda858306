"""What can be said of the chart without rendering it; see tests/kubernetes for the rest."""

from __future__ import annotations

import ast
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from quorate_operator.config import VARIABLES, OperatorConfig
from quorate_operator.handlers import CHILDREN
from quorate_operator.kube import kinds

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "quorate"
DEFINITIONS = sorted((ROOT / "crds").glob("*.yaml")) if (ROOT / "crds").is_dir() else []


def rules() -> set[tuple[str, str, str]]:
    """Return group, resource and verb of everything that is allowed in all namespaces."""
    table: list[dict[str, Any]] = yaml.safe_load((CHART / "files/cluster-rules.yaml").read_text())
    return {
        (group, resource, verb)
        for rule in table
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_table_allows_no_verb_on_everything() -> None:
    assert not [rule for rule in rules() if "*" in rule]
    forbidden = {"escalate", "bind", "impersonate", "deletecollection", "update"}
    assert not [rule for rule in rules() if rule[2] in forbidden]
    assert not [rule for rule in rules() if rule[1] == "secrets" and rule[2] in {"list", "watch"}]


def test_what_kopf_watches_is_allowed_to_be_watched_and_nothing_else() -> None:
    watched = {(group, resource) for group, resource, verb in rules() if verb == "watch"}
    wanted = {("", "nodes"), ("quorate.io", "clusterservices")}
    for child in CHILDREN:
        plural, _, group = child.split(".", 2) if child.count(".") > 1 else (*child.split("."), "")
        wanted.add((group, plural))
    assert watched == wanted
    assert all((group, resource, "list") in rules() for group, resource in watched)


@pytest.mark.parametrize("kind", sorted(kinds.BY_NAME))
def test_what_a_plan_may_apply_can_be_created_and_patched(kind: str) -> None:
    known = kinds.BY_NAME[kind]
    verbs = {
        verb for group, plural, verb in rules() if (group, plural) == (known.group, known.plural)
    }
    assert "create" in verbs
    assert known is kinds.SECRET or "patch" in verbs


def test_no_test_of_helm_is_removed_before_its_log_is_read() -> None:
    """``helm test --logs`` asks for the log when hooks that are done have been deleted."""
    found = {
        path.name: re.findall(r"hook-delete-policy: (.*)", path.read_text())
        for path in (CHART / "templates").rglob("*.yaml")
        if re.search(r"helm.sh/hook: .*test", path.read_text())
    }
    assert found == {"ready.yaml": ["before-hook-creation"]}


def test_every_value_is_explained_and_checked() -> None:
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(values) <= set(schema["properties"])
    assert set(schema["properties"]) - {"global"} <= set(values)
    assert schema["additionalProperties"] is False
    lines = text.splitlines()
    unexplained = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"^[a-zA-Z]+:", line) and not before.startswith("#")
    ]
    assert not unexplained


def test_the_waits_of_all_alerts_and_of_nothing_else_can_be_set() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    rules = schema["properties"]["monitoring"]["properties"]["rules"]["properties"]
    groups = yaml.safe_load((CHART / "rules/alerts.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    assert rules["for"]["propertyNames"]["enum"] == alerts


def schema_of(*path: str) -> Any:  # noqa: ANN401 - JSON
    found = json.loads((CHART / "values.schema.json").read_text())
    for name in path:
        found = found["properties"][name]
    return found


@pytest.mark.parametrize(
    ("value", "setting"), [("resyncSeconds", "resync_s"), ("reconcilesAtOnce", "at_once_max")]
)
def test_a_number_that_the_chart_takes_is_one_that_the_operator_takes(
    value: str, setting: str
) -> None:
    """Else its processes end at their start, behind a release that was installed."""
    bounds = schema_of(value)
    assert bounds["type"] == "integer"
    inside, outside = (
        [bounds["minimum"], bounds["maximum"]],
        [bounds["minimum"] - 1, bounds["maximum"] + 1],
    )
    for number in inside:
        assert OperatorConfig("shop", **{setting: number}).problems() == []
    for number in outside:
        assert OperatorConfig("shop", **{setting: number}).problems(), "the chart could take it"


def test_a_word_that_the_chart_takes_is_one_that_the_operator_takes() -> None:
    for level in schema_of("logLevel")["enum"]:
        assert OperatorConfig("shop", log_level=level).problems() == []
    longest = "x" * schema_of("installation")["maxLength"]
    assert OperatorConfig("shop", installation=longest).problems() == []
    pattern = schema_of("clusterDomain")["pattern"]
    for domain in ("cluster.local", "k8s-1.example", "a" * 253, "a" * 254, "a.", "-a", "A", ""):
        taken = re.search(pattern, domain) is not None
        assert taken == (not OperatorConfig("shop", cluster_domain=domain).problems()), domain


def test_what_the_chart_does_not_change_is_the_operators_own_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    plain = OperatorConfig("shop")
    found = (values["resyncSeconds"], values["reconcilesAtOnce"], values["logLevel"])
    assert found == (plain.resync_s, plain.at_once_max, plain.log_level)
    assert (values["clusterDomain"], values["installation"]) == (plain.cluster_domain, "")


@pytest.mark.parametrize("path", [("rules", "for"), ("podMonitor", "interval")])
def test_a_wait_is_one_that_prometheus_reads(path: tuple[str, str]) -> None:
    """It refuses all alerts for one that it cannot read: units fall, and each is there once."""
    schema = schema_of("monitoring", *path)
    schema = schema.get("additionalProperties", schema)
    pattern, least = schema["pattern"], schema.get("minLength", 0)
    for text in ("0s", "15s", "5m", "1h30m", "500ms", "1m30s500ms"):
        assert re.search(pattern, text), text
    for text in ("5", "m", "1m1h", "5m5m", "1s1m", "5 m", "-5m", "1.5m", "soon"):
        assert not re.search(pattern, text), text
    assert least == (1 if path[0] == "rules" else 0), "empty is no wait"


def test_every_setting_of_the_operator_that_a_pod_needs_is_set_by_the_chart() -> None:
    template = (CHART / "templates/deployment.yaml").read_text()
    by_default = {"KUBECONFIG", "QUORATE_HOST", "QUORATE_PORT"}
    for variable in set(VARIABLES.values()) - by_default:
        assert f"name: {variable}\n" in template, variable


def test_selectors_hold_no_version() -> None:
    """They are immutable: a version there would make the next upgrade fail."""
    names = (CHART / "templates/_names.tpl").read_text()
    selector = names.split('define "quorate.selector"')[1].split("end -")[0]
    assert "ersion" not in selector
    assert "chart" not in selector.lower()


def test_the_definitions_in_the_chart_are_those_of_the_repository() -> None:
    copies = {
        path.name.split("_")[-1]: path.read_text() for path in (CHART / "files/crds").glob("*")
    }
    sources = {path.name.split("_")[-1]: path.read_text() for path in DEFINITIONS}
    assert copies == sources


def test_the_script_of_helm_test_is_python_that_prints_what_it_found() -> None:
    tree = ast.parse((CHART / "files/check.py").read_text())
    assert ast.get_docstring(tree)
