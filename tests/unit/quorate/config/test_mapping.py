"""The configuration as tables, as TOML and as a hash."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config import (
    Durability,
    MemberConfig,
    NodeConfig,
    OnError,
    SeatAddress,
    configuration_hash,
    from_mapping,
    to_mapping,
    to_toml,
)
from quorate.consensus.types import ClusterId, Seat
from quorate.errors import ConfigurationError

SEATS = tuple(SeatAddress(Seat(n), "127.0.0.1", 1 + n, 11 + n, 21 + n) for n in range(3))
VALID = NodeConfig(member=MemberConfig(ClusterId(b"c" * 16), Seat(0), SEATS, "/d", "m:C"))
FIELDS = [
    (group.name, item.name)
    for group in fields(NodeConfig)
    for item in fields(getattr(VALID, group.name))
]


def another(value: object) -> object:
    """A different, valid value for the field that holds ``value``."""
    match value:
        case Durability():
            return Durability.REPLICATED
        case OnError():
            return OnError.HALT
        case bytes():
            return b"d" * 16
        case tuple():
            return (SEATS[0], SEATS[2])
        case str():
            return "other:Thing"
        case int():
            return value + 64 if value >= 64 else value + 1
    raise AssertionError(value)


def problems_of(mapping: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        from_mapping(mapping)
    return raised.value.problems


def test_a_short_file_fills_up_with_defaults() -> None:
    config = from_mapping(
        tomllib.loads(
            """
            [member]
            cluster_id = "63636363636363636363636363636363"
            seat = 0
            data_dir = "/d"
            service = "m:C"
            seats = [{ seat = 0, host = "orders-0.orders." }]
            [consensus]
            durability = "replicated"
            """
        )
    )
    assert config.consensus.durability is Durability.REPLICATED
    assert config.own_seat == SeatAddress(Seat(0), "orders-0.orders.", 9010, 9020, 9030)


@pytest.mark.parametrize(("group", "name"), FIELDS)
def test_each_field_travels_through_toml(group: str, name: str) -> None:
    table = getattr(VALID, group)
    changed = replace(table, **{name: another(getattr(table, name))})
    config = replace(VALID, **{group: changed})
    if name in ("bind_host", "frame_alignment", "frame_bytes_max", "digest_interval_bytes"):
        # Valid values are few here; that the text carries them is what counts.
        assert tomllib.loads(to_toml(config)) == to_mapping(config)
        return
    read = from_mapping(tomllib.loads(to_toml(config)))
    assert read == config
    assert type(getattr(getattr(read, group), name)) is type(getattr(changed, name))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_survives_toml(text: str) -> None:
    config = replace(VALID, member=replace(VALID.member, service_config=text))
    assert from_mapping(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb"])
def test_text_that_no_file_can_carry_is_refused(text: str) -> None:
    mapping = to_mapping(VALID)
    mapping["member"]["service_config"] = text
    assert problems_of(mapping)[0].startswith("member.service_config ")


def test_unknown_names_are_problems_with_the_nearest_known_one() -> None:
    found = problems_of(
        to_mapping(VALID)
        | {"concensus": {}}
        | {"consensus": {"heart_beat_ms": 5}}
        | {"member": to_mapping(VALID)["member"] | {"seats": [{"seat": 0, "hots": "a"}]}}
    )
    assert "concensus is unknown; did you mean consensus?" in found
    assert "consensus.heart_beat_ms is unknown; did you mean heartbeat_ms?" in found
    assert "member.seats[0].hots is unknown; did you mean host?" in found
    assert "member.seats[0].host is required" in found


def test_every_mistake_of_a_file_is_told_at_once_and_only_once() -> None:
    found = problems_of(
        {
            "member": {"cluster_id": "xyz", "seat": True, "seats": "all", "data_dir": 5},
            "consensus": {"durability": "maybe", "heartbeat_ms": 1.5},
            "settings": {"on_error": 1},
            "gateway": [],
            "archive": {"spares": 0},
        }
    )
    assert sorted(problem.split()[0] for problem in found) == [
        "archive.spares",
        "consensus.durability",
        "consensus.heartbeat_ms",
        "gateway",
        "member.cluster_id",
        "member.data_dir",
        "member.seat",
        "member.seats",
        "member.service",
        "settings.on_error",
    ]


@pytest.mark.parametrize("seats", [["x"], [5], [{}], [{"seat": 0}], [{"seat": "0", "host": "a"}]])
def test_rows_that_are_not_seats_are_refused_without_a_second_complaint(seats: object) -> None:
    found = problems_of({"member": {**to_mapping(VALID)["member"], "seats": seats}})
    assert all(problem.startswith("member.seats[0]") for problem in found)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([g for g, _ in FIELDS]), json_like))
def test_nonsense_in_a_group_is_a_configuration_error_and_nothing_else(
    mapping: dict[str, object],
) -> None:
    with pytest.raises(ConfigurationError):
        from_mapping(mapping)


@given(st.sampled_from(FIELDS), json_like)
def test_nonsense_in_a_field_is_a_configuration_error_or_a_value(
    where: tuple[str, str], value: object
) -> None:
    group, name = where
    mapping = to_mapping(VALID)
    mapping[group][name] = value
    try:
        config = from_mapping(mapping)
    except ConfigurationError:
        return
    assert from_mapping(to_mapping(config)) == config


def test_the_hash_is_frozen() -> None:
    assert configuration_hash(VALID).hex() == "29cee954ab09ac368252b64af67e8162"


@pytest.mark.parametrize(("group", "name"), FIELDS)
def test_the_hash_covers_what_the_founding_decides_and_nothing_else(group: str, name: str) -> None:
    table = getattr(VALID, group)
    changed = replace(VALID, **{group: replace(table, **{name: another(getattr(table, name))})})
    covered = group in ("settings", "constants") or name in ("cluster_id", "seats")
    assert (configuration_hash(changed) != configuration_hash(VALID)) == covered


def test_the_order_of_the_list_of_seats_does_not_change_the_hash() -> None:
    turned = replace(VALID, member=replace(VALID.member, seats=SEATS[::-1]))
    assert configuration_hash(turned) == configuration_hash(VALID)


def test_the_case_of_a_host_does_not_change_the_hash() -> None:
    hashes = set()
    for host in ("Node-A.example", "node-a.example", "NODE-A.EXAMPLE"):
        seats = tuple(replace(row, host=host) for row in SEATS)
        named = replace(VALID, member=replace(VALID.member, seats=seats))
        hashes.add(configuration_hash(named))
    assert len(hashes) == 1
