"""How many segments a batch of effects takes is known before anything of it is done."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.archive.archive import PersistEffect
from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import LogFrame
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk

SEGMENT_LENGTH = 4096
LENGTHS = st.sampled_from([0, 60, 900, SEGMENT_LENGTH // 4 - 64])
APPEND = st.tuples(st.just("append"), st.lists(LENGTHS, min_size=1, max_size=8))
TRUNCATE = st.tuples(st.just("truncate"), st.integers(0, 100))
VOTE = st.tuples(st.just("vote"), st.none())
BATCHES = st.lists(
    st.lists(st.one_of(APPEND, TRUNCATE, VOTE), min_size=1, max_size=5), min_size=1, max_size=4
)


class Batches:
    """Makes batches of effects as a consensus module would, on an archive of its own."""

    def __init__(self) -> None:
        self.driver = ArchiveDriver(SimulatedDisk(Random(1)), segment_length=SEGMENT_LENGTH)
        self.driver.reopen()
        self.archive = self.driver.archive
        self.frames: list[LogFrame] = self.driver.frames
        self.sequence = 0

    def effects(self, batch: list[tuple[str, object]]) -> list[PersistEffect]:
        """Return what a batch asks for, in order."""
        return [self.effect(kind, value) for kind, value in batch]

    def effect(self, kind: str, given: object) -> PersistEffect:
        """Return the next effect, and let what comes behind it follow."""
        self.sequence += 1
        if kind == "vote":
            return StoreNodeState(self.sequence, self.driver.state)
        if kind == "truncate":
            assert isinstance(given, int)
            kept = len(self.frames) * given // 100
            del self.frames[kept:]
            self.driver.rewind()
            return TruncateLog(self.sequence, self.driver.mark(kept))
        assert isinstance(given, list)
        added = [frame for n in given for frame in self.driver.builder.frame(bytes(n))]
        self.frames.extend(added)
        return AppendToLog(self.sequence, tuple(added))


@settings(deadline=None)
@given(BATCHES)
def test_as_many_spares_are_reserved_as_a_batch_takes(
    batches: list[list[tuple[str, object]]],
) -> None:
    made = Batches()
    archive, spares = made.archive, made.archive.spares
    take, taken = spares.take, []

    def counted() -> str:
        taken.append(take())
        return taken[-1]

    spares.take = counted  # type: ignore[method-assign]
    for batch in batches:
        effects = made.effects(batch)
        missing = archive._recording.missing_segments(effects)
        taken.clear()
        archive.persist(effects)
        assert len(taken) == missing
        assert archive.end == made.driver.mark(len(made.frames))


@settings(deadline=None)
@given(BATCHES)
def test_a_batch_that_was_begun_never_meets_a_full_disk(
    batches: list[list[tuple[str, object]]],
) -> None:
    """What is reserved is all: from then on the disk may take nothing more."""
    made = Batches()
    archive, disk = made.archive, made.driver.disk
    for batch in batches:
        effects = made.effects(batch)
        archive._reserve(effects)
        disk.capacity = disk.used_bytes
        archive.persist(effects)
        disk.capacity = None
        assert archive.end == made.driver.mark(len(made.frames))
