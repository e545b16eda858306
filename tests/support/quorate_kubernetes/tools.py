"""The binaries of the cluster, built once for each state of ``tests/kubernetes/tools``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import BED, CACHE

SOURCES = BED / "tools"
KEPT = 2
"""Generations kept beside the present one: a branch or two to go back to, 600 MB each."""


def directory() -> Path:
    """Return where the binaries of this source tree are, or will be."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.name in {"go.mod", "go.sum", "build.sh"} or path.suffix == ".go":
            digest.update(f"{path.relative_to(SOURCES)}\n".encode())
            digest.update(path.read_bytes())
    return CACHE / "tools" / digest.hexdigest()[:16]


def built() -> Path:
    """Return the directory of the binaries.

    Raises:
        BedFailure: They have not been built.

    """
    if not directory().is_dir():
        raise BedFailure("the cluster's binaries are not built: make e2e-tools")
    return directory()


def build() -> Path:
    """Build what is not there yet; minutes when the caches of Go are cold.

    Raises:
        BedFailure: The build failed; it has said why.

    """
    place = directory()
    if place.is_dir():
        return place
    unfinished = place.with_name(f"{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # Its output is the user's to watch: it takes minutes.
    if subprocess.run([SOURCES / "build.sh", unfinished], check=False).returncode:
        raise BedFailure("the cluster's binaries could not be built; the lines above say why")
    unfinished.rename(place)
    for old in _by_age()[KEPT + 1 :]:
        shutil.rmtree(old)
    return place


def _by_age() -> list[Path]:
    folders = [path for path in (CACHE / "tools").iterdir() if path.is_dir()]
    return sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)
