"""Which kind of file system a directory lies on, read from the kernel's table of mounts.

On a copy-on-write file system an overwrite takes new space, so a pre-written segment does not
keep the disk from being full, and the figures for a data sync do not hold.
"""

from __future__ import annotations

import os
import re

COPY_ON_WRITE = frozenset({"btrfs", "zfs", "bcachefs"})
MOUNT_TABLE = "/proc/self/mountinfo"

_ESCAPE = re.compile(r"\\([0-7]{3})")


def is_copy_on_write(directory: str, mount_table: str = MOUNT_TABLE) -> bool:
    """Tell whether the directory lies on a file system that never overwrites in place.

    Where the table of mounts cannot be read the answer is False: it only drives a warning.
    """
    try:
        with open(mount_table, encoding="utf-8", errors="surrogateescape") as table:
            lines = table.readlines()
    except OSError:
        return False
    return file_system_type(os.path.realpath(directory), lines) in COPY_ON_WRITE


def file_system_type(path: str, mount_lines: list[str]) -> str:
    """Return the type of the file system that holds an absolute path, or an empty string.

    Args:
        path: Without symbolic links.
        mount_lines: Lines of ``/proc/self/mountinfo``: the fifth field is the mount point, the
            first one behind the lone dash the type. A later mount hides an earlier one.

    """
    best, best_type = -1, ""
    for line in mount_lines:
        before, dash, behind = line.partition(" - ")
        fields = before.split()
        if not dash or len(fields) < 5:  # noqa: PLR2004 - the fifth field
            continue
        point = _ESCAPE.sub(lambda found: chr(int(found.group(1), 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, best_type = len(point), behind.split()[0]
    return best_type
