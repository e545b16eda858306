from __future__ import annotations

from pathlib import Path

import pytest

from quorate.archive.mounts import file_system_type, is_copy_on_write

TABLE = [
    "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n",
    "22 21 0:5 / /data rw - btrfs /dev/vdb rw\n",
    "23 22 0:6 / /data/fast\\040disk rw - xfs /dev/vdc rw\n",
    "24 21 0:7 / /tank rw - tmpfs tmpfs rw\n",
    "25 21 0:8 / /tank rw shared:9 master:2 - zfs tank rw\n",
    "bad line\n",
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/database", "ext4"),
        ("/data", "btrfs"),
        ("/data/member-0", "btrfs"),
        ("/data/fast disk/member-0", "xfs"),
        ("/tank/x", "zfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, expected: str) -> None:
    assert file_system_type(path, TABLE) == expected


def test_no_table_is_no_file_system_type() -> None:
    assert file_system_type("/x", []) == ""


def test_a_table_that_cannot_be_read_gives_no_warning(tmp_path: Path) -> None:
    assert not is_copy_on_write(str(tmp_path), str(tmp_path / "missing"))


def test_a_directory_on_a_copy_on_write_file_system_is_told(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / {tmp_path} rw - btrfs /dev/x rw\n", encoding="utf-8")
    assert is_copy_on_write(str(tmp_path / "data"), str(table))
