"""Properties of all children together."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given

from quorate.cli.main import build_parser
from quorate_cluster_services.examples import CODE, FULL, SMALL, UID, intent
from quorate_cluster_services.strategies import specs
from quorate_operator import labels
from quorate_operator.bodies import read_spec
from quorate_operator.resources import Intent, auth_secret, children, new_cluster_id
from quorate_operator.resources.pod_template import grace_period_s

Json = dict[str, Any]


def bodies(wanted: Intent, *, monitored: bool = True) -> list[Json]:
    return [cast("Json", body) for body in children(wanted, pod_monitors_served=monitored)]


def one(wanted: Intent, kind: str) -> Json:
    (found,) = [body for body in bodies(wanted) if body["kind"] == kind]
    return found


def template(wanted: Intent) -> Json:
    return cast("Json", one(wanted, "StatefulSet")["spec"]["template"])


@pytest.mark.parametrize("body", [SMALL, FULL])
def test_every_child_goes_with_its_resource(body: Json) -> None:
    for child in bodies(intent(body)):
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == UID
        assert owner["controller"] is True
        assert child["metadata"]["labels"][labels.CLUSTER_LABEL] == "orders"
        assert child["metadata"]["namespace"] == "shop"


def test_volumes_outlive_everything() -> None:
    spec = one(intent(FULL), "StatefulSet")["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }
    (claim,) = spec["volumeClaimTemplates"]
    assert "ownerReferences" not in claim["metadata"]


@pytest.mark.parametrize("size", [SMALL, FULL])
def test_the_secret_goes_with_the_resource_whether_volumes_are_kept_or_not(size: Json) -> None:
    secret = cast("Json", auth_secret(intent(size), b"x" * 64))
    assert [row["uid"] for row in secret["metadata"]["ownerReferences"]] == [UID]


def test_secrets_and_ids_differ_and_come_from_the_random_bytes() -> None:
    drawn = [
        value
        for entropy in (b"a" * 64, b"b" * 64)
        for secret in (cast("Json", auth_secret(intent(), entropy)),)
        for value in (*secret["data"].values(), new_cluster_id(entropy))
    ]
    assert len(set(drawn)) == 6
    assert new_cluster_id(b"a" * 64) == new_cluster_id(b"a" * 64)
    with pytest.raises(AssertionError):
        new_cluster_id(b"")


def test_a_pod_monitor_is_made_where_it_is_known() -> None:
    kinds = [body["kind"] for body in bodies(intent(), monitored=False)]
    assert "PodMonitor" not in kinds
    assert len(bodies(intent())) == len(kinds) + 1


def test_what_a_pod_needs_is_made_before_it() -> None:
    kinds = [body["kind"] for body in bodies(intent(FULL))]
    before = kinds[: kinds.index("StatefulSet")]
    assert set(before) == {"ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget"}
    assert before.count("ConfigMap") == 2


@pytest.mark.parametrize("body", [SMALL, FULL])
def test_the_pod_names_the_config_maps_that_are_made(body: Json) -> None:
    wanted = intent(body)
    made = {child["metadata"]["name"] for child in bodies(wanted) if child["kind"] == "ConfigMap"}
    named = {
        volume["configMap"]["name"]
        for volume in template(wanted)["spec"]["volumes"]
        if "configMap" in volume
    }
    assert made == named


def test_config_maps_are_immutable_and_named_by_their_content() -> None:
    files = CODE | {"more.py": "X = 1\n"}
    variants = [
        intent(FULL, code=files),
        intent(FULL, code=CODE),
        intent(FULL | {"config": "other"}, code=files),
        intent(FULL, code=files, cluster_domain="k8s.example"),
    ]
    held: dict[str, object] = {}
    for wanted in variants:
        for child in bodies(wanted):
            if child["kind"] == "ConfigMap":
                assert child["immutable"] is True
                assert held.setdefault(child["metadata"]["name"], child["data"]) == child["data"]
    assert len(held) == 3 + 2
    assert [data for data in held.values() if data in (files, CODE)] == [files, CODE]


def test_the_stateful_set_says_whose_it_is() -> None:
    wanted = intent(FULL)
    body = one(wanted, "StatefulSet")
    assert (
        body["metadata"]["annotations"].items()
        >= {
            labels.CLUSTER_ID_ANNOTATION: wanted.cluster_id,
            labels.INSTALLATION_ANNOTATION: wanted.installation,
        }.items()
    )
    (claim,) = body["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["annotations"] == {labels.CLUSTER_ID_ANNOTATION: wanted.cluster_id}


def test_the_secret_is_what_the_api_server_decodes_and_can_be_made_again() -> None:
    secret = cast("Json", auth_secret(intent(), b"x" * 64))
    for value in secret["data"].values():
        assert len(bytes.fromhex(base64.b64decode(value, validate=True).decode())) == 32
    # A kubelet never looks at an immutable one again: running members would keep the old.
    assert "immutable" not in secret
    with pytest.raises(AssertionError):
        auth_secret(intent(), b"x" * 31)


def test_the_command_is_one_that_the_image_knows() -> None:
    (container,) = template(intent())["spec"]["containers"]
    program, *words = container["command"]
    assert program == "quorate"
    options = build_parser().parse_args(words)
    assert (options.config, options.log_format) == (Path("/etc/quorate/config/member.toml"), "json")
    assert words[0] == "run"


def test_only_services_inside_of_the_kubernetes_cluster_are_made() -> None:
    for body in bodies(intent()):
        if body["kind"] == "Service":
            assert body["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_the_selector_consists_of_the_cluster_alone() -> None:
    """Nothing that a release, a chart or an edit changes may be in what can't be changed."""
    spec = one(intent(FULL), "StatefulSet")["spec"]
    assert spec["selector"] == {"matchLabels": {labels.CLUSTER_LABEL: "orders"}}
    assert (
        template(intent(FULL))["metadata"]["labels"].items()
        >= {labels.CLUSTER_LABEL: "orders"}.items()
    )
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["metadata"]["labels"] == {labels.CLUSTER_LABEL: "orders"}


