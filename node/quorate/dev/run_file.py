"""Where other commands find a running ``quorate dev``: one small file for each that runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from quorate.dev.layout import lock_directory
from quorate.errors import NotConnected


@dataclass(frozen=True, slots=True)
class RunningDev:
    """What a command needs to talk to the cluster."""

    directory: str
    cluster_id: str
    client_addresses: tuple[str, ...]
    control_addresses: tuple[str, ...]

    @property
    def token(self) -> str:
        """The bearer token of admin actions; for the owner of the directory."""
        return (Path(self.directory) / "token").read_text().strip()


def run_directory() -> Path:
    """Return ``$XDG_RUNTIME_DIR/quorate``, or ``~/.quorate/run`` without one.

    Raises:
        NotConnected: There is neither that variable nor a home directory.

    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "quorate"
    try:
        return Path.home() / ".quorate" / "run"
    except RuntimeError as error:
        raise NotConnected("no home directory, and XDG_RUNTIME_DIR is not set") from error


@contextmanager
def published(running: RunningDev) -> Iterator[None]:
    """Let other commands find this cluster while the block runs."""
    folder = run_directory()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left_behind in _files_of(running.directory):
        left_behind.unlink(missing_ok=True)
    file = folder / f"dev-{os.getpid()}.json"
    file.write_text(json.dumps(asdict(running)), encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def find_running(directory: Path | None = None) -> RunningDev:
    """Return the one cluster of ``quorate dev`` that runs, or the one on ``directory``.

    Raises:
        NotConnected: None runs, or several do and none was named.

    """
    running = [
        found
        for found in _all_running()
        if directory is None or directory.resolve() == Path(found.directory).resolve()
    ]
    if not running:
        where = "" if directory is None else f" on {directory}"
        raise NotConnected(
            f"no quorate dev runs{where}: start one with `quorate dev`, or name addresses"
        )
    if len(running) > 1:
        names = ", ".join(found.directory for found in running)
        raise NotConnected(f"several quorate dev run ({names}): name one with --directory")
    return running[0]


def _all_running() -> list[RunningDev]:
    found = (_read(file) for file in _files())
    return [running for running in found if running is not None and _is_held(running)]


def _files() -> list[Path]:
    folder = run_directory()
    return sorted(folder.glob("dev-*.json")) if folder.is_dir() else []


def _files_of(directory: str) -> list[Path]:
    """Return what killed supervisors of this directory left: only one can run on it."""
    read = ((file, _read(file)) for file in _files())
    return [file for file, found in read if found is not None and found.directory == directory]


def _read(file: Path) -> RunningDev | None:
    """Read one file; one that was left behind half written names no cluster."""
    try:
        mapping = json.loads(file.read_bytes())
        values = {item.name: mapping[item.name] for item in fields(RunningDev)}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    addresses = {
        name: tuple(map(str, value)) for name, value in values.items() if isinstance(value, list)
    }
    return RunningDev(**(values | addresses))


def _is_held(running: RunningDev) -> bool:
    """Tell whether a supervisor holds the directory: a killed one leaves its file behind."""
    try:
        lock = lock_directory(Path(running.directory))
    except OSError:
        return False
    if lock is None:
        return True
    os.close(lock)
    return False
