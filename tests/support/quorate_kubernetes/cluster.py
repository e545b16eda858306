"""The whole cluster: up, down, and whole again after a story has broken a part of it."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from quorate_kubernetes import (
    certificates,
    cgroups,
    control_plane,
    images,
    machine,
    network,
    nodes,
    processes,
    tools,
)
from quorate_kubernetes.archives import write_image_on
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.kubectl import Kubectl, Object, is_ready
from quorate_kubernetes.layout import IMAGE_STORES, IMAGES, LOCK, LOGS, NODES, PKI, RECORDS, STATE
from quorate_kubernetes.waiting import wait_until

logger = logging.getLogger(__name__)

NODES_TIMEOUT_S = 180.0
"""Images are imported before a node is ready."""


class Cluster:
    """A running cluster; ``up`` makes it."""

    def __init__(self, binaries: Path) -> None:
        """Take the directory of the binaries that it runs, or will run."""
        self.tools = binaries
        self.kubectl = Kubectl(binaries)
        self.image = images.product()
        self._archive = images.product_archive()

    @classmethod
    def attach(cls) -> Cluster:
        """Return the cluster that an earlier ``up`` has left running.

        Raises:
            BedFailure: None is up.

        """
        if processes.pid_of("apiserver") is None:
            raise BedFailure("no cluster is up: python -m quorate_kubernetes up")
        return cls(tools.built())

    @classmethod
    def up(cls) -> Cluster:
        """Start everything and wait until pods can run; what an earlier run left is removed.

        Raises:
            BedFailure: Binaries or images are missing, or a part does not come up in time.

        """
        binaries = tools.built()
        archives = images.built(binaries)
        down()
        for directory in (PKI, LOGS, RECORDS, IMAGES):
            directory.mkdir(parents=True)
        for archive in archives:
            (IMAGES / archive.name).symlink_to(archive)
        machine.save()
        certificates.make_all()
        network.make()
        logger.info("network and certificates are made")
        cluster = cls(binaries)
        # First, so that images are unpacked while the control plane starts.
        for node in NODES:
            nodes.power_on(node, binaries)
        control_plane.start(binaries, cluster.kubectl)
        logger.info("the API server answers")
        cluster.wait_nodes(*NODES)
        logger.info("the nodes are ready")
        control_plane.wait_ready(cluster.kubectl)
        logger.info("DNS and controllers are ready")
        return cluster

    def power_off(self, node: str) -> None:
        """Take the power from a node; Kubernetes notices after 10 s."""
        nodes.power_off(node)

    def power_on(self, node: str) -> None:
        """Give a node its power back; it starts on the disk that it had."""
        nodes.power_on(node, self.tools)

    def cut(self, node: str) -> None:
        """Unplug a node's network cable."""
        network.cut(node)

    def plug(self, node: str) -> None:
        """Plug it in."""
        network.plug(node)

    def signal_pod(self, pod: Object, number: int) -> None:
        """Send a signal to the processes of a pod's containers, as from outside of it."""
        node, uid = pod["spec"]["nodeName"], pod["metadata"]["uid"]
        pids = cgroups.container_pids(node, uid)
        if not pids:
            raise BedFailure(f"pod {pod['metadata']['name']} has no process on {node}")
        for pid in pids:
            os.kill(pid, number)

    def separate(self, pod: str, others: tuple[str, ...], *, on: str) -> None:
        """Let nothing pass between a pod and others, both ways.

        Args:
            pod: Address of the pod.
            others: Addresses of the others.
            on: The node of ``pod``, where its packets are dropped.

        """
        for other in others:
            network.drop(on, pod, other)
            network.drop(on, other, pod)

    def load_image(self, archive: Path) -> None:
        """Import an image into every node that has power."""
        for node in NODES:
            if nodes.is_on(node):
                nodes.load_image(node, archive)

    def tag_image(self, name: str) -> str:
        """Give the product's image another name on every node, and return that."""
        for node in NODES:
            nodes.tag_image(node, self.image, name)
        return name

    def image_with(self, name: str, files: Mapping[str, str]) -> str:
        """Give every node an image of this name: the product's, with these files; return the name.

        Args:
            name: Name and tag.
            files: Text by absolute path.

        """
        with tempfile.TemporaryDirectory(prefix="quorate-image-", dir=STATE) as scratch:
            archive = Path(scratch, "image.tar")
            write_image_on(self._archive, archive, name, files)
            self.load_image(archive)
        return name

    def cache_names(self, seconds: int) -> None:
        """Let DNS answers, also that there is no such name, be kept for so long."""
        control_plane.restart_dns(self.tools, seconds)

    def stop_api_server(self) -> None:
        """Take the API server away."""
        control_plane.stop_api_server()

    def start_api_server(self) -> None:
        """Give it back."""
        control_plane.start_api_server(self.tools, self.kubectl)

    def make_whole(self) -> None:
        """Undo every fault: power, cables, dropped packets, cordons; wait until nodes are ready."""
        if processes.pid_of("apiserver") is None:
            self.start_api_server()
        for node in NODES:
            if not nodes.is_on(node):
                self.power_on(node)
            network.plug(node)
            network.drop_nothing(node)
        self.wait_nodes(*NODES)
        for found in self.kubectl.list("nodes"):
            if found["spec"].get("unschedulable"):
                self.kubectl.run("uncordon", found["metadata"]["name"])

    def wait_nodes(self, *names: str) -> None:
        """Wait until these nodes are ready."""
        wait_until(
            f"{' and '.join(names)} ready",
            lambda: set(names) <= self._ready_nodes(),
            NODES_TIMEOUT_S,
            poll_s=0.3,
        )

    def wait_not_ready(self, node: str, timeout_s: float = 60.0) -> None:
        """Wait until Kubernetes has noticed that a node is lost."""
        wait_until(
            f"{node} is not ready",
            lambda: node not in self._ready_nodes(),
            timeout_s,
            poll_s=0.3,
        )

    def _ready_nodes(self) -> set[str]:
        return {node["metadata"]["name"] for node in self.kubectl.list("nodes") if is_ready(node)}


def down(*, keep: bool = False) -> None:
    """End everything that ``up`` started and put the machine back; safe when nothing runs.

    Args:
        keep: Leave disks and logs in the state directory, to look at.

    """
    if not STATE.exists():
        return
    names = processes.recorded()
    for node in NODES:
        if nodes.record(node) in names:
            processes.kill(nodes.record(node))
    logger.info("the nodes have no power")
    control_plane.stop()
    logger.info("the control plane has ended")
    for name in processes.recorded():
        processes.kill(name)  # what a story had beside it and could not end
    network.remove()
    cgroups.remove()
    machine.restore()
    logger.info("the machine is as it was")
    shutil.rmtree(IMAGE_STORES, ignore_errors=True)
    if not keep:
        shutil.rmtree(STATE)
        logger.info("the disks are removed")


@contextmanager
def reserved(timeout_s: float = 0.0) -> Iterator[None]:
    """Be the only one on this machine who brings the cluster up or down.

    Raises:
        BedFailure: Another process has it, for all of ``timeout_s``.

    """
    with LOCK.open("a") as file:
        end = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BedFailure(
                        f"another process uses the cluster of this machine: fuser {LOCK}"
                    ) from None
                time.sleep(0.2)
        yield