def test_the_pod_keeps_to_the_restricted_standard() -> None:
    pod = template(intent(FULL))["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {
        "configMap",
        "secret",
        "emptyDir",
    }


def test_the_leader_service_finds_a_leader_that_is_not_ready() -> None:
    services = {
        body["metadata"]["name"]: body["spec"]
        for body in bodies(intent())
        if body["kind"] == "Service"
    }
    assert services["orders-leader"]["selector"] == {
        labels.CLUSTER_LABEL: "orders",
        labels.ROLE_LABEL: labels.ROLE_LEADER,
    }
    assert services["orders-leader"]["publishNotReadyAddresses"] is True
    assert services["orders-members"]["publishNotReadyAddresses"] is True
    assert services["orders-members"]["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in services["orders"]


@pytest.mark.parametrize(
    ("handover", "expected"), [("1s", 30), ("15s", 30), ("16s", 31), ("10m", 615), ("15500ms", 31)]
)
def test_the_grace_period_leaves_time_behind_the_hand_over(handover: str, expected: int) -> None:
    body = SMALL | {"update": {"handoverTimeout": handover}}
    assert grace_period_s(intent(body).spec) == expected
    assert template(intent(body))["spec"]["terminationGracePeriodSeconds"] == expected


def test_spread_required_lets_no_node_have_two_members() -> None:
    (soft,) = template(intent(SMALL))["spec"]["topologySpreadConstraints"]
    (hard,) = template(intent(FULL))["spec"]["topologySpreadConstraints"]
    assert soft["whenUnsatisfiable"] == "ScheduleAnyway"
    assert "minDomains" not in soft, "refused by the API server beside ScheduleAnyway"
    assert (hard["whenUnsatisfiable"], hard["maxSkew"]) == ("DoNotSchedule", 1)
    assert hard["minDomains"] == 5, "as many domains as members: a missing node counts as empty"


@given(body=specs())
def test_every_spec_that_the_schema_lets_in_has_children(body: dict[str, object]) -> None:
    spec = read_spec(body)
    code = CODE if spec.service.code_config_map is not None else None
    wanted = Intent("orders", "shop", UID, spec, "ab" * 16, code, "here")
    for child in bodies(wanted):
        assert len(json.dumps(child)) < 1_000_000, "more than a ConfigMap holds"


def test_names_are_short_enough_for_the_longest_name() -> None:
    for child in bodies(intent(FULL, name="o" * 40)):
        is_label = child["kind"] in ("Service", "StatefulSet")
        assert len(child["metadata"]["name"]) <= (60 if is_label else 253)
