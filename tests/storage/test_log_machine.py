"""The archive against a list: Hypothesis picks operations and shrinks what breaks them."""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from quorate.archive.inspect import iterate_frames
from quorate.config import Durability
from quorate.consensus.types import LeadershipTermId, LogPosition
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedCrash, SimulatedDisk

SEGMENT_LENGTH = 4096


class LogMachine(RuleBasedStateMachine):
    """Append, truncate, vote, wait, crash and cut the power, at any operation."""

    @initialize(durability=st.sampled_from(Durability), seed=st.integers(0, 2**16))
    def start(self, durability: Durability, seed: int) -> None:
        disk = SimulatedDisk(Random(seed))
        self.driver = ArchiveDriver(disk, segment_length=SEGMENT_LENGTH, durability=durability)
        self.driver.reopen()

    @rule(lengths=st.lists(st.integers(0, SEGMENT_LENGTH // 4 - 64), min_size=1, max_size=6))
    def append(self, lengths: list[int]) -> None:
        self.driver.append([bytes([length % 256]) * length for length in lengths])

    @precondition(lambda self: len(self.driver.frames) > self.driver.state.founded)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        lowest = int(self.driver.state.founded)
        self.driver.truncate(data.draw(st.integers(lowest, len(self.driver.frames))))

    @rule(step=st.integers(1, 3))
    def raise_term(self, step: int) -> None:
        state = self.driver.state
        term = LeadershipTermId(state.candidate_term_id + step)
        self.driver.store(state._replace(candidate_term_id=term))

    @precondition(lambda self: self.driver.frames and not self.driver.state.founded)
    @rule()
    def found(self) -> None:
        self.driver.store(self.driver.state._replace(founded=True))

    @rule(seconds=st.sampled_from([0.1, 2.0]))
    def wait(self, seconds: float) -> None:
        self.driver.idle(seconds)

    @rule()
    def prepare_spare(self) -> None:
        self.driver.prepare_spare()

    @rule()
    def stop_and_start(self) -> None:
        self.driver.close_clean()
        self.driver.reopen()

    @rule(
        lengths=st.lists(st.integers(0, 900), min_size=1, max_size=4),
        operations=st.integers(1, 12),
        power=st.none() | st.integers(0, 2**16),
    )
    def crash_while_appending(self, lengths: list[int], operations: int, power: int | None) -> None:
        self.driver.disk.crash_at = self.driver.disk.operations + operations
        with contextlib.suppress(SimulatedCrash):
            self.driver.append([bytes(length) for length in lengths])
        self.driver.crash(None if power is None else Random(power))
        self.driver.reopen(power_was_cut=power is not None)

    @invariant()
    def the_log_is_the_list(self) -> None:
        if not hasattr(self, "driver"):
            return
        frames = self.driver.frames
        assert self.driver.archive.end == self.driver.mark(len(frames))
        assert self.driver.read_all() == b"".join(frame.data for frame in frames)

    @invariant()
    def any_boundary_can_be_read_from(self) -> None:
        if not hasattr(self, "driver") or not self.driver.frames:
            return
        frame = self.driver.frames[len(self.driver.frames) // 2]
        assert self.driver.archive.read(frame.position, 1) == frame.data
        start = LogPosition(frame.position + 1)
        assert next(iterate_frames(self.driver.disk, start)) == frame


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=60, stateful_step_count=25)
pytestmark = pytest.mark.timeout(120)
