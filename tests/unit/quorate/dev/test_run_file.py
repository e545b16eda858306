"""How other commands find a running cluster."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from quorate.dev.layout import DevDirectory, DevOptions
from quorate.dev.run_file import RunningDev, find_running, published, run_directory
from quorate.errors import NotConnected


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run" / "quorate"


def running_on(directory: DevDirectory) -> RunningDev:
    return RunningDev(
        str(directory.path),
        directory.cluster_id.hex(),
        tuple(row.client_address for row in directory.seats),
        tuple(row.control_address for row in directory.seats),
    )


def test_a_running_cluster_is_found_with_all_that_is_needed(tmp_path: Path) -> None:
    directory = DevDirectory.open(DevOptions(tmp_path / "dev"))
    with published(running_on(directory)):
        found = find_running()
        assert found == running_on(directory)
        assert found.token == directory.token
        assert find_running(tmp_path / "dev") == found
        with pytest.raises(NotConnected, match="no quorate dev runs on"):
            find_running(tmp_path / "other")
    with pytest.raises(NotConnected, match="start one with `quorate dev`"):
        find_running()
    directory.close()


def test_a_directory_is_the_same_by_every_name(tmp_path: Path) -> None:
    directory = DevDirectory.open(DevOptions(tmp_path / "dev"))
    (tmp_path / "link").symlink_to("dev")
    with published(running_on(directory)):
        for name in (tmp_path / "link", tmp_path / "dev" / ".." / "dev"):
            assert find_running(name) == running_on(directory)
    directory.close()


def test_the_file_of_a_killed_supervisor_counts_for_nothing(tmp_path: Path) -> None:
    directory = DevDirectory.open(DevOptions(tmp_path / "dev"))
    with published(running_on(directory)):
        directory.close()
        with pytest.raises(NotConnected):
            find_running()
        # Nor has the look taken the directory from who starts on it next.
        DevDirectory.open(DevOptions(tmp_path / "dev")).close()
        shutil.rmtree(tmp_path / "dev")
        with pytest.raises(NotConnected):
            find_running()


def test_a_supervisor_that_fails_takes_its_file_along(
    tmp_path: Path, runtime_directory: Path
) -> None:
    directory = DevDirectory.open(DevOptions(tmp_path / "dev"))

    def fail() -> None:
        with published(running_on(directory)):
            assert len(list(runtime_directory.iterdir())) == 1
            assert stat.S_IMODE(runtime_directory.stat().st_mode) == 0o700
            raise NotConnected("all members have gone")

    with pytest.raises(NotConnected):
        fail()
    directory.close()
    assert list(runtime_directory.iterdir()) == []


def test_what_a_killed_supervisor_left_does_not_double_its_successor(
    tmp_path: Path, runtime_directory: Path
) -> None:
    directory = DevDirectory.open(DevOptions(tmp_path / "dev"))
    with published(running_on(directory)):
        (file,) = runtime_directory.iterdir()
        file.rename(runtime_directory / "dev-1.json")
    with published(running_on(directory)):
        assert find_running() == running_on(directory)
    assert list(runtime_directory.iterdir()) == []
    directory.close()


def test_of_several_one_has_to_be_named(tmp_path: Path, runtime_directory: Path) -> None:
    first = DevDirectory.open(DevOptions(tmp_path / "a"))
    second = DevDirectory.open(DevOptions(tmp_path / "b"))
    with published(running_on(first)):
        # A second process would have another number in its file's name.
        (file,) = runtime_directory.iterdir()
        file.rename(runtime_directory / "dev-1.json")
        with published(running_on(second)):
            with pytest.raises(NotConnected, match="several quorate dev run"):
                find_running()
            assert find_running(tmp_path / "b") == running_on(second)
    first.close()
    second.close()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"x"', '{"directory": 5}', "[" * 100_000])
def test_a_spoilt_file_is_passed_over(runtime_directory: Path, content: str) -> None:
    runtime_directory.mkdir(parents=True)
    (runtime_directory / "dev-7.json").write_text(content)
    (runtime_directory / "dev-8.json").mkdir()
    with pytest.raises(NotConnected):
        find_running()


def test_without_a_runtime_directory_the_home_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    assert run_directory() == Path("/home/someone/.quorate/run")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert run_directory() == Path("/home/someone/.quorate/run")


def test_without_any_home_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(NotConnected, match="no home directory, and XDG_RUNTIME_DIR is not set"):
        find_running()
