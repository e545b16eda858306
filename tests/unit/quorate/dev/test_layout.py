"""What a directory keeps from one start to the next."""

from __future__ import annotations

import errno
import json
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.archive.segment import segment_name
from quorate.config import (
    ClusterConstants,
    ClusterSettings,
    ConsensusSettings,
    Durability,
    from_mapping,
)
from quorate.consensus.types import Seat
from quorate.dev import layout
from quorate.dev.layout import DEFAULT_SERVICE, DevDirectory, DevOptions
from quorate.errors import ConfigurationError, DirectoryInUse
from quorate_processes.directories import opened, problem_of


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
    settings = ClusterSettings(sessions_max=7)
    made = opened(DevOptions(tmp_path, constants=constants, settings=settings))
    for _ in range(2):
        config = from_mapping(tomllib.loads(made.config_path(Seat(0)).read_text()))
        assert (config.constants, config.settings) == (constants, settings)
        opened(DevOptions(tmp_path))


def test_members_find_their_files_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verb beside the cluster may be typed elsewhere, and reads where its directory is."""
    monkeypatch.chdir(tmp_path)
    made = opened(DevOptions(Path("dev")))
    config = from_mapping(tomllib.loads(made.config_path(Seat(0)).read_text()))
    paths = (config.member.data_dir, config.transport.secret_file, config.control.token_file)
    assert all(str(path).startswith(f"{tmp_path}/dev/") for path in paths)
    assert made.path == tmp_path / "dev"


def test_a_configuration_of_the_service_can_be_taken_back(tmp_path: Path) -> None:
    opened(DevOptions(tmp_path, service_config="x"))
    again = opened(DevOptions(tmp_path, service_config=""))
    config = from_mapping(tomllib.loads(again.config_path(Seat(0)).read_text()))
    assert config.member.service_config == ""


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


@pytest.mark.parametrize(
    ("refused", "problem"),
    [
        (DevOptions(Path(), members=0), "not 1 to 9"),
        (DevOptions(Path(), members=10), "not 1 to 9"),
        (DevOptions(Path(), service="oops"), "module:Class"),
        (DevOptions(Path(), base_port=70_000), "--base-port is 70000"),
    ],
)
def test_what_is_refused_changes_nothing_before_there_is_a_log(
    tmp_path: Path, refused: DevOptions, problem: str
) -> None:
    opened(DevOptions(tmp_path))
    kept = (tmp_path / "cluster.json").read_bytes()
    assert problem in problem_of(replace(refused, directory=tmp_path))
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
    unfinished = tmp_path / "dev" / "cluster.json.new"
    (tmp_path / "dev" / "cluster.json").rename(unfinished)
    unfinished.write_text(unfinished.read_text() + "and more than the next one will be")
    made = opened(DevOptions(tmp_path / "dev"))
    assert opened(DevOptions(tmp_path / "dev")).cluster_id == made.cluster_id


@pytest.mark.parametrize("written", range(4))
def test_a_making_that_stops_after_any_of_its_files_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The directory then has all: a secret that is missing would fail every start to come."""
    fails_at = iter(range(written + 1))
    write_private, write_text = layout._write_private, Path.write_text

    def count() -> None:
        if next(fails_at, None) == written:
            raise OSError(errno.ENOSPC, "No space left on device")

    def private(path: Path, text: str) -> None:
        count()
        write_private(path, text)

    def open_(path: Path, text: str, encoding: str | None = None) -> int:
        count()
        return write_text(path, text, encoding)

    monkeypatch.setattr(layout, "_write_private", private)
    monkeypatch.setattr(Path, "write_text", open_)
    problem = problem_of(DevOptions(tmp_path / "dev"))
    assert problem == f"cannot use {tmp_path}/dev: No space left on device"
    made = opened(DevOptions(tmp_path / "dev"))
    assert len(made.token) > 40
    assert len((made.path / "secret").read_text()) > 40
    assert (made.path / ".gitignore").read_text() == "*\n"


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
    (tmp_path / "dev" / "cluster.json").mkdir(parents=True)
    assert "Is a directory" in problem_of(DevOptions(tmp_path / "dev"))


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


def test_the_kept_file_is_readable_by_the_members_own_reader(tmp_path: Path) -> None:
    made = opened(DevOptions(tmp_path))
    config = from_mapping(json.loads((tmp_path / "cluster.json").read_text()))
    assert config.member.seats == made.seats
    assert Path(config.transport.secret_file).is_absolute()
