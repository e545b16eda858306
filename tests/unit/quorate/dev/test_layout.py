"""What a directory keeps from one start to the next."""

from __future__ import annotations

import json
import socket
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.archive.segment import segment_name
from quorate.config import ClusterConstants, ConsensusSettings, Durability, from_mapping
from quorate.consensus.types import Seat
from quorate.dev.layout import DEFAULT_SERVICE, DevDirectory, DevOptions
from quorate.errors import ConfigurationError, DirectoryInUse


def opened(options: DevOptions) -> DevDirectory:
    """Open and close again, as a supervisor that ended would have."""
    directory = DevDirectory.open(options)
    directory.close()
    return directory


def problem_of(options: DevOptions) -> str:
    with pytest.raises(ConfigurationError) as raised:
        DevDirectory.open(options)
    (problem,) = raised.value.problems
    return problem


def test_a_new_directory_has_a_valid_file_for_each_member(tmp_path: Path) -> None:
    made = opened(DevOptions(tmp_path / "new" / "dev"))
    configs = [
        from_mapping(tomllib.loads(made.config_path(seat).read_text()))
        for seat in (Seat(0), Seat(1), Seat(2))
    ]
    assert [config.member.seat for config in configs] == [0, 1, 2]
    assert len({config.member.data_dir for config in configs}) == 3
    assert {config.member.seats for config in configs} == {made.seats}
    assert {config.member.cluster_id for config in configs} == {made.cluster_id}
    assert made.service == DEFAULT_SERVICE
    assert made.durability is Durability.FSYNC
    assert (made.path / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(("base", "members"), [(0, 3), (-5, 1), (65_514, 3), (70_000, 3)])
def test_ports_beyond_the_last_one_are_refused_in_one_line(
    tmp_path: Path, base: int, members: int
) -> None:
    problem = problem_of(DevOptions(tmp_path, members=members, base_port=base))
    assert problem.startswith(f"--base-port is {base}: ")
    assert f"to {base + 20 + members - 1}," in problem


@pytest.mark.parametrize(("base", "members"), [(1, 3), (65_513, 3), (65_515, 1)])
def test_the_first_and_last_ports_that_there_are_can_be_chosen(
    tmp_path: Path, base: int, members: int
) -> None:
    seats = opened(DevOptions(tmp_path, members=members, base_port=base)).seats
    assert (seats[0].client_port, seats[-1].control_port) == (base, base + 20 + members - 1)


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    made = opened(DevOptions(tmp_path / "dev"))
    for name in ("secret", "token", "cluster.json"):
        assert stat.S_IMODE((made.path / name).stat().st_mode) == 0o600
    assert made.token == (made.path / "token").read_text()
    assert made.token != (made.path / "secret").read_text()


def test_everything_chosen_once_is_kept(tmp_path: Path) -> None:
    options = DevOptions(
        tmp_path, members=1, durability=Durability.REPLICATED, service="a:B", service_config="x"
    )
    first, second = opened(options), opened(DevOptions(tmp_path))
    assert second.cluster_id == first.cluster_id
    assert second.seats == first.seats
    assert second.token == first.token
    assert (second.service, second.durability) == ("a:B", Durability.REPLICATED)


def test_each_founding_gets_a_cluster_id_of_its_own(tmp_path: Path) -> None:
    one, other = opened(DevOptions(tmp_path / "a")), opened(DevOptions(tmp_path / "b"))
    assert one.cluster_id != other.cluster_id


def test_what_may_differ_from_start_to_start_is_taken_over(tmp_path: Path) -> None:
    opened(DevOptions(tmp_path))
    consensus = ConsensusSettings(election_timeout_min_ms=300)
    again = opened(
        DevOptions(
            tmp_path,
            durability=Durability.REPLICATED,
            service_config="new",
            consensus=consensus,
        )
    )
    config = from_mapping(tomllib.loads(again.config_path(Seat(2)).read_text()))
    assert config.consensus == replace(consensus, durability=Durability.REPLICATED)
    assert config.member.service_config == "new"


def test_small_segments_for_tests_reach_the_members(tmp_path: Path) -> None:
    constants = ClusterConstants(segment_length=8 << 20)
    made = opened(DevOptions(tmp_path, constants=constants))
    config = from_mapping(tomllib.loads(made.config_path(Seat(0)).read_text()))
    assert config.constants == constants


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        (DevOptions(Path(), service="c:D"), "--service"),
        (DevOptions(Path(), members=5), "--members"),
        (DevOptions(Path(), base_port=9010), "--base-port"),
    ],
)
def test_what_the_log_belongs_to_cannot_be_changed(
    tmp_path: Path, changed: DevOptions, option: str
) -> None:
    made = opened(DevOptions(tmp_path, service="a:B"))
    made.data_path(Seat(1)).mkdir()
    (made.data_path(Seat(1)) / segment_name(0)).touch()
    kept = (tmp_path / "cluster.json").read_bytes()
    assert option in problem_of(replace(changed, directory=tmp_path))
    assert (tmp_path / "cluster.json").read_bytes() == kept
    opened(DevOptions(tmp_path, service="a:B", members=3))


