"""Small disks for members: a file system in memory under each data directory.

For root only, as mounting is. Whatever happens in the block, nothing stays mounted behind it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from quorate.dev.layout import DevDirectory, DevOptions

PIECE = bytes(64 * 1024)


class SmallDisk:
    """The disk of one member."""

    def __init__(self, mount_point: Path) -> None:
        """Use what is mounted there."""
        self._mount_point = mount_point
        self._ballast = mount_point / "ballast"

    @property
    def free_bytes(self) -> int:
        """What still fits."""
        known = os.statvfs(self._mount_point)
        return known.f_bavail * known.f_frsize

    def fill(self) -> None:
        """Take all the space that is left, as something else on the machine might."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while file.write(PIECE):
                    pass
            except OSError:
                pass

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disks(options: DevOptions, size_bytes: int) -> Iterator[list[SmallDisk]]:
    """Make the directory of a cluster, with a disk of its own for each member's data."""
    with ExitStack() as stack:
        directory = DevDirectory.open(options)
        seats = [row.seat for row in directory.seats]
        directory.close()
        disks = []
        for seat in seats:
            mount_point = directory.member_directory(seat) / "disk"
            mount_point.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs"]
            subprocess.run([*command, str(mount_point)], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(mount_point)], check=True)
            (mount_point / "data").mkdir()
            directory.data_path(seat).symlink_to(mount_point / "data")
            disks.append(SmallDisk(mount_point))
        yield disks
