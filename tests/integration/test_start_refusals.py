"""What a member refuses to start with: one line that says what to do, and an exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.config import MemberConfig, NodeConfig, SeatAddress, to_toml
from quorate.consensus.types import ClusterId, Seat
from quorate.runtime.exit_codes import ExitCode

SUPPORT = Path(__file__).parent.parent / "support"
ECHO = "quorate.examples.echo:Echo"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _config(directory: Path, service: str = ECHO, seats: int = 1) -> NodeConfig:
    ports = _free_ports(3 * seats)
    rows = tuple(
        SeatAddress(Seat(seat), "127.0.0.1", *ports[3 * seat : 3 * seat + 3])
        for seat in range(seats)
    )
    member = MemberConfig(
        cluster_id=ClusterId(bytes(range(16))),
        seat=Seat(0),
        seats=rows,
        data_dir=str(directory / "data"),
        service=service,
    )
    return NodeConfig(member=member)


def _start(directory: Path, config: NodeConfig) -> subprocess.Popen[str]:
    path = directory / f"member-{len(list(directory.iterdir()))}.toml"
    path.write_text(to_toml(config))
    return subprocess.Popen(
        [sys.executable, "-m", "quorate", "run", "--config", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )


def _refused(directory: Path, config: NodeConfig) -> tuple[int, str]:
    """Return exit code and output of a member that ends by itself."""
    with _start(directory, config) as process:
        output, _ = process.communicate(timeout=30)
    return process.returncode, output


def _wait_listening(process: subprocess.Popen[str]) -> str:
    """Read what it prints until it listens; return that."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "listening" in line:
            break
    return "".join(lines)


def _with_member(config: NodeConfig, **changes: object) -> NodeConfig:
    return replace(config, member=replace(config.member, **changes))  # type: ignore[arg-type]


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    config = _config(tmp_path)
    consensus = replace(config.consensus, heartbeat_ms=0, election_timeout_min_ms=900)
    code, output = _refused(
        tmp_path, replace(_with_member(config, service="nonsense"), consensus=consensus)
    )
    assert code == ExitCode.CONFIGURATION
    for named in ("heartbeat_ms", "election_timeout", "member.service"):
        assert named in output, output


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("no_such_module:Service", "no_such_module"),
        ("quorate.examples.echo:Ecco", "did you mean quorate.examples.echo:Echo"),
        ("quorate_processes.failing:NotAService", "not a subclass of ClusteredService"),
    ],
)
def test_a_service_that_cannot_be_loaded(tmp_path: Path, service: str, said: str) -> None:
    code, output = _refused(tmp_path, _config(tmp_path, service))
    assert code == ExitCode.CONFIGURATION
    assert said in output, output


def test_a_service_that_cannot_start(tmp_path: Path) -> None:
    code, output = _refused(tmp_path, _config(tmp_path, "quorate_processes.failing:RaisesAtStart"))
    assert code == ExitCode.SERVICE_FAILED
    assert "on_start failed with RuntimeError" in output, output
    assert "RuntimeError: no such file: rates.csv" in output, "its author is not told what failed"


def test_a_second_process_on_one_directory(tmp_path: Path) -> None:
    first = _config(tmp_path)
    archive = replace(first.archive, lock_timeout_ms=200)
    with _start(tmp_path, first) as running:
        _wait_listening(running)
        second = replace(_config(tmp_path), archive=archive)
        code, output = _refused(tmp_path, second)
        running.terminate()
        assert running.wait(20) == ExitCode.ASKED
    assert code == ExitCode.FOREIGN_DATA
    assert first.member.data_dir in output, output


def test_a_port_in_use(tmp_path: Path) -> None:
    config = _config(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", config.member.seats[0].client_port))
        taken.listen()
        code, output = _refused(tmp_path, config)
    assert code == ExitCode.CONFIGURATION
    assert str(config.member.seats[0].client_port) in output, output


def test_a_directory_of_another_cluster(tmp_path: Path) -> None:
    config = _config(tmp_path)
    with _start(tmp_path, config) as running:
        _wait_listening(running)
        running.terminate()
        running.wait(20)
    code, output = _refused(tmp_path, _with_member(config, cluster_id=ClusterId(b"x" * 16)))
    assert code == ExitCode.FOREIGN_DATA
    assert "cluster" in output, output


def test_something_that_is_no_data_directory(tmp_path: Path) -> None:
    config = _config(tmp_path)
    data = Path(config.member.data_dir)
    data.mkdir()
    (data / "thesis.txt").write_text("years of work")
    code, output = _refused(tmp_path, config)
    assert code == ExitCode.FOREIGN_DATA
    assert "thesis.txt" in output, output
    assert (data / "thesis.txt").read_text() == "years of work"


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    config = _config(tmp_path)
    Path(config.member.data_dir).write_text("not a directory")
    code, output = _refused(tmp_path, config)
    assert code in (ExitCode.STORAGE_FAILED, ExitCode.CONFIGURATION)
    assert config.member.data_dir in output, output


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Not even root makes a directory there; a read-only file system ends the same way."""
    code, output = _refused(
        tmp_path, _with_member(_config(tmp_path), data_dir="/proc/quorate/data")
    )
    assert code == ExitCode.STORAGE_FAILED
    assert "/proc/quorate" in output, output


def test_python_without_assertions_is_refused(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-O", "-m", "quorate", "run", "--config", str(tmp_path / "none.toml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == ExitCode.CONFIGURATION
    assert "-O" in result.stderr
