"""File, environment and arguments, each overriding the one before."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.cli.configuration import masked, resolve
from quorate.config import Durability, MemberConfig, NodeConfig, SeatAddress, to_toml
from quorate.consensus.types import ClusterId, Seat
from quorate.errors import ConfigurationError

SEATS = tuple(SeatAddress(Seat(n), "127.0.0.1", 1 + n, 11 + n, 21 + n) for n in range(3))
VALID = NodeConfig(member=MemberConfig(ClusterId(b"c" * 16), Seat(0), SEATS, "/d", "m:C"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "member.toml"
    path.write_text(to_toml(VALID), encoding="utf-8")
    return path


def problems_of(file: Path | None, environment: dict[str, str], arguments: list[str]) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        resolve(file, environment, arguments)
    return raised.value.problems


def test_a_file_alone_is_enough(file: Path) -> None:
    assert resolve(file, {}, []) == VALID


def test_the_environment_overrides_the_file_and_arguments_override_both(file: Path) -> None:
    environment = {"QUORATE_MEMBER__SEAT": "1", "QUORATE_CONSENSUS__DURABILITY": "replicated"}
    config = resolve(file, environment, [])
    assert (config.member.seat, config.consensus.durability) == (1, Durability.REPLICATED)
    config = resolve(file, environment, ["member.seat=2"])
    assert (config.member.seat, config.consensus.durability) == (2, Durability.REPLICATED)


def test_the_environment_alone_is_enough() -> None:
    config = resolve(
        None,
        {
            "QUORATE_MEMBER__CLUSTER_ID": "63" * 16,
            "QUORATE_MEMBER__SEAT": "0",
            "QUORATE_MEMBER__SEATS": '[{ seat = 0, host = "orders-0.orders." }]',
            "QUORATE_MEMBER__DATA_DIR": "/d",
            "QUORATE_MEMBER__SERVICE": "m:C",
            "QUORATE_MEMBER__SERVICE_CONFIG": "a=b=c",
        },
        [],
    )
    assert config.own_seat.host == "orders-0.orders."
    assert config.member.service_config == "a=b=c"


@pytest.mark.parametrize("text", ["a=b=c", "=", "a.b=c.d", ""])
def test_an_argument_may_hold_what_divides_arguments(file: Path, text: str) -> None:
    config = resolve(file, {}, [f"member.service_config={text}"])
    assert config.member.service_config == text


def test_variables_of_others_are_not_ours(file: Path) -> None:
    others = {"QUORATE_WALK_SECONDS": "90", "PATH": "/bin", "X_QUORATE_MEMBER__SEAT": "1"}
    assert resolve(file, others, []) == VALID


def test_all_problems_of_all_sources_are_told_at_once(file: Path) -> None:
    found = problems_of(
        file,
        {"QUORATE_MEMBR__SEAT": "1", "QUORATE_MEMBER__SEAT": "one", "QUORATE_MEMBER__SEATS": "["},
        ["member", "archive.spares=0", "archive.spare=1", "=", "archiv.=1"],
    )
    assert sorted(found) == [
        "--set = is not group.field=value",
        "--set member is not group.field=value",
        "archiv is unknown; did you mean archive?",
        "archive.spare is unknown; did you mean spares?",
        "archive.spares is 0, not 1 to 64",
        "member.seat is 'one', not a whole number",
        "member.seats is '[', not a list of tables with seat and host",
        "membr is unknown; did you mean member?",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"[member", "is not TOML"), (b"\xff", "is not TOML"), (b"a = 1", "a is unknown")],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "f").write_bytes(content)
    assert expected in problems_of(tmp_path / "f", {}, [])[0]
    assert "No such file" in problems_of(tmp_path / "missing", {}, [])[0]
    assert "Is a directory" in problems_of(tmp_path, {}, [])[0]


def test_a_group_that_is_no_table_is_a_problem_even_when_overridden(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("archive = 5")
    assert "archive is 5, not a table" in problems_of(tmp_path / "f", {}, ["archive.spares=3"])


def test_what_a_service_is_told_is_not_logged(file: Path) -> None:
    config = resolve(file, {"QUORATE_MEMBER__SERVICE_CONFIG": "password"}, [])
    assert masked(config)["member"]["service_config"] == "<8 characters>"
    assert "password" not in str(masked(config))
