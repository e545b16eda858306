"""``quorate verify``: check every file of a data directory and say what is amiss, changing nothing.

Meant for a member that does not run; beside a running one, the frames being written and the
second copy of a node state may show as findings that a start would heal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from enum import Enum
from typing import NamedTuple, TypeVar

from quorate.archive.files import DataFile, FileSystem, storage_error
from quorate.archive.loading import (
    Scan,
    SegmentFile,
    SegmentKind,
    find_segments,
    scan_recording,
)
from quorate.archive.node_state import (
    NODE_STATE_NAME,
    NODE_STATE_TEMPORARY,
    StoredNodeState,
    read_slots,
)
from quorate.archive.opening import HARMLESS, is_of_member, is_of_same_member
from quorate.archive.segment import (
    FRAMES_OFFSET,
    HEADER_LENGTH,
    PAGE_LENGTH,
    PIECE_LENGTH,
    SLOT_LENGTH,
    SLOT_OFFSETS,
    SegmentHeader,
    decode_slot,
    is_zero,
    segment_base,
    segment_name,
)
from quorate.archive.spares import is_spare_name, is_temporary_name
from quorate.consensus.types import Recovering, RecoveringReason
from quorate.errors import StorageError

_Result = TypeVar("_Result")


class FindingSeverity(Enum):
    """What a finding means for the next start."""

    NOTE = "note"
    """Nothing is wrong; worth knowing."""
    HEALS = "heals"
    """The next start repairs it alone, without loss."""
    DAMAGE = "damage"
    """The member comes back as recovering, or not at all."""


class Finding(NamedTuple):
    """One thing that is amiss in one file."""

    name: str
    """Of the file."""
    severity: FindingSeverity
    detail: str


def verify_directory(files: FileSystem) -> list[Finding]:
    """Check every file of a data directory.

    Args:
        files: Read only; no lock is taken.

    Returns:
        Findings in the order of the checks; empty when all is well.

    Raises:
        StorageError: A file could not be read at all.

    """
    try:
        verifier = _Verifier(files)
        verifier.run()
    except OSError as error:
        raise storage_error(error, "verifying the data directory") from error
    return verifier.findings


class _Verifier:
    """One run over a directory; collects findings."""

    def __init__(self, files: FileSystem) -> None:
        self.files = files
        self.names = files.names()
        self.findings: list[Finding] = []

    def run(self) -> None:
        stored = self._attempt(NODE_STATE_NAME, self._check_node_state)
        segments = self._attempt("the recording", lambda: find_segments(self.files, 0))
        if segments:
            self._attempt("the recording", lambda: self._check_recording(segments, stored))
        elif stored is not None and stored.node_state.founded:
            self._add(NODE_STATE_NAME, FindingSeverity.DAMAGE, "founded, but there is no log")
        for name in self.names:
            self._check_other(name)

    def _add(self, name: str, severity: FindingSeverity, detail: str) -> None:
        self.findings.append(Finding(name, severity, detail))

    def _attempt(self, name: str, check: Callable[[], _Result]) -> _Result | None:
        """Run a check; what it refuses to read at all is damage."""
        try:
            return check()
        except StorageError as error:
            self._add(name, FindingSeverity.DAMAGE, str(error))
            return None

    # -------------------------------------------------------------------------- node state

    def _check_node_state(self) -> StoredNodeState | None:
        if NODE_STATE_NAME not in self.names:
            used = any(segment_base(name) is not None for name in self.names)
            severity = FindingSeverity.DAMAGE if used else FindingSeverity.NOTE
            self._add(NODE_STATE_NAME, severity, "missing: the directory is not formatted")
            return None
        with self._open(NODE_STATE_NAME) as file:
            slots = read_slots(file)
        valid = [slot for slot in slots if slot is not None]
        for number, slot in enumerate(slots):
            if slot is None:
                severity = FindingSeverity.HEALS if valid else FindingSeverity.DAMAGE
                self._add(NODE_STATE_NAME, severity, f"slot {number} is not valid")
        if not valid:
            return None
        stored = max(valid, key=lambda slot: slot.generation)
        if any(slot.generation != stored.generation for slot in valid):
            detail = f"the slots differ; generation {stored.generation} counts"
            self._add(NODE_STATE_NAME, FindingSeverity.HEALS, detail)
        self._tell_recovering(stored.node_state.recovering)
        return stored

    def _tell_recovering(self, recovering: Recovering) -> None:
        if recovering.reason is not RecoveringReason.NONE:
            detail = (
                f"recovering ({recovering.reason.name.lower()}): may have acknowledged up to "
                f"position {recovering.position} of term {recovering.leadership_term_id}"
            )
            self._add(NODE_STATE_NAME, FindingSeverity.NOTE, detail)

    # --------------------------------------------------------------------------- recording

    def _check_recording(self, segments: list[SegmentFile], stored: StoredNodeState | None) -> None:
        headers = [found.header for found in segments if found.header is not None]
        for found in segments:
            self._check_segment(found, stored, headers)
        if not headers:
            return
        scan = scan_recording(self.files, segments, headers[0].segment_length)
        end, watermark = scan.end, scan.watermark.mark
        if end.position < watermark.position:
            detail = (
                f"no good log frame at {end.position}, below the durable watermark "
                f"{watermark.position}"
            )
            name = segment_name(end.position - end.position % scan.segment_length)
            self._add(name, FindingSeverity.DAMAGE, detail)
        else:
            self._check_tail(segments, scan)
        if stored is None:
            return
        if stored.node_state.founded and end.position == 0:
            self._add(NODE_STATE_NAME, FindingSeverity.DAMAGE, "founded, but the log is empty")
        if end.leadership_term_id > stored.node_state.candidate_term_id:
            detail = f"the log ends in term {end.leadership_term_id}, never seen here"
            self._add(NODE_STATE_NAME, FindingSeverity.DAMAGE, detail)

    def _check_segment(
        self,
        found: SegmentFile,
        stored: StoredNodeState | None,
        headers: list[SegmentHeader],
    ) -> None:
        if found.header is None:
            self._check_headless(found)
            return
        header = found.header
        if stored and not is_of_same_member(header, stored):
            detail = "belongs to another cluster or member, or to a later epoch"
            self._add(found.name, FindingSeverity.DAMAGE, detail)
        if header.segment_length != headers[0].segment_length:
            self._add(found.name, FindingSeverity.DAMAGE, "has another segment length")
        with self._open(found.name) as file:
            size = file.size()
            pages = file.read(0, FRAMES_OFFSET)
        if size != FRAMES_OFFSET + header.segment_length:
            detail = f"has {size} bytes, not {FRAMES_OFFSET + header.segment_length}"
            self._add(found.name, FindingSeverity.HEALS, detail)
        self._check_pages(found.name, pages)

    def _check_pages(self, name: str, pages: bytes) -> None:
        """Report what a segment's header page and watermark slots hold beside their records."""
        for offset in SLOT_OFFSETS:
            slot = pages[offset : offset + SLOT_LENGTH]
            if decode_slot(slot) is None and not is_zero(slot):
                detail = f"the watermark slot at byte {offset} is not valid; the other one counts"
                self._add(name, FindingSeverity.NOTE, detail)
        fillers = [(0, HEADER_LENGTH), *((offset, SLOT_LENGTH) for offset in SLOT_OFFSETS)]
        for offset, used in fillers:
            if not is_zero(pages[offset + used : offset + PAGE_LENGTH]):
                detail = f"bytes that are not zero behind byte {offset + used}, where none belong"
                self._add(name, FindingSeverity.NOTE, detail)

    def _check_headless(self, found: SegmentFile) -> None:
        """Report a file that names no base, as a start judges it, and that to its last byte."""
        with self._open(found.name) as file:
            size = file.size()
        unused = found.kind is SegmentKind.SPARE and size > FRAMES_OFFSET
        if unused and self._first_nonzero(found.name, FRAMES_OFFSET) is None:
            self._add(found.name, FindingSeverity.HEALS, "taken as a segment, but never used")
        else:
            detail = "its header is not valid, or it is cut short"
            self._add(found.name, FindingSeverity.DAMAGE, detail)

    def _check_tail(self, segments: list[SegmentFile], scan: Scan) -> None:
        """Report what lies behind the end of the log."""
        end = scan.end.position
        for found in segments:
            if found.header is None:
                continue
            start = FRAMES_OFFSET + max(end - found.base, 0)
            if found.base + scan.segment_length <= end:
                continue
            offset = self._first_nonzero(found.name, start)
            if offset is not None:
                position = found.base + offset - FRAMES_OFFSET
                detail = f"torn: bytes at {position} behind the end of the log at {end}"
                self._add(found.name, FindingSeverity.HEALS, detail)

    # ------------------------------------------------------------------------------ others

    def _check_other(self, name: str) -> None:
        if is_temporary_name(name) or name == NODE_STATE_TEMPORARY:
            self._add(name, FindingSeverity.HEALS, "left unfinished; the next start removes it")
        elif is_spare_name(name):
            offset = self._first_nonzero(name, 0)
            if offset is not None:
                detail = f"a spare, but byte {offset} is not zero"
                self._add(name, FindingSeverity.HEALS, detail)
        elif name not in HARMLESS and not is_of_member(name):
            self._add(name, FindingSeverity.NOTE, "not ours")

    def _first_nonzero(self, name: str, offset: int) -> int | None:
        """Return the offset of the first byte from ``offset`` on that is not zero, if any."""
        with self._open(name) as file:
            while data := file.read(offset, PIECE_LENGTH):
                if not is_zero(data):
                    return offset + len(data) - len(data.lstrip(b"\0"))
                offset += len(data)
        return None

    def _open(self, name: str) -> closing[DataFile]:
        """Open a file for one check: a log may have more files than a process may have open."""
        return closing(self.files.open(name, writable=False))
