"""The start: from whatever lies in a directory to files that may be written and answered from.

In order: the lock; the node state, formatted where the directory is empty; the scan; what
follows from it, synced in the node state before anything is cut; the repair of the log; then
the new life's boot id and durability with the clean mark cleared. A cut anywhere in between
leaves a directory from which the next start concludes the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorate.archive.files import LOCK_NAME, FileSystem
from quorate.archive.loading import Scan, SegmentFile, find_segments, scan_recording
from quorate.archive.node_state import (
    NODE_STATE_NAME,
    NODE_STATE_TEMPORARY,
    STAYS_OUT,
    NodeStateFile,
    StoredNodeState,
    format_node_state,
)
from quorate.archive.recovery import PreviousLife, ScanOutcome, decide_recovering
from quorate.archive.repair import Repaired, repair
from quorate.archive.segment import SegmentHeader, segment_base
from quorate.archive.spares import SparePool, is_spare_name, is_temporary_name
from quorate.config import Durability
from quorate.consensus.types import ClusterId, MemberId
from quorate.errors import CorruptRecord, ForeignData

HARMLESS = frozenset({LOCK_NAME, NODE_STATE_TEMPORARY, "lost+found"})
"""What a directory may hold beside spares that no member has formatted."""


@dataclass(frozen=True, slots=True)
class ThisLife:
    """What the caller says about the process that opens the directory."""

    cluster_id: ClusterId
    segment_length: int
    """For a directory without segments; those that are there keep theirs."""
    durability: Durability
    boot_id: bytes
    """16 bytes: the boot of the machine, as the kernel tells it."""
    new_member_id: MemberId
    """Random: becomes the directory's member id if it is formatted now."""
    spares: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A directory that is ready; everything in it is synced."""

    node_state: NodeStateFile
    spares: SparePool
    scan: Scan
    repaired: Repaired
    formatted: bool


def open_directory(files: FileSystem, life: ThisLife) -> Opened:
    """Do everything of a start behind the lock.

    Raises:
        ForeignData: The directory belongs to another cluster, member, format or program.
        CorruptRecord: The node state is beyond repair, or says less than the log.
        OSError: A file operation failed.

    """
    formatted = _format_if_empty(files, life)
    node_state = NodeStateFile(files.open(NODE_STATE_NAME))
    try:
        stored = node_state.stored
        _check_cluster(stored, life)
        segments = find_segments(files, life.segment_length)
        segment_length = _segment_length(segments, stored, life)
        scan = scan_recording(files, segments, segment_length)
        _check_term(stored, scan)
        node_state.rewrite()
        _store_decision(node_state, scan, life)
        spares = _tidy(files, segment_length, life.spares)
        repaired = repair(files, segments, scan)
        _begin_life(node_state, life)
    except BaseException:
        node_state.close()
        raise
    return Opened(node_state, spares, scan, repaired, formatted)


def _format_if_empty(files: FileSystem, life: ThisLife) -> bool:
    names = files.names()
    if NODE_STATE_NAME in names:
        return False
    segments = [name for name in names if segment_base(name) is not None]
    if segments:
        raise CorruptRecord(
            f"{NODE_STATE_NAME} is missing beside {segments[0]}: this member no longer knows what "
            f"it voted for; {STAYS_OUT}"
        )
    foreign = [name for name in names if name not in HARMLESS and not _is_spare_file(name)]
    if foreign:
        raise ForeignData(
            f"the data directory is not empty and not ours: it holds {foreign[0]!r}; "
            "name an empty one"
        )
    if NODE_STATE_TEMPORARY in names:
        files.remove(NODE_STATE_TEMPORARY)
    format_node_state(files, life.cluster_id, life.new_member_id, life.boot_id, life.durability)
    return True


def is_of_member(name: str) -> bool:
    """Tell whether a member has left a file of this name."""
    return name == NODE_STATE_NAME or segment_base(name) is not None or _is_spare_file(name)


def _is_spare_file(name: str) -> bool:
    return is_spare_name(name) or is_temporary_name(name)


def _check_cluster(stored: StoredNodeState, life: ThisLife) -> None:
    if stored.cluster_id != life.cluster_id:
        raise ForeignData(
            f"the data directory belongs to cluster {stored.cluster_id.hex()}, this member to "
            f"{life.cluster_id.hex()}"
        )


def is_of_same_member(header: SegmentHeader, stored: StoredNodeState) -> bool:
    """Tell whether a segment may be of the member, and of the past, that a node state tells."""
    owner = (header.cluster_id, header.member_id)
    return owner == (stored.cluster_id, stored.member_id) and header.epoch <= stored.epoch


def _segment_length(segments: list[SegmentFile], stored: StoredNodeState, life: ThisLife) -> int:
    """Return the log's segment length, having checked whose log it is."""
    lengths = []
    for found in segments:
        header = found.header
        if header is None:
            continue
        lengths.append(header.segment_length)
        if not is_of_same_member(header, stored) or lengths[0] != lengths[-1]:
            raise ForeignData(
                f"{found.name} belongs to cluster {header.cluster_id.hex()}, epoch {header.epoch}, "
                f"member {header.member_id.hex()}, segment length {header.segment_length}; the "
                f"directory to cluster {stored.cluster_id.hex()}, epoch {stored.epoch}, member "
                f"{stored.member_id.hex()}, segment length {lengths[0]}"
            )
    return lengths[0] if lengths else life.segment_length


def _check_term(stored: StoredNodeState, scan: Scan) -> None:
    """Refuse a log with frames of a term that the node state has never seen.

    A term is durable before any frame of it, so the two do not belong together.
    """
    seen, last = stored.node_state.candidate_term_id, scan.end.leadership_term_id
    if last > seen:
        raise CorruptRecord(
            f"the log ends in term {last}, but {NODE_STATE_NAME} has seen none above {seen}: it is "
            f"older than the log; {STAYS_OUT}"
        )


def _store_decision(node_state: NodeStateFile, scan: Scan, life: ThisLife) -> None:
    """Sync what was lost, if anything, while the files still show it."""
    stored = node_state.stored
    before = stored.node_state.recovering
    previous = PreviousLife(
        stored.boot_id, stored.durability, stored.clean, stored.node_state.founded
    )
    outcome = ScanOutcome(scan.end, scan.furthest, scan.damaged)
    recovering = decide_recovering(before, previous, life.boot_id, outcome)
    if recovering != before:
        state = stored.node_state._replace(recovering=recovering)
        node_state.store(stored._replace(node_state=state))
        node_state.finish()


def _tidy(files: FileSystem, segment_length: int, wanted: int) -> SparePool:
    """Adopt finished spares and remove what an earlier life left half done."""
    spares = SparePool(files, segment_length, wanted)
    for name in files.names():
        unfinished = is_temporary_name(name) or name == NODE_STATE_TEMPORARY
        if unfinished or (is_spare_name(name) and not spares.adopt(name)):
            files.remove(name)
    return spares


def _begin_life(node_state: NodeStateFile, life: ThisLife) -> None:
    stored = node_state.stored
    begun = stored._replace(boot_id=life.boot_id, durability=life.durability, clean=False)
    if begun != stored:
        node_state.store(begun)
        node_state.finish()
