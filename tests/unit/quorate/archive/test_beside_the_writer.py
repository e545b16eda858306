"""What other threads do with an archive while one persists: every switch between two steps.

The interpreter may change threads between any two of them, and does so seldom enough that no
test sees it by chance. So the other thread's work is done from inside the step.
"""

from __future__ import annotations

import itertools
import threading
from random import Random

import pytest

from quorate.archive.recording import Recording
from quorate.archive.segment import Segment
from quorate.config import Durability
from quorate.consensus.types import LogPosition
from quorate.errors import QuorateError
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import Operation, SimulatedDisk


def member() -> ArchiveDriver:
    """Return a member with a log over three segments."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([b"founding"])
    while driver.archive.end.position < 2 * driver.segment_length:
        driver.append([bytes(700)])
    return driver


class SlowReader:
    """A thread that reads one frame and does not get at its bytes before it is told to go on."""

    def __init__(self, recording: Recording, position: LogPosition) -> None:
        self.recording = recording
        self.position = position
        self.outcome: bytes | Exception | None = None
        self.is_on_its_way = threading.Event()
        self.goes_on = threading.Event()
        self.thread = threading.Thread(target=self._read)

    def start(self) -> None:
        """Let it look where the log ends, and wait."""
        self.thread.start()
        assert self.is_on_its_way.wait(20)

    def finish(self) -> bytes | Exception | None:
        """Let it read; return the bytes, or what was raised."""
        self.goes_on.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.outcome

    def pause(self) -> None:
        """Wait, where it is this thread that reads."""
        if threading.current_thread() is self.thread:
            self.is_on_its_way.set()
            assert self.goes_on.wait(20)

    def _read(self) -> None:
        try:
            self.outcome = self.recording.read(self.position, 1)
        except QuorateError as error:
            self.outcome = error
        self.is_on_its_way.set()


def read_beside_truncation(monkeypatch: pytest.MonkeyPatch, step: int) -> bool:
    """Begin a read behind the n-th change of the recording; False where it makes fewer."""
    driver = member()
    kept = len(driver.frames) // 3
    frame = driver.frames[kept + 1]
    recording = driver.archive._recording
    reader = SlowReader(recording, frame.position)
    read, changes = Segment.read, itertools.count(1)

    def read_slowly(segment: Segment, position: LogPosition, length: int) -> bytes:
        reader.pause()
        return read(segment, position, length)

    def change(changed: Recording, name: str, value: object) -> None:
        object.__setattr__(changed, name, value)
        if next(changes) == step:
            reader.start()

    with monkeypatch.context() as patched:
        patched.setattr(Segment, "read", read_slowly)
        patched.setattr(Recording, "__setattr__", change)
        driver.truncate(kept)
    if not reader.is_on_its_way.is_set():
        return False
    assert reader.finish() in (frame.data, b""), f"begun behind change {step}"
    return True


def test_a_read_begun_at_any_step_of_a_truncation_is_no_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = itertools.takewhile(
        lambda step: read_beside_truncation(monkeypatch, step), itertools.count(1)
    )
    assert len(list(steps)) > 3


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize(("owner", "step"), [(SimulatedDisk, "open"), (Segment, "read")])
def test_a_read_that_a_truncation_overtakes_is_no_damage(
    monkeypatch: pytest.MonkeyPatch, owner: type, step: str, which: int
) -> None:
    """It has looked where the log ends; then its file is gone, or zeros stand where it reads."""
    driver = member()
    kept = len(driver.frames) // 3
    frame = driver.frames[kept:][which]
    reader = SlowReader(driver.archive._recording, frame.position)
    real = getattr(owner, step)

    def slowly(*arguments: object, **keywords: object) -> object:
        reader.pause()
        return real(*arguments, **keywords)

    monkeypatch.setattr(owner, step, slowly)
    reader.start()
    driver.truncate(kept)
    assert reader.finish() in (frame.data, b"")


@pytest.mark.parametrize("durability", list(Durability))
def test_a_read_at_any_step_of_an_append_gives_nothing_that_is_not_written(
    durability: Durability,
) -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)), durability=durability)
    driver.reopen()
    driver.append([b"founding"])
    archive, steps = driver.archive, 0

    def read(_: Operation) -> None:
        nonlocal steps
        steps += 1
        data, position = b"", begins
        while piece := archive.read(position, 1000):
            data += piece
            position = LogPosition(position + len(piece))
        assert position == archive.end.position
        assert driver.builder.end.position - begins >= len(data)

    for _ in range(3):
        begins = archive.end.position
        driver.disk.fault = read
        driver.append([bytes(900)] * 3)
        driver.disk.fault = None
    assert steps > 10
