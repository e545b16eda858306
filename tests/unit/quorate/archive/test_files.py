from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from quorate.archive.files import BUFFERS_MAX, SystemFiles, storage_error
from quorate.errors import DirectoryInUse, DiskFull, StorageError, SyncFailed


@pytest.fixture
def files(tmp_path: Path) -> SystemFiles:
    return SystemFiles(str(tmp_path / "a" / "b"), create=True)


def test_what_is_written_is_read(files: SystemFiles) -> None:
    file = files.create("data")
    file.write(10, [b"abc", b"", b"defg"])
    file.sync()
    assert file.size() == 17
    assert file.read(8, 5) == b"\0\0abc"
    assert file.read(13, 100) == b"defg"
    file.close()
    file.close()
    assert files.open("data", writable=False).read(10, 3) == b"abc"


def test_more_buffers_than_one_call_takes_are_all_written(files: SystemFiles) -> None:
    buffers = [n.to_bytes(4, "big") for n in range(2 * BUFFERS_MAX + 3)]
    file = files.create("data")
    file.write(0, buffers)
    assert file.read(0, 10**6) == b"".join(buffers)


def test_a_short_write_is_finished(files: SystemFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    file = files.create("data")
    real = os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda fd, parts, offset: real(fd, parts[0], offset))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:2], offset))
    file.write(0, [b"abc", b"defgh"])
    assert file.read(0, 100) == b"abcdefgh"


def test_a_write_that_takes_nothing_fails(
    files: SystemFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = files.create("data")
    monkeypatch.setattr(os, "pwritev", lambda *_: 0)
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match="took no bytes"):
        file.write(0, [b"abc"])


def test_a_short_read_is_finished(files: SystemFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    file = files.create("data")
    file.write(0, [b"abcdefgh"])
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: real(fd, min(length, 3), offset))
    assert file.read(0, 8) == b"abcdefgh"
    assert file.read(0, 20) == b"abcdefgh"


def refuse(number: int) -> Callable[..., int]:
    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("call", ["pread", "pwritev", "fdatasync"])
def test_an_error_names_the_file(
    files: SystemFiles, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file = files.create("data")
    monkeypatch.setattr(os, call, refuse(errno.EIO))
    actions: Sequence[Callable[[], object]] = (
        lambda: file.read(0, 1),
        lambda: file.write(0, [b"x"]),
        file.sync,
    )
    with pytest.raises(OSError, match="Input/output") as raised:
        actions[("pread", "pwritev", "fdatasync").index(call)]()
    assert raised.value.filename == "data"


def test_names_are_taken_changed_and_removed(files: SystemFiles) -> None:
    files.create("one").close()
    with pytest.raises(FileExistsError):
        files.create("one")
    files.rename("one", "two")
    assert files.names() == ["two"]
    files.remove("two")
    files.sync_directory()
    assert files.names() == []
    with pytest.raises(FileNotFoundError):
        files.open("two")


def test_a_link_out_of_the_directory_is_not_followed(files: SystemFiles, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "a" / "b" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        files.open("link")


def test_the_lock_excludes_and_holds_a_pid_for_readers(files: SystemFiles) -> None:
    files.lock(0.0)
    other = SystemFiles(files.directory)
    with pytest.raises(DirectoryInUse, match=str(os.getpid())):
        other.lock(0.1)
    files.unlock()
    files.unlock()
    other.lock(0.0)
    other.close()


def test_the_lock_is_waited_for(files: SystemFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SystemFiles(files.directory)
    other.lock(0.0)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.unlock()

    monkeypatch.setattr("time.sleep", wait)
    files.lock(5.0)
    assert len(waits) == 3


def test_a_full_disk_does_not_keep_the_lock_from_being_taken(
    files: SystemFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", refuse(errno.ENOSPC))
    files.lock(0.0)
    with pytest.raises(DirectoryInUse, match="unknown"):
        SystemFiles(files.directory).lock(0.0)


def test_a_lock_error_is_not_taken_for_a_held_lock(
    files: SystemFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    with pytest.raises(OSError, match="locks"):
        files.lock(0.0)


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "locks"), KeyboardInterrupt()])
def test_a_lock_that_is_not_had_holds_no_descriptor(
    files: SystemFiles, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    other = SystemFiles(files.directory)
    other.lock(0.0)

    def end(_seconds: float) -> None:
        raise error

    monkeypatch.setattr("time.sleep", end)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(type(error)):
        files.lock(5.0)
    with pytest.raises(DirectoryInUse):
        files.lock(0.0)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.parametrize("existing", ["", "a", "a/b"])
def test_the_name_of_a_directory_is_durable_before_anything_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: str
) -> None:
    """Also of one that is there: whoever made it may have been killed before its name was."""
    (tmp_path / existing).mkdir(parents=True, exist_ok=True)
    synced: list[Path] = []

    def sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", sync)
    SystemFiles(str(tmp_path / "a" / "b"), create=True).close()
    above = {"": [tmp_path, tmp_path / "a"], "a": [tmp_path / "a"], "a/b": [tmp_path / "a"]}
    assert synced == above[existing]


@pytest.mark.parametrize(
    ("number", "is_used"),
    [(errno.EACCES, True), (errno.EROFS, True), (errno.EINVAL, True), (errno.EIO, False)],
)
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_directory_that_is_there_is_used_whoever_looks_after_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, *, is_used: bool
) -> None:
    (tmp_path / "a").mkdir()
    real = getattr(os, call)

    def refuse_above(*arguments: object, **keywords: object) -> object:
        is_above = arguments[0] == str(tmp_path) or isinstance(arguments[0], int)
        return refuse(number)() if is_above else real(*arguments, **keywords)

    monkeypatch.setattr(os, call, refuse_above)
    if is_used:
        SystemFiles(str(tmp_path / "a"), create=True).close()
    else:
        with pytest.raises(StorageError):
            SystemFiles(str(tmp_path / "a"), create=True)
    with pytest.raises(StorageError):
        SystemFiles(str(tmp_path / "new"), create=True)


def test_a_directory_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="opening data directory"):
        SystemFiles(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EIO, SyncFailed),
        (errno.EROFS, SyncFailed),
        (errno.EBADF, SyncFailed),
    ],
)
def test_each_error_becomes_one_of_ours(number: int, expected: type[StorageError]) -> None:
    error = storage_error(OSError(number, os.strerror(number), "log-1.seg"), "appending")
    assert type(error) is expected
    assert "log-1.seg" in str(error)
    assert str(error).startswith("appending")
