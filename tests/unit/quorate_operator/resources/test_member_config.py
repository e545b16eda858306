"""The members' file, read as a member reads it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from quorate.cli.configuration import resolve
from quorate.config import Durability, from_mapping
from quorate.errors import ConfigurationError
from quorate_cluster_services.examples import CLUSTER_ID, FULL, SMALL, intent
from quorate_cluster_services.strategies import specs
from quorate_operator.bodies import read_spec
from quorate_operator.resources.member_config import host, member_toml
from quorate_operator.resources.pod_template import pod_template
from quorate_operator.schema.fields import Text
from quorate_operator.schema.spec import SPEC


def environment(seat: int, body: dict[str, Any]) -> dict[str, str]:
    """Return what the kubelet gives the process in this seat."""
    pod: Any = pod_template(intent(body), "config", "code")["spec"]
    found = {}
    for row in pod["containers"][0]["env"]:
        found[row["name"]] = row.get("value", str(seat))
    return found


@pytest.mark.parametrize("body", [SMALL, FULL])
def test_each_member_finds_its_seat(tmp_path: Path, body: dict[str, Any]) -> None:
    file = tmp_path / "member.toml"
    wanted = intent(body)
    file.write_text(member_toml(wanted))
    for seat in range(wanted.spec.replicas):
        config = resolve(file, environment(seat, body), [])
        assert config.own_seat.host == f"orders-{seat}.orders-members.shop.svc.cluster.local."
        assert config.member.cluster_id.hex() == CLUSTER_ID
        assert len(config.member.seats) == wanted.spec.replicas
        assert len(config.member.input_hash) == 16
        assert config.member_listen == (None, 9020), "listens on every interface"


def test_the_spec_reaches_the_member(tmp_path: Path) -> None:
    file = tmp_path / "member.toml"
    file.write_text(member_toml(intent(FULL)))
    config = resolve(file, environment(0, FULL), [])
    assert config.member.service == "orders:Orders"
    assert config.member.service_config == FULL["config"]
    assert config.member.handover_timeout_ms == 60_000
    assert config.consensus.election_timeout_min_ms == 2_000
    assert config.consensus.election_timeout_max_ms == 3_200
    assert config.consensus.heartbeat_ms == 100
    assert config.consensus.durability is Durability.REPLICATED
    assert config.transport.secret_file == "/etc/quorate/auth/member-secret"
    assert config.control.token_file == "/etc/quorate/auth/token"
    assert config.member.data_dir.startswith("/var/lib/quorate/"), "below lost+found"


def test_only_what_the_spec_decides_is_written() -> None:
    """An image of an earlier release refuses fields that it does not know."""
    tables = tomllib.loads(member_toml(intent(FULL)))
    assert set(tables) == {"member", "consensus", "transport", "control"}
    assert set(tables["member"]) == {
        "cluster_id",
        "data_dir",
        "service",
        "service_config",
        "handover_timeout_ms",
        "seats",
    }


@given(body=specs())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_member_takes_every_spec_that_the_schema_lets_in(body: dict[str, object]) -> None:
    spec = read_spec(body)
    tables: dict[str, Any] = tomllib.loads(member_toml(intent(SMALL, spec=spec)))
    tables["member"]["seat"] = 0
    config = from_mapping(tables)
    assert config.member.service_config == spec.config
    assert config.consensus.heartbeat_ms == spec.consensus.heartbeat_ms


def test_a_spec_that_another_schema_let_in_is_refused() -> None:
    body = SMALL | {"consensus": {"electionTimeout": "100ms", "heartbeat": "50ms"}}
    with pytest.raises(ConfigurationError, match="less than five times"):
        member_toml(intent(body))


def test_hosts_are_absolute_names_in_the_domain_of_the_kubernetes_cluster() -> None:
    wanted = intent(SMALL, cluster_domain="k8s.example")
    assert host(wanted, 2) == "orders-2.orders-members.shop.svc.k8s.example."


@pytest.mark.parametrize("character", ["x", "\x01", '"', "\\", "\U0001f9ed"])
def test_the_longest_text_of_a_user_has_room_in_a_config_map(character: str) -> None:
    field = SPEC.fields["config"]
    assert isinstance(field, Text)
    text = member_toml(intent(SMALL | {"config": character * field.length_max}))
    assert len(text.encode()) < 1_000_000
    assert tomllib.loads(text)["member"]["service_config"] == character * field.length_max
