"""Applies a member's recording from its files, without the member."""

from __future__ import annotations

from pathlib import Path

from quorate.archive.files import SystemFiles
from quorate.archive.inspect import iterate_frames
from quorate.consensus.types import LogPosition
from quorate.service.api import ClusteredService
from quorate.service.container import ServiceContainer
from quorate_processes.journal import Journal


def replay(
    data_dir: Path, end: int, service: ClusteredService | None = None
) -> tuple[LogPosition, str]:
    """Return position and digest after applying the recording up to ``end``."""
    failures: list[object] = []
    container = ServiceContainer(service or Journal(), failures.append)
    container.start(None)
    files = SystemFiles(str(data_dir))
    for frame in iterate_frames(files):
        if frame.end > end:
            break
        container.begin(frame)
        while not container.step(100_000):
            pass
        container.take_outbox()
    assert not failures, failures
    return container.position, container.digest.hex()
