"""What the machine has to offer, and what can be installed; each lack is named in one line."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from quorate_kubernetes import cgroups
from quorate_kubernetes.commands import attempt
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import CACHE
from quorate_monitoring.programs import program

# A command or file that proves it: the Debian package that brings it.
PACKAGES = {
    "buildah": "buildah",
    "containerd": "containerd",
    "ctr": "containerd",
    "debootstrap": "debootstrap",
    "go": "golang-go",
    "ip": "iproute2",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
    "sysctl": "procps",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}
DISK_BYTES = 8 << 30
"""Binaries, images, three copies of the images, and the caches of Go."""
_PROBE = "quorate-probe"


def meet() -> None:
    """Install what packages can give, then check everything else.

    Raises:
        BedFailure: With one line for each lack.

    """
    if os.geteuid() != 0:
        raise BedFailure("not root: network namespaces, mounts and cgroups need it; sudo make e2e")
    _install(missing_packages())
    lacks = list(_lacks())
    if lacks:
        raise BedFailure("\n".join(lacks))
    try:
        program("prometheus")  # now: a story has no way out of the cluster's network
    except RuntimeError as error:
        raise BedFailure(str(error)) from error


def missing_packages() -> list[str]:
    """Return the Debian packages that would bring what is missing."""
    return sorted(
        {
            package
            for proof, package in PACKAGES.items()
            if shutil.which(proof) is None and not Path(proof).exists()
        }
    )


def _install(packages: list[str]) -> None:
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise BedFailure(f"missing, and no apt-get to install it: {' '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), ("install", "-y", "--no-install-recommends", *packages)):
        words = ["apt-get", "-qq", *command]
        if subprocess.run(words, env=environment, check=False).returncode:
            raise BedFailure(f"missing and not installable: {' '.join(packages)}")


def _lacks() -> Iterator[str]:
    if platform.system() != "Linux" or platform.machine() not in {"x86_64", "aarch64"}:
        yield f"{platform.system()} on {platform.machine()}: needs Linux on x86_64 or aarch64"
    if "overlay" not in Path("/proc/filesystems").read_text():
        yield "the kernel has no overlayfs: modprobe overlay"
    yield from _network_lacks()
    if not cgroups.is_v2() and not (cgroups.ROOT / "memory").is_dir():
        yield f"no cgroups below {cgroups.ROOT}: mount version 2 there"
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free
    if free < DISK_BYTES:
        yield f"{CACHE} has {free >> 30} GiB of space left and needs {DISK_BYTES >> 30}"


def _network_lacks() -> Iterator[str]:
    """Try it: modules may be built in, loadable or forbidden, and only the attempt can tell."""
    if attempt("ip", "netns", "add", _PROBE).returncode:
        yield "network namespaces cannot be made: a container needs CAP_SYS_ADMIN and a /run"
        return
    inside = ("ip", "-n", _PROBE, "link", "add")
    try:
        if attempt(*inside, "one", "type", "veth", "peer", "name", "two").returncode:
            yield "the kernel has no veth: modprobe veth"
        if attempt(*inside, "three", "type", "bridge").returncode:
            yield "the kernel has no bridge: modprobe bridge"
        table = ("nft", "add", "table", "inet", "probe")
        if attempt("nsenter", f"--net=/run/netns/{_PROBE}", *table).returncode:
            yield "the kernel has no nf_tables: modprobe nf_tables"
    finally:
        attempt("ip", "netns", "del", _PROBE)
