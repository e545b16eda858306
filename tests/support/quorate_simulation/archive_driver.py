"""An archive on a simulated disk beside a model of what it must still know after any cut.

The model is deliberately dumb: a list of frames whose persist has returned, a node state, and
the one effect under way. ``reopen`` starts a new life and says what is wrong, if anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import pytest

from quorate.archive.archive import Archive, PersistEffect
from quorate.archive.inspect import iterate_frames
from quorate.archive.loading import find_segments
from quorate.archive.segment import Segment, segment_base, segment_name
from quorate.archive.verify import FindingSeverity, verify_directory
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    LOG_START,
    ClusterId,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    MemberId,
    NodeState,
    RecoveringReason,
    TermRecord,
)
from quorate_simulation.certain import uncertain_after_start
from quorate_simulation.disk import SimulatedDisk
from quorate_simulation.logs import LogBuilder

CLUSTER = ClusterId(b"cluster-of-tests")
CANDIDATES = tuple(MemberId(bytes([n]) * 16) for n in range(1, 4))


class ModelBroken(AssertionError):
    """The archive knows something else than it must."""


class ArchiveDriver:
    """Runs operations on an archive and compares each new life with the model."""

    def __init__(
        self,
        disk: SimulatedDisk,
        *,
        segment_length: int = 4096,
        durability: Durability = Durability.FSYNC,
    ) -> None:
        """Use a disk that may be empty; ``reopen`` opens it."""
        self.disk = disk
        self.segment_length = segment_length
        self.durability = durability
        """Of the next life."""
        self.tried: set[Durability] = {durability}
        """Of the last life whose start has returned, and of starts that did not return since."""
        self.builder = LogBuilder(segment_length)
        self.frames: list[LogFrame] = []
        self.state = BLANK_NODE_STATE
        self.synced_count = 0
        """Frames that a power cut must not take."""
        self.promised_count = 0
        """Frames that the last life has told others of: a start says so if one is missing."""
        self.generation = 0
        self.under_way: PersistEffect | None = None
        self.boot = 0
        self.lives = 0
        self.now_s = 0.0
        self.sequence = 0
        self._archive: Archive | None = None
        self._has_lost = False

    @property
    def archive(self) -> Archive:
        """The archive of this life."""
        assert self._archive is not None
        return self._archive

    # ------------------------------------------------------------------------ operations

    def append(self, bodies: Sequence[bytes], term: int | None = None) -> None:
        """Append one frame for each body, all in one effect."""
        term = self.state.candidate_term_id if term is None else term
        frames = [frame for body in bodies for frame in self.builder.frame(body, term)]
        self._persist(AppendToLog(self._next(), tuple(frames)))
        self.frames.extend(frames)
        self._confirm()

    @contextmanager
    def appending_behind_a_sync(self, bodies: Sequence[bytes]) -> Iterator[None]:
        """Append right behind the next sync of a segment, which does not cover that any more."""
        with pytest.MonkeyPatch.context() as patched:

            def sync_then_append(segment: Segment) -> None:
                patched.undo()
                segment.sync()
                self.append(bodies)

            patched.setattr(Segment, "sync", sync_then_append)
            yield

    def append_beside_syncs(self, batches: Sequence[Sequence[bytes]], random: Random) -> None:
        """Write each batch at once, beside the sync of the one before, as an event loop does.

        Whether that sync reached the disk before the write or after it is left to chance, and
        so is whether the writing thread finds time for idle work meanwhile.
        """
        running: tuple[LogMark, int] | None = None
        late = False
        for bodies in batches:
            term = self.state.candidate_term_id
            frames = [frame for body in bodies for frame in self.builder.frame(body, term)]
            effect = AppendToLog(self._next(), tuple(frames))
            self.under_way = effect
            if not self.archive.write_at_once([effect]):
                self._end_sync(running, late=late)
                self._end_sync(self._begin_sync(late=False), late=False)
                running = None
                self._persist(effect)
            self.frames.extend(frames)
            self.under_way = None
            self._end_sync(running, late=late)
            late = random.random() < 0.5
            running = self._begin_sync(late=late)
            for _ in range(random.choice((0, 0, 3))):
                self.now_s += 1.0
                self.archive.idle(self.now_s)
        self._end_sync(running, late=late)
        self._confirm()

    def _begin_sync(self, *, late: bool) -> tuple[LogMark, int] | None:
        if self.archive.synced == self.archive.end:
            return None
        mark = self.archive.begin_sync()
        self._check_watermark_of_append(self.archive.synced)
        if not late:
            self._sync_segment()
        return mark, sum(frame.position < mark.position for frame in self.frames)

    def _end_sync(self, running: tuple[LogMark, int] | None, *, late: bool) -> None:
        if running is None:
            return
        if late:
            self._sync_segment()
        mark, count = running
        self.archive.end_sync(mark)
        self.synced_count = count

    def _sync_segment(self) -> None:
        """Do what the kernel does when it is asked for the last segment's descriptor."""
        last = self.archive.end.position - 1
        file = self.disk.open(segment_name(last - last % self.segment_length))
        try:
            file.sync()
        except OSError as error:
            raise self.archive.fail(error) from error
        finally:
            file.close()

    def store(self, state: NodeState) -> None:
        """Store a node state."""
        self._persist(StoreNodeState(self._next(), state))
        self.state = state
        self._confirm()

    def truncate(self, count: int) -> None:
        """Keep the first ``count`` frames."""
        self._persist(TruncateLog(self._next(), self.mark(count)))
        del self.frames[count:]
        self.rewind()
        self._confirm()

    def idle(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.archive.idle(self.now_s)
        self.archive.sync_if_due(self.now_s)
        self._confirm()

    def prepare_spare(self) -> None:
        """Prepare one piece of a spare."""
        self.archive.prepare_spare()

    def close_clean(self) -> None:
        """End this life properly."""
        self.archive.close_clean()
        if self.disk.open_files:
            left = sorted(file.name for file in self.disk.open_files)
            raise ModelBroken(f"closed, but still open are {left}")
        self.synced_count = self.promised_count = len(self.frames)
        self._archive = None

    def random_operation(self, random: Random) -> None:
        """Do something that a member could do now."""
        choice = random.randrange(20)
        if choice < 11:
            count = random.choice((1, 1, 1, 2, 5))
            longest = random.choice((0, 60, 300, self.segment_length // 4 - 64))
            bodies = [random.randbytes(random.randint(0, longest)) for _ in range(count)]
            if self.archive.durability is Durability.FSYNC and random.random() < 0.5:
                self.append_beside_syncs([[body] for body in bodies], random)
            else:
                self.append(bodies)
        elif choice < 13:
            self._random_vote(random)
        elif choice < 15 and self.frames:
            # Once founded, the founding frame is committed: nobody takes it away.
            lowest = max(random.choice((0, len(self.frames) // 2)), int(self.state.founded))
            self.truncate(self._random_count(random, lowest))
        elif choice < 17:
            self.idle(random.choice((0.1, 1.5)))
        elif choice < 19:
            self.prepare_spare()
        else:
            self.close_clean()
            self.reopen()

    def _random_count(self, random: Random, lowest: int) -> int:
        """Pick how many frames stay; every other time up to the end of a segment."""
        counts = range(lowest, len(self.frames) + 1)
        whole = [n for n in counts if n and self.mark(n).position % self.segment_length == 0]
        return random.choice(whole if whole and random.random() < 0.5 else counts)

    def _random_vote(self, random: Random) -> None:
        state = self.state
        if random.random() < 0.7:
            term = LeadershipTermId(state.candidate_term_id + random.randint(1, 2))
            state = state._replace(candidate_term_id=term, vote=random.choice(CANDIDATES))
        elif self.frames:
            state = state._replace(founded=True)
        self.store(state)

    # ------------------------------------------------------------------------------ lives

    def crash(self, power: Random | None) -> None:
        """End this life: the process only, or the machine where a random source is given."""
        if self._archive is not None:
            # What was written beside a sync that had not ended was promised to nobody.
            is_synced_first = self._archive.durability is Durability.FSYNC
            self.promised_count = self.synced_count if is_synced_first else len(self.frames)
        if power is None:
            self.disk.crash_process()
        else:
            self.disk.power_cut(power)
            self.boot += 1
            # What is left is on the disk, so no cut of the next start may take it away.
            self.generation = max(self.generation, self._highest_generation())
        self._archive = None

    def reopen(self, *, power_was_cut: bool = False) -> None:
        """Open the directory anew and compare what it knows with the model.

        Raises:
            ModelBroken: It knows something else.

        """
        self._check_watermark()
        archive = self.open_archive()
        self._check_log(power_was_cut=power_was_cut)
        self._check_state()
        if archive.watermark.generation < self.generation:
            raise ModelBroken(f"{archive.watermark} fell below generation {self.generation}")
        severe = [
            finding
            for finding in verify_directory(self.disk)
            if finding.severity is not FindingSeverity.NOTE
        ]
        if severe:
            raise ModelBroken(f"after a start the verifier finds {severe}")
        if uncertain := uncertain_after_start(self.disk, archive.end):
            raise ModelBroken(f"a start has told of what a power cut may take: {uncertain}")
        self.under_way = None
        self.tried = {self.durability}
        self.rewind()
        self._confirm()

    def open_archive(self) -> Archive:
        """Begin a life without comparing anything."""
        self.lives += 1
        self.tried.add(self.durability)
        self._archive = Archive.open(
            self.disk,
            cluster_id=CLUSTER,
            constants=ClusterConstants(segment_length=self.segment_length),
            durability=self.durability,
            boot_id=self.boot.to_bytes(16, "big"),
            new_member_id=MemberId(self.lives.to_bytes(16, "big")),
        )
        return self._archive

    def mark(self, count: int) -> LogMark:
        """Return the boundary behind the first ``count`` frames."""
        if count == 0:
            return LOG_START
        last = self.frames[count - 1]
        return LogMark(last.end, last.leadership_term_id, last.chain)

    # ----------------------------------------------------------------------------- checks

    def _check_watermark(self) -> None:
        """Look for the durable watermark where it has to be: on the disk, before the start."""
        generation = self._highest_generation()
        if generation < self.generation:
            raise ModelBroken(f"watermark {self.generation} is gone, the highest is {generation}")

    def _highest_generation(self) -> int:
        segments = find_segments(self.disk, self.segment_length)
        return max((found.watermark.generation for found in segments), default=0)

    def _check_log(self, *, power_was_cut: bool) -> None:
        recovered = self.archive.recovered
        shortest, longest = self._bounds()
        found = list(iterate_frames(self.disk))
        self._has_lost = len(found) < min(shortest, self.promised_count)
        if power_was_cut:
            shortest = min(shortest, self.synced_count)
        if found != longest[: len(found)]:
            raise ModelBroken("the log holds frames that were never written there")
        if len(found) < shortest:
            raise ModelBroken(f"{shortest - len(found)} frames lost below {shortest}")
        self.frames = found
        expected = (self.mark(len(found)), _terms(found), found[-1].timestamp if found else 0)
        if (recovered.end, recovered.terms, recovered.last_timestamp) != expected:
            raise ModelBroken(f"recovered {recovered}, but the frames say {expected}")
        if recovered.founding != (found[0] if found else None):
            raise ModelBroken("the founding frame is not the first one")
        if self.read_all() != b"".join(frame.data for frame in found):
            raise ModelBroken("reading the log gives other bytes than its frames")

    def _bounds(self) -> tuple[int, list[LogFrame]]:
        """Return how many frames must be there, and the longest log that may."""
        longest, shortest = list(self.frames), len(self.frames)
        if isinstance(self.under_way, AppendToLog):
            longest.extend(self.under_way.frames)
        elif isinstance(self.under_way, TruncateLog):
            end = self.under_way.end.position
            shortest = sum(frame.position < end for frame in self.frames)
        return shortest, longest

    def read_all(self) -> bytes:
        """Return every frame's bytes, read piece by piece as for catch-up."""
        data = b""
        while piece := self.archive.read(LogPosition(len(data)), 1000):
            data += piece
        return data

    def _check_state(self) -> None:
        state = self.archive.recovered.node_state
        allowed = [self.state]
        if isinstance(self.under_way, StoreNodeState):
            allowed.append(self.under_way.state)
        reason = state.recovering.reason
        plain = state._replace(recovering=self.state.recovering)
        if plain not in allowed:
            raise ModelBroken(f"node state {state}, expected one of {allowed}")
        was_recovering = self.state.recovering.reason is not RecoveringReason.NONE
        may_have_lost = state.founded and Durability.REPLICATED in self.tried
        if reason is RecoveringReason.UNSYNCED and not (may_have_lost or was_recovering):
            raise ModelBroken(f"recovering without a cause: {state}")
        if reason is RecoveringReason.DAMAGED and (self.frames or not state.founded):
            raise ModelBroken(f"recovering from damage that nobody did: {state}")
        if self._has_lost and state.founded and reason is RecoveringReason.NONE:
            raise ModelBroken("frames that persist has promised are gone, and nothing says so")
        self.state = state

    # ----------------------------------------------------------------------------- common

    def _persist(self, effect: PersistEffect) -> None:
        self.under_way = effect
        synced = self.archive.synced
        done = self.archive.persist([effect])
        assert done == effect.sequence
        if isinstance(effect, AppendToLog):
            self._check_watermark_of_append(synced)

    def _confirm(self) -> None:
        """Take over what an operation that has returned promises."""
        self.under_way = None
        synced = self.archive.synced.position
        self.synced_count = sum(frame.position < synced for frame in self.frames)
        assert self.synced_count >= min(1, len(self.frames)), "the founding frame is synced"
        if self.archive.durability is Durability.FSYNC:
            assert self.synced_count == len(self.frames)
            self.generation = self.archive.watermark.generation
        self._check_terms()
        self._check_room()
        self._check_open_files()

    def _check_watermark_of_append(self, synced: LogMark) -> None:
        """Look that whatever was synced before is covered: rot there is damage, never torn."""
        if self.archive.watermark.mark.position < synced.position:
            raise ModelBroken(f"{self.archive.watermark} beside an append, but {synced} was synced")

    def _check_terms(self) -> None:
        """Compare the term table, by which a truncation is checked, with the frames."""
        told = self.archive._recording.recording_log.records
        if told != _terms(self.frames):
            raise ModelBroken(f"the terms are {_terms(self.frames)}, the recording has {told}")

    def _check_room(self) -> None:
        """Compare how far the log can grow, as the leader is told, with the files there are."""
        bases = [base for base in map(segment_base, self.disk.names()) if base is not None]
        room_end = max(bases) + self.segment_length if bases else 0
        if self.archive._recording.segments_end != room_end:
            told = self.archive._recording.segments_end
            raise ModelBroken(f"segments are said to end at {told}, they end at {room_end}")

    def _check_open_files(self) -> None:
        """Look for files that nobody closes: a member lives for months."""
        opened = [file.name for file in self.disk.open_files if file.is_writable]
        segments = [name for name in opened if segment_base(name) is not None]
        if self.archive.durability is Durability.FSYNC and len(segments) > 1:
            raise ModelBroken(f"all but the last segment are synced, but open are {segments}")
        if len(opened) != len(set(opened)):
            raise ModelBroken(f"opened and not closed: {sorted(opened)}")

    def rewind(self) -> None:
        """Let the next frame follow the model's last one."""
        timestamp = self.frames[-1].timestamp if self.frames else 0
        self.builder.back_to(self.mark(len(self.frames)), timestamp)

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence


def _terms(frames: Sequence[LogFrame]) -> tuple[TermRecord, ...]:
    """Return the term table as anyone would derive it."""
    records: list[TermRecord] = []
    for frame in frames:
        if not records or records[-1].leadership_term_id != frame.leadership_term_id:
            records.append(
                TermRecord(frame.leadership_term_id, frame.position, frame.previous_chain)
            )
    return tuple(records)