@pytest.mark.parametrize(
    "changed",
    [
        DevOptions(Path(), service="c:D"),
        DevOptions(Path(), members=5),
        DevOptions(Path(), members=1, base_port=9010, service="c:D"),
    ],
)
def test_before_there_is_a_log_everything_can_be_chosen_otherwise(
    tmp_path: Path, changed: DevOptions
) -> None:
    """Such as after a misspelt service; the members may have formatted their directories."""
    first = opened(DevOptions(tmp_path, service="a:B", service_config="x"))
    first.data_path(Seat(0)).mkdir()
    (first.data_path(Seat(0)) / "node-state").touch()
    wanted = (changed.service or "a:B", changed.members or 3)
    for options in (replace(changed, directory=tmp_path), DevOptions(tmp_path)):
        again = opened(options)
        assert (again.service, len(again.seats)) == wanted
        assert again.cluster_id == first.cluster_id
        config = from_mapping(tomllib.loads(again.config_path(Seat(0)).read_text()))
        assert (config.member.seats, config.member.service) == (again.seats, again.service)
        assert config.member.service_config == "x"
    assert changed.base_port in (None, again.seats[0].client_port)


@pytest.mark.parametrize("members", [0, 10])
def test_what_is_refused_changes_nothing_before_there_is_a_log(
    tmp_path: Path, members: int
) -> None:
    opened(DevOptions(tmp_path))
    kept = (tmp_path / "cluster.json").read_bytes()
    assert "not 1 to 9" in problem_of(DevOptions(tmp_path, members=members))
    assert (tmp_path / "cluster.json").read_bytes() == kept


def test_a_second_supervisor_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    first = DevDirectory.open(DevOptions(tmp_path))
    with pytest.raises(DirectoryInUse, match=f"another quorate dev runs on {tmp_path}"):
        DevDirectory.open(DevOptions(tmp_path))
    first.close()
    opened(DevOptions(tmp_path))


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "not empty (thesis.tex)" in problem_of(DevOptions(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "thesis.tex"]


def test_an_interrupted_making_is_taken_up_again(tmp_path: Path) -> None:
    opened(DevOptions(tmp_path / "dev"))
    for path in (tmp_path / "dev").glob("member-*/*"):
        path.unlink()
    for path in (tmp_path / "dev").glob("member-*"):
        path.rmdir()
    (tmp_path / "dev" / "cluster.json").rename(tmp_path / "dev" / "cluster.json.new")
    opened(DevOptions(tmp_path / "dev"))


@pytest.mark.parametrize("content", ["", "{", '{"member": {}}', "[]"])
def test_a_spoilt_cluster_file_is_told_and_lets_go_of_the_lock(
    tmp_path: Path, content: str
) -> None:
    opened(DevOptions(tmp_path))
    (tmp_path / "cluster.json").write_text(content)
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            DevDirectory.open(DevOptions(tmp_path))


def test_a_place_that_cannot_be_used_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in problem_of(DevOptions(tmp_path / "file" / "dev"))
    assert "File exists" in problem_of(DevOptions(tmp_path / "file"))


@pytest.mark.parametrize("members", [0, 10])
def test_a_number_of_members_out_of_bounds_is_refused(tmp_path: Path, members: int) -> None:
    assert "not 1 to 9" in problem_of(DevOptions(tmp_path, members=members))


def test_a_service_that_is_no_name_of_a_class_is_refused_before_anything_is_kept(
    tmp_path: Path,
) -> None:
    assert "module:Class" in problem_of(DevOptions(tmp_path, service="oops"))
    opened(DevOptions(tmp_path))


@pytest.mark.parametrize("options", [{"members": 10}, {"base_port": 65_514}, {"service": "a"}])
def test_a_start_that_is_refused_leaves_no_directory(
    tmp_path: Path, options: dict[str, object]
) -> None:
    problem_of(DevOptions(tmp_path / "new", **options))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    problem_of(DevOptions(tmp_path / "mine", **options))  # type: ignore[arg-type]
    assert (tmp_path / "mine").exists()


def test_a_base_port_decides_all_ports(tmp_path: Path) -> None:
    seats = opened(DevOptions(tmp_path, base_port=9010)).seats
    assert [(row.client_port, row.member_port, row.control_port) for row in seats] == [
        (9010, 9020, 9030),
        (9011, 9021, 9031),
        (9012, 9022, 9032),
    ]


def test_chosen_ports_are_free_and_no_port_of_outgoing_connections(tmp_path: Path) -> None:
    seats = opened(DevOptions(tmp_path, members=9)).seats
    ports = [p for row in seats for p in (row.client_port, row.member_port, row.control_port)]
    low, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(set(ports)) == 27
    assert all(1024 < port < low for port in ports)
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_the_kept_file_is_readable_by_the_members_own_reader(tmp_path: Path) -> None:
    made = opened(DevOptions(tmp_path))
    config = from_mapping(json.loads((tmp_path / "cluster.json").read_text()))
    assert config.member.seats == made.seats
    assert Path(config.transport.secret_file).is_absolute()
