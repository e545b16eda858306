"""What a simulated disk holds for certain, whatever a power cut would take now.

A power cut drawn by chance finds a missing sync in one run of many; these rules find it in the
first, for they look at every sector that has another version than the page cache shows.
"""

from __future__ import annotations

from quorate.archive.loading import SegmentFile, SegmentKind, find_segments
from quorate.archive.node_state import (
    NODE_STATE_NAME,
    SLOT_LENGTH,
    SLOT_OFFSETS,
    StoredNodeState,
    decode_slot,
)
from quorate.archive.segment import FRAMES_OFFSET, NO_WATERMARK, Watermark
from quorate.archive.segment import SLOT_OFFSETS as WATERMARK_OFFSETS
from quorate.archive.segment import decode_slot as decode_watermark
from quorate.consensus.types import LogMark, LogPosition
from quorate_simulation.disk import Operation, SimulatedDisk


class UncertainHold(AssertionError):
    """A power cut now would take what must stay."""


class CertaintyRules:
    """A fault hook that injects nothing: it looks at the disk before every operation."""

    def __init__(self, disk: SimulatedDisk) -> None:
        """Watch a disk; install it as its ``fault``."""
        self._disk = disk
        self.is_started = False
        """Whether the start has returned: from then on frames go into certain files only."""

    def __call__(self, operation: Operation) -> None:
        """Look at everything.

        Raises:
            UncertainHold: A rule is broken.

        """
        if operation.name.startswith("spare"):
            return
        self._check_node_state()
        segments = find_segments(self._disk, 4096)
        sound = [found for found in segments if found.kind is SegmentKind.SOUND]
        self._check_watermark(sound)
        is_frames = operation.kind == "write" and operation.offset >= FRAMES_OFFSET
        if self.is_started and is_frames and operation.name.startswith("log-"):
            self._check_segment(operation.name)

    def _check_node_state(self) -> None:
        """Of the two slots one is certain, and knows all that the other one ever held."""
        if NODE_STATE_NAME not in self._disk.names():
            return
        versions = node_state_versions(self._disk)
        sure = [held[0] for held in versions if len(held) == 1 and held[0] is not None]
        known = max((slot.generation for slot in sure), default=-1)
        # The first of each is what is there now: it may be the change that is being written.
        before = [slot.generation for held in versions for slot in held[1:] if slot is not None]
        if not sure or known < max(before, default=0):
            raise UncertainHold(f"no slot of the node state is certain: {versions}")

    def _check_watermark(self, sound: list[SegmentFile]) -> None:
        """Whatever a watermark covers is certain, and so is the watermark before it."""
        highest = max((found.watermark for found in sound), default=NO_WATERMARK)
        certain = 0
        for found in sound:
            if found.base < highest.mark.position:
                self._check_covered(found, highest.mark.position)
            if found.name not in self._disk.uncertain_names:
                certain = max(certain, certain_generation(self._disk, found.name))
        if certain < highest.generation - 1:
            raise UncertainHold(f"{highest}, but certain is only generation {certain}")

    def _check_covered(self, found: SegmentFile, end: LogPosition) -> None:
        if found.name in self._disk.uncertain_names:
            raise UncertainHold(f"the watermark covers {found.name}, whose name is not synced")
        if places := uncertain_below(self._disk, found, end):
            raise UncertainHold(f"the watermark {end} covers {found.name}, not synced at {places}")

    def _check_segment(self, name: str) -> None:
        """Before the first frame goes into a file, its name and its header are certain."""
        heads = [at for at in self._disk.uncertain(name) if at < WATERMARK_OFFSETS[0]]
        if name in self._disk.uncertain_names or heads:
            raise UncertainHold(f"a frame goes into {name}, which a power cut may take")


def node_state_versions(disk: SimulatedDisk) -> list[list[StoredNodeState | None]]:
    """Return for each slot what it holds, then what else a power cut may leave there."""
    content, uncertain = disk.content(NODE_STATE_NAME), disk.uncertain(NODE_STATE_NAME)
    return [
        [decode_slot(held[:SLOT_LENGTH]) for held in (content[at:], *uncertain.get(at, []))]
        for at in SLOT_OFFSETS
    ]


def certain_generation(disk: SimulatedDisk, name: str) -> int:
    """Return the highest generation of a watermark that no power cut takes from this segment."""
    content, uncertain = disk.content(name), disk.uncertain(name)
    certain = 0
    for at in WATERMARK_OFFSETS:
        held = [decode_watermark(data) for data in (content[at:], *uncertain.get(at, []))]
        certain = max(certain, min(_generation(slot) for slot in held))
    return certain


def _generation(watermark: Watermark | None) -> int:
    return 0 if watermark is None else watermark.generation


def uncertain_below(disk: SimulatedDisk, found: SegmentFile, end: LogPosition) -> list[int]:
    """Return at which offsets of a segment its header, or a frame below ``end``, may change."""
    limit = FRAMES_OFFSET + max(0, end - found.base)
    content, places = disk.content(found.name), []
    for at, versions in disk.uncertain(found.name).items():
        counts = at < WATERMARK_OFFSETS[0] or at >= FRAMES_OFFSET
        length = max(0, limit - at)
        present = content[at : at + length]
        if counts and any(version[: len(present)] != present for version in versions):
            places.append(at)
    return places


def uncertain_after_start(disk: SimulatedDisk, end: LogMark) -> list[str]:
    """Return what a power cut could take of a directory that a start has made ready."""
    found = [f"the name {name}" for name in sorted(disk.uncertain_names)]
    slots = node_state_versions(disk)
    if any(len(held) > 1 for held in slots) or slots[0] != slots[1]:
        found.append(f"a slot of the node state: {slots}")
    segments = find_segments(disk, 4096)
    for segment in segments:
        found += [f"{segment.name} at {at}" for at in uncertain_below(disk, segment, end.position)]
    highest = max((segment.watermark for segment in segments), default=NO_WATERMARK)
    if max((certain_generation(disk, s.name) for s in segments), default=0) < highest.generation:
        found.append(f"{highest}")
    if segments and highest.mark != end:
        found.append(f"{highest} does not stand at the end {end}")
    return found
