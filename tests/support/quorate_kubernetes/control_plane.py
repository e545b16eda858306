"""The control plane, as plain processes in a namespace of its own: it survives every node."""

from __future__ import annotations

import sys
from pathlib import Path

from quorate_kubernetes import processes
from quorate_kubernetes.commands import attempt, inside
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import (
    API_PORT,
    BED,
    DNS_READY_PORT,
    HOST,
    LOGS,
    NAME,
    PKI,
    SERVICES,
    STATE,
    kubeconfig,
)
from quorate_kubernetes.waiting import wait_until

READY_TIMEOUT_S = 90.0
NAMES_KEPT_S = 1
"""How long DNS answers are kept; production has 30 s."""
ETCD = "http://127.0.0.1:2379"
COMPONENTS = ("provisioner", "coredns", "scheduler", "controller-manager", "apiserver", "etcd")
# Short, so that stories about lost nodes do not wait: a node is NotReady after 10 s of silence,
# and its pods are told to go 15 s later. Production has 40 s and 300 s.
_GRACE = ("--node-monitor-period=1s", "--node-monitor-grace-period=10s")
_TOLERATIONS = (
    "--default-not-ready-toleration-seconds=15",
    "--default-unreachable-toleration-seconds=15",
)
_COREFILE = """
.:53 {{
    bind {host}
    errors
    ready {host}:{ready_port}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl {seconds}
    }}
    cache {seconds}
}}
"""


def start(tools: Path, kubectl: Kubectl) -> None:
    """Start every component; returns when the API server, DNS and the controllers work."""
    _start_etcd(tools)
    _start_api_server(tools)
    _wait_api_server(kubectl)
    _start_controllers(tools)
    kubectl.apply_file(BED / "cluster" / "base.yaml")
    _start_dns(tools, NAMES_KEPT_S)
    command = (sys.executable, "-m", "quorate_kubernetes.provisioner")
    processes.start("provisioner", command)


def wait_ready(kubectl: Kubectl) -> None:
    """Wait for what comes last: names are answered, and pods may be created."""
    wait_until("DNS is ready", _dns_is_ready, READY_TIMEOUT_S)
    # It appears seconds after the nodes are ready; a pod made earlier is refused.
    wait_until(
        "the default service account exists",
        lambda: kubectl.attempt("get", "serviceaccount", "default").returncode == 0,
        READY_TIMEOUT_S,
    )
    for name in COMPONENTS:
        if processes.pid_of(name) is None:
            raise BedFailure(f"{name} has ended: {LOGS / name}.log says why")


def stop_api_server() -> None:
    """Take the API server away, and with it the controllers.

    In production they lose their leases then and end. These have none: they would look away for
    up to half a minute after it is back, hold every node for lost, and evict its pods.
    """
    processes.kill("apiserver")
    for name in ("scheduler", "controller-manager"):
        processes.kill(name)


def start_api_server(tools: Path, kubectl: Kubectl) -> None:
    """Give it back, wait until it answers, and begin the controllers anew."""
    _start_api_server(tools)
    _wait_api_server(kubectl)
    _start_controllers(tools)


def restart_dns(tools: Path, seconds: int) -> None:
    """Answer names anew, and let the answers be kept for so many seconds."""
    processes.kill("coredns")
    _start_dns(tools, seconds)
    wait_until("DNS is ready", _dns_is_ready, READY_TIMEOUT_S)


def stop() -> None:
    """Stop every component that runs, at once: nothing that they hold is wanted any more."""
    for name in COMPONENTS:
        processes.kill(name)


def _start_etcd(tools: Path) -> None:
    data = STATE / "etcd"
    data.mkdir(mode=0o700)
    # A cluster of tests may lose its objects with the machine; syncs would cost a third of it.
    processes.start(
        "etcd",
        (
            tools / "etcd",
            "--unsafe-no-fsync",
            f"--data-dir={data}",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
        ),
    )


def _start_api_server(tools: Path) -> None:
    processes.start(
        "apiserver",
        (
            tools / "kube-apiserver",
            f"--etcd-servers={ETCD}",
            f"--advertise-address={HOST}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--client-ca-file={PKI}/ca.crt",
            f"--tls-cert-file={PKI}/apiserver.crt",
            f"--tls-private-key-file={PKI}/apiserver.key",
            f"--kubelet-certificate-authority={PKI}/ca.crt",
            f"--kubelet-client-certificate={PKI}/apiserver-kubelet.crt",
            f"--kubelet-client-key={PKI}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={PKI}/service-accounts.pub",
            f"--service-account-signing-key-file={PKI}/service-accounts.key",
            "--profiling=false",
            "--shutdown-delay-duration=0s",
            *_TOLERATIONS,
        ),
    )


def _start_controllers(tools: Path) -> None:
    processes.start(
        "controller-manager",
        (
            tools / "kube-controller-manager",
            f"--kubeconfig={kubeconfig('controller-manager')}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--root-ca-file={PKI}/ca.crt",
            f"--service-account-private-key-file={PKI}/service-accounts.key",
            "--bind-address=127.0.0.1",
            "--profiling=false",
            *_GRACE,
        ),
    )
    processes.start(
        "scheduler",
        (
            tools / "kube-scheduler",
            f"--kubeconfig={kubeconfig('scheduler')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--profiling=false",
        ),
    )


def _start_dns(tools: Path, seconds: int) -> None:
    corefile = STATE / "Corefile"
    corefile.write_text(
        _COREFILE.format(
            host=HOST,
            ready_port=DNS_READY_PORT,
            kubeconfig=kubeconfig("coredns"),
            seconds=seconds,
        )
    )
    processes.start("coredns", (tools / "coredns", "-conf", corefile))


def _wait_api_server(kubectl: Kubectl) -> None:
    wait_until(
        "the API server is ready",
        lambda: kubectl.attempt("get", "--raw", "/readyz").returncode == 0,
        READY_TIMEOUT_S,
    )


def _dns_is_ready() -> bool:
    ask = f"exec 3<>/dev/tcp/{HOST}/{DNS_READY_PORT}; printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3"
    answer = attempt(*inside(NAME), "bash", "-c", f"{ask}; cat <&3")
    return "200 OK" in answer.stdout
