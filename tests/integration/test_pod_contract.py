"""A member as a Kubernetes pod starts it: one file for all seats, the rest from around it.

The file is the same in every pod, the seat and the hash come from the environment, secrets from
mounted files, code from a read-only directory, and the volume is a file system's root.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quorate.runtime.exit_codes import ExitCode

TOKEN = "0123456789abcdef0123"
CODE = "from quorate.examples.echo import Echo\n\n\nclass Orders(Echo):\n    pass\n"


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """The directories that are mounted into a pod."""
    for name in ("config", "auth", "code", "volume/lost+found"):
        (tmp_path / name).mkdir(parents=True)
    # As the file system makes it: root's own, and nobody else can look inside.
    (tmp_path / "volume/lost+found").chmod(0)
    (tmp_path / "code/orders.py").write_text(CODE)
    (tmp_path / "auth/secret").write_bytes(bytes(range(32)) + b"\n")
    (tmp_path / "auth/token").write_text(f"{TOKEN}\n")
    client, member, control = _free_ports(3)
    (tmp_path / "config/member.toml").write_text(
        f"""
        [member]
        cluster_id = "{bytes(range(16)).hex()}"
        data_dir = "{tmp_path}/volume"
        service = "orders:Orders"
        [[member.seats]]
        seat = 4
        host = "orders-4.orders.example.test."
        client_port = {client}
        member_port = {member}
        control_port = {control}
        [transport]
        secret_file = "{tmp_path}/auth/secret"
        [control]
        token_file = "{tmp_path}/auth/token"
        """
    )
    (tmp_path / "port").write_text(str(control))
    return tmp_path


def test_a_pod_brings_seat_hash_secrets_code_and_an_empty_volume(pod: Path) -> None:
    with member(pod) as process:
        status = ask(pod, "/status")
        assert (status["seat"], status["input_hash"], status["state"]) == (4, "f00d", "blank")
        assert ask(pod, "/admin/found", b"{}")["action"] == "found"
        wait_founded(pod)
        member_id = ask(pod, "/status")["member_id"]
        process.terminate()
        assert process.wait(30) == ExitCode.ASKED
    with member(pod):
        again = ask(pod, "/status")
        assert (again["member_id"], again["founded"]) == (member_id, True)
    assert (pod / "volume/lost+found").is_dir()


def test_a_name_is_listened_for_on_every_interface(pod: Path) -> None:
    """Whatever the name resolves to at first, or later, is an address of the pod."""
    (seat,) = tomllib.loads((pod / "config/member.toml").read_text())["member"]["seats"]
    with member(pod):
        for port in ("client_port", "member_port", "control_port"):
            socket.create_connection(("127.0.0.2", seat[port]), 10).close()


def test_a_mounted_token_is_asked_for_on_this_machine_too(pod: Path) -> None:
    with member(pod):
        request = urllib.request.Request(
            f"http://127.0.0.1:{(pod / 'port').read_text()}/admin/found", b"{}"
        )
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=30)
        assert ask(pod, "/status")["state"] == "blank"


def test_a_pod_that_is_asked_to_end_while_it_loads_its_service_ends_as_asked(pod: Path) -> None:
    text = f"import os, signal\n\nos.kill(os.getpid(), signal.SIGTERM)\n{CODE}"
    (pod / "code/orders.py").write_text(text)
    with start(pod) as process:
        assert process.wait(60) == ExitCode.ASKED


def test_the_log_is_what_the_environment_asks_for(pod: Path) -> None:
    with member(pod) as process:
        process.terminate()
        assert process.stderr is not None
        lines = process.stderr.readlines()
    assert {"member_stopping", "member_stopped"} <= {json.loads(line)["event"] for line in lines}


def test_what_a_file_says_of_the_log_holds_for_the_founding_and_is_told_when_it_differs(
    pod: Path,
) -> None:
    """Frames stay as large as they were, or clients' messages would fit at one leader only."""
    with member(pod, QUORATE_CONSTANTS__FRAME_BYTES_MAX="524288") as process:
        ask(pod, "/admin/found", b"{}")
        wait_founded(pod)
        process.terminate()
        assert process.wait(30) == ExitCode.ASKED
    with member(pod, QUORATE_SETTINGS__SESSIONS_MAX="17"):
        (alarm,) = wait_status(pod, lambda status: status["alarms"])["alarms"]  # type: ignore[attr-defined]
        assert alarm["name"] == "settings_differ"
        assert "sessions_max 10000" in alarm["detail"]
        assert "frame_bytes_max 524288" in alarm["detail"]


@contextmanager
def member(pod: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the member until it listens, and end it."""
    with start(pod, **variables) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if json.loads(line)["event"] == "listening":
                break
        else:
            pytest.fail(f"it ended before it listened: {''.join(said)}")
        yield process


@contextmanager
def start(pod: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run the member, and end it."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(pod / "code"),
        "PYTHONSAFEPATH": "1",
        "QUORATE_LOG_FORMAT": "json",
        "QUORATE_MEMBER__SEAT": "4",
        "QUORATE_MEMBER__INPUT_HASH": "f00d",
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "quorate", "run", "--config", str(pod / "config/member.toml")],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd="/",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ask(pod: Path, path: str, body: bytes | None = None) -> dict[str, object]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{(pod / 'port').read_text()}{path}",
        body,
        {"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def wait_founded(pod: Path) -> None:
    """Wait until the member leads."""
    wait_status(pod, lambda status: status["role"] == "leader")


def wait_status(pod: Path, fits: Callable[[dict[str, object]], object]) -> dict[str, object]:
    """Poll the status, each time until it changes."""
    version = 0
    for _ in range(50):
        status = ask(pod, f"/status?after={version}&wait=10s")
        if fits(status):
            return status
        version = int(str(status["status_version"]))
    pytest.fail(f"never as awaited: {status}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
