"""What an opened archive may hold, given what its member had completed before."""

from __future__ import annotations

from quorate.archive.archive import Archive
from quorate.consensus.effects import StoreNodeState, TruncateLog
from quorate.consensus.types import LogFrame, LogPosition
from quorate.protocol.log_codec import decode_frames
from quorate_simulation.history import ClusterHistory
from quorate_simulation.shadow import ShadowMember, is_recovering

READ_BYTES = 1 << 20


def frames_of(archive: Archive) -> list[LogFrame]:
    """Return every frame that an archive holds."""
    frames: list[LogFrame] = []
    position = LogPosition(0)
    while True:
        piece = decode_frames(archive.read(position, READ_BYTES))
        if not piece:
            return frames
        frames.extend(piece)
        position = piece[-1].end


def take_up(history: ClusterHistory, member: ShadowMember, archive: Archive) -> None:
    """Compare what an archive opens with against what was durable, and take it over.

    Whatever was completed is there, or the member says that it is recovering; what was being
    written may be there or not; a term or a vote is never forgotten.
    """
    state = archive.recovered.node_state
    old = member.state
    asked = [old, *(e.state for e in member.pending if isinstance(e, StoreNodeState))]
    known = any(state[:3] == other[:3] for other in asked)
    history.require(known, "disk", "opens with a node state never asked for:", state, old)
    frames = frames_of(archive)
    kept = 0
    for mine, found in zip(member.disk.frames, frames, strict=False):
        if mine.chain != found.chain:
            break
        kept += 1
    if kept < len(member.disk.frames) and not _may_have_cut(member, kept):
        lost = len(member.disk.frames) - kept
        history.require(is_recovering(state), "disk", "lost", lost, "frames and does not know it")
        history.marks.add("tail lost by a disk")
        member.lose(kept, state.recovering.reason)
    else:
        member.disk_cut(kept)
    for frame in frames[kept:]:
        member.disk_append(frame)
    member.state = state
    member.votes[state.candidate_term_id] = state.vote
    member.synced_count = len(frames)
    end = archive.recovered.end
    history.require(end == member.disk.end, "disk", "end", end, "is not", member.disk.end)


def _may_have_cut(member: ShadowMember, kept: int) -> bool:
    """Tell whether a truncation that was under way explains that frames are gone."""
    keeps = [
        member.disk.marks.get(effect.end.position, 1 << 30)
        for effect in member.pending
        if isinstance(effect, TruncateLog)
    ]
    return any(count <= kept for count in keeps)
