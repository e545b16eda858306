"""Where the demo and the benchmark keep a cluster's files when the caller does not say."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_ON_DISK = "/var/tmp"  # noqa: S108 - only the parent of a directory that mkdtemp makes


def fresh_directory(prefix: str) -> Path:
    """Make a new directory on a disk: ``/tmp`` may be memory, where a data sync means nothing."""
    parent = os.environ.get("TMPDIR") or (_ON_DISK if os.access(_ON_DISK, os.W_OK) else None)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
