"""A node: namespaces, a disk that outlives its power, a container runtime, kubelet, kube-proxy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from quorate_kubernetes import cgroups, network, processes
from quorate_kubernetes.commands import run
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import (
    API_PORT,
    BED,
    HOST,
    IMAGE_STORES,
    IMAGE_STORES_BYTES,
    IMAGES,
    PKI,
    VOLUMES_IN_MEMORY,
    kubeconfig,
    node_address,
    node_disk,
    node_namespace,
    pod_subnet,
)
from quorate_kubernetes.machine import MOUNT_POINTS

_UNSHARE = (
    "unshare",
    *("--mount", "--propagation", "private", "--uts", "--ipc", "--pid"),
    *("--fork", "--kill-child=SIGKILL", "--mount-proc"),
)
_CONTAINERD = """
version = 2
# What would write outside of a node's disk, or try file systems that it does not have.
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.native",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true  # else it needs CAP_SYS_RESOURCE
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"""


def record(node: str) -> str:
    """Return the name under which a node's init is recorded."""
    return f"node-{node}"


def is_on(node: str) -> bool:
    """Tell whether the node has power."""
    return processes.pid_of(record(node)) is not None


def power_on(node: str, tools: Path) -> None:
    """Start a node on its disk, a new one if it has none; returns before it is ready."""
    network.plug(node)
    disk = node_disk(node)
    if not disk.exists():
        _make_disk(node, disk)
    _write_configuration(node, disk)
    cgroups.make(node)
    mounts = [f"{folder}:{place}" for folder, place in MOUNT_POINTS.items()]
    places = (disk, tools, IMAGES, kubeconfig(node), HOST, API_PORT)
    init = ("bash", BED / "cluster" / "node.sh", node, node_address(node), *places, *mounts)
    processes.start(record(node), (*_UNSHARE, *init), node_namespace(node))


def power_off(node: str) -> None:
    """Take the power from a node: every process on it dies at once, and nobody is told.

    The cable goes first: the kernel of this machine lives on and would close the connections of
    the dead, which a machine without power does not.
    """
    network.cut(node)
    processes.kill(record(node))
    cgroups.remove(node)


def load_image(node: str, archive: Path) -> None:
    """Import an image into a node that runs."""
    _images(node, "import", archive.resolve())


def tag_image(node: str, image: str, name: str) -> None:
    """Give an image that a running node has another name."""
    _images(node, "tag", "--force", image, name)


def init_of(node: str) -> int:
    """Return the pid, on this machine, of a node's pid 1.

    Raises:
        BedFailure: The node has no power.

    """
    pid = processes.pid_of(record(node))
    if pid is None:
        raise BedFailure(f"node {node} has no power")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def _images(node: str, *arguments: object) -> None:
    socket = f"/proc/{init_of(node)}/root/run/containerd/containerd.sock"
    run("ctr", "-a", socket, "-n", "k8s.io", "images", *arguments, timeout_s=300)


def _make_disk(node: str, disk: Path) -> None:
    for folder in MOUNT_POINTS:
        (disk / folder).mkdir(parents=True)
    if _has_memory_for_images():
        for folder in ("containerd", *(("volumes",) if VOLUMES_IN_MEMORY else ())):
            store = IMAGE_STORES / node / folder
            store.mkdir(parents=True)
            (disk / folder).rmdir()
            (disk / folder).symlink_to(store)


def _has_memory_for_images() -> bool:
    place = IMAGE_STORES.parent
    return place.is_dir() and shutil.disk_usage(place).free >= IMAGE_STORES_BYTES


def _write_configuration(node: str, disk: Path) -> None:
    (disk / "containerd.toml").write_text(_CONTAINERD)
    (disk / "kubelet.json").write_text(json.dumps(_kubelet(node)))
    (disk / "proxy.json").write_text(json.dumps(_proxy(node)))
    networks = disk / "cni-config" / "net.d"
    networks.mkdir(exist_ok=True)
    (networks / "10-pods.conflist").write_text(json.dumps(_pod_network(node)))


def _pod_network(node: str) -> dict[str, object]:
    # `ptp`, not `bridge`: all traffic of a pod is routed, so that service addresses work between
    # two pods of one node without `br_netfilter`, and `network.drop` sees every packet.
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": pod_subnet(node)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _kubelet(node: str) -> dict[str, object]:
    evict_never = {
        "memory.available": "0%",
        "nodefs.available": "0%",
        "imagefs.available": "0%",
        "nodefs.inodesFree": "0%",
    }
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node_address(node),
        "port": 10250,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/{node}.crt",
        "tlsPrivateKeyFile": f"{PKI}/{node}.key",
        "clusterDomain": "cluster.local",
        "clusterDNS": [HOST],
        "resolvConf": "",  # nothing of the machine's resolver gets into pods
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.path_of(node),
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        "evictionHard": evict_never,
        "imageGCHighThresholdPercent": 100,  # no registry gives a removed image back
        "nodeStatusUpdateFrequency": "2s",
        "nodeStatusReportFrequency": "10s",
        "nodeLeaseDurationSeconds": 8,
        "syncFrequency": "5s",
        "registerNode": True,
        "maxPods": 60,
        "oomScoreAdj": 0,  # lowering it needs CAP_SYS_RESOURCE
    }


def _proxy(node: str) -> dict[str, object]:
    # Zeros leave conntrack as it is: its sysctls are not this namespace's to set.
    conntrack = {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
        "hostnameOverride": node,
        "bindAddress": "0.0.0.0",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": conntrack,
    }
