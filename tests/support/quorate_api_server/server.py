"""Starts the two processes, and knows how to reach them."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOKEN = "for-tests-on-loopback-only"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class ApiServer:
    """One that runs."""

    url: str
    kubeconfig: Path
    """For a user that may do everything."""
    process: subprocess.Popen[bytes]
    audit_log: Path
    """A line of JSON for each request that ended."""


@contextmanager
def api_server(binaries: Path, directory: Path, *, users: str = "") -> Iterator[ApiServer]:
    """Run a fresh API server in ``directory``; end both processes afterwards.

    Args:
        binaries: Where ``etcd`` and ``kube-apiserver`` are.
        directory: For data, keys and logs.
        users: More lines of ``token,user,uid,group``.

    """
    ports = _free_ports(3)
    _write_files(directory, users)
    client = f"http://127.0.0.1:{ports[0]}"
    peer = f"http://127.0.0.1:{ports[1]}"
    etcd = _start(
        directory / "etcd.log",
        [
            *(binaries / "etcd", "--unsafe-no-fsync", "--log-level", "warn"),
            *("--data-dir", directory / "etcd"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        ],
    )
    try:
        server = _start(
            directory / "apiserver.log", _command(binaries, directory, client, ports[2])
        )
        try:
            url = f"https://127.0.0.1:{ports[2]}"
            kubeconfig = directory / "admin.kubeconfig"
            write_kubeconfig(kubeconfig, url, TOKEN)
            _wait_until_ready(url, server, directory / "apiserver.log")
            yield ApiServer(url, kubeconfig, server, directory / "audit.log")
        finally:
            _stop(server)
    finally:
        _stop(etcd)


def write_kubeconfig(path: Path, url: str, token: str) -> None:
    """Write how to reach a server as the user of this token."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(content))


def _command(binaries: Path, directory: Path, etcd: str, port: int) -> list[str | Path]:
    return [
        binaries / "kube-apiserver",
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        # Nobody asks for it; without, a machine that has no default route is refused.
        "--advertise-address=192.0.2.1",
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certificates'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory / 'accounts.key'}",
        f"--service-account-signing-key-file={directory / 'accounts.key'}",
        "--disable-admission-plugins=ServiceAccount",
        f"--audit-policy-file={directory / 'audit.yaml'}",
        f"--audit-log-path={directory / 'audit.log'}",
        "--audit-log-mode=blocking",
        "--shutdown-delay-duration=0s",
        "--profiling=false",
    ]


def _write_files(directory: Path, users: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "etcd").mkdir(mode=0o700)
    (directory / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n{users}')
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": ["system:apiserver"]},
            {"level": "Metadata"},
        ],
    }
    (directory / "audit.yaml").write_text(json.dumps(policy))
    subprocess.run(
        ["openssl", "genrsa", "-out", str(directory / "accounts.key"), "2048"],
        check=True,
        capture_output=True,
        timeout=30,
    )


def _start(log: Path, command: list[str | Path]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], "HOME": str(log.parent)},
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT_S)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    trusting = ssl._create_unverified_context()
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    deadline = time.monotonic() + START_LIMIT_S
    problem = ""
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the API server ended: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(request, timeout=5, context=trusting) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError) as error:
            problem = str(error)
        time.sleep(0.1)
    raise AssertionError(f"no ready API server within {START_LIMIT_S} s: {problem}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [made.getsockname()[1] for made in sockets]
    for made in sockets:
        made.close()
    return ports
