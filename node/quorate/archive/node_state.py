"""The node state: what a member must never forget, in a file of two slots.

Layout in bytes: a slot at 0 and one at 4096, each holding magic, format version, cluster id,
epoch, member id, candidate term, vote, generation, boot id, durability, clean mark, founded
mark, recovering (reason, term, position) and a CRC over all of it.

A change is written to one slot and synced; then it may be acted upon; then it is written with
the same generation to the other slot and synced, always before the next change. So whenever a
change begins both slots hold the same, and one that rots never forgets a vote.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import google_crc32c

from quorate.archive.files import DataFile, FileSystem
from quorate.config import Durability
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    ClusterId,
    LeadershipTermId,
    LogPosition,
    MemberId,
    NodeState,
    Recovering,
    RecoveringReason,
)
from quorate.errors import CorruptRecord, ForeignData

NODE_STATE_NAME = "node-state"
NODE_STATE_TEMPORARY = "node-state.tmp"
SLOT_OFFSETS = (0, 4096)
FILE_LENGTH = 8192
BOOT_ID_LENGTH = 16

FORMAT_VERSION = 1
_MAGIC = b"QUORNODE"
_SLOT = struct.Struct("<8sI16sQ16sQ16sQ16sBBBBQQ")
_CRC = struct.Struct("<I")
SLOT_LENGTH = _SLOT.size + _CRC.size


class StoredNodeState(NamedTuple):
    """One slot's content: the directory's identity, the node state, and the present life."""

    cluster_id: ClusterId
    epoch: int
    member_id: MemberId
    generation: int
    """Grows by one with every change; the highest valid one counts."""
    boot_id: bytes
    """16 bytes: the boot of the machine in which this life of the process runs."""
    durability: Durability
    """Of this life."""
    clean: bool
    """The clean mark: this life ended with everything synced."""
    node_state: NodeState


def encode_slot(stored: StoredNodeState) -> bytes:
    """Return the bytes of a slot."""
    state = stored.node_state
    fields = _SLOT.pack(
        _MAGIC,
        FORMAT_VERSION,
        stored.cluster_id,
        stored.epoch,
        stored.member_id,
        state.candidate_term_id,
        state.vote,
        stored.generation,
        stored.boot_id,
        stored.durability,
        stored.clean,
        state.founded,
        state.recovering.reason,
        state.recovering.leadership_term_id,
        state.recovering.position,
    )
    return fields + _CRC.pack(google_crc32c.value(fields))


def decode_slot(data: bytes) -> StoredNodeState | None:
    """Return a slot's content, or None where the bytes are not a valid slot.

    Raises:
        ForeignData: It is whole and written by a release with another format.

    """
    fields = data[: _SLOT.size]
    if not data.startswith(_MAGIC) or data[_SLOT.size : SLOT_LENGTH] != _CRC.pack(
        google_crc32c.value(fields)
    ):
        return None
    (_, version, cluster, epoch, member, term, vote, generation, boot, *rest) = _SLOT.unpack(fields)
    durability, clean, founded, reason, lost_term, lost_position = rest
    if version != FORMAT_VERSION or durability > max(Durability) or reason > max(RecoveringReason):
        raise ForeignData(
            f"{NODE_STATE_NAME} has format version {version}, durability {durability}, recovering "
            f"reason {reason}; written by a later release than this one"
        )
    recovering = Recovering(
        RecoveringReason(reason), LeadershipTermId(lost_term), LogPosition(lost_position)
    )
    state = NodeState(LeadershipTermId(term), MemberId(vote), bool(founded), recovering)
    return StoredNodeState(
        ClusterId(cluster),
        epoch,
        MemberId(member),
        generation,
        boot,
        Durability(durability),
        bool(clean),
        state,
    )


def read_slots(file: DataFile) -> tuple[StoredNodeState | None, StoredNodeState | None]:
    """Return what the two slots hold, None for one that is not valid."""
    first, second = (decode_slot(file.read(offset, SLOT_LENGTH)) for offset in SLOT_OFFSETS)
    return first, second


STAYS_OUT = (
    "it takes no part, nor would an empty directory in its place: bring its own files back, or "
    "let the cluster go on with the others"
)
"""What to do about a member that may have forgotten a vote."""


class NodeStateFile:
    """The open file: knows what is stored, and whether the second copy is still owed."""

    __slots__ = ("_copy_owed", "_file", "healed", "stored")

    def __init__(self, file: DataFile) -> None:
        """Read the slots; writes nothing.

        Raises:
            CorruptRecord: Neither slot is valid.
            ForeignData: Written by a later release.

        """
        slots = read_slots(file)
        valid = [slot for slot in slots if slot is not None]
        if not valid:
            file.close()
            raise CorruptRecord(
                f"both slots of {NODE_STATE_NAME} are bad: this member no longer knows what it "
                f"voted for; {STAYS_OUT}"
            )
        self._file = file
        self.stored = max(valid, key=lambda slot: slot.generation)
        self.healed = len(valid) < len(slots)
        """Whether one slot was bad when the file was opened."""
        self._copy_owed = False

    def rewrite(self) -> None:
        """Write what counts into both slots again, each synced, the one that held it first.

        A page cache may show a slot that a failed sync kept from the disk, and a bad slot is
        repaired this way.
        """
        self._write(self.stored.generation & 1)
        self._write(1 - (self.stored.generation & 1))

    def store(self, stored: StoredNodeState) -> None:
        """Make a change durable in one slot; ``finish`` owes the other one.

        Args:
            stored: The new content; its generation is set here.

        """
        self.finish()
        self.stored = stored._replace(generation=self.stored.generation + 1)
        self._copy_owed = True
        self._write(self.stored.generation & 1)

    def finish(self) -> None:
        """Write the last change into the other slot as well, where that is still owed."""
        if self._copy_owed:
            self._write(1 - (self.stored.generation & 1))
            self._copy_owed = False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, slot: int) -> None:
        self._file.write(SLOT_OFFSETS[slot], [encode_slot(self.stored)])
        self._file.sync()


def format_node_state(
    files: FileSystem,
    cluster_id: ClusterId,
    member_id: MemberId,
    boot_id: bytes,
    durability: Durability,
) -> None:
    """Make the node state of a blank member, durable under its name when this returns."""
    stored = StoredNodeState(
        cluster_id, 0, member_id, 1, boot_id, durability, False, BLANK_NODE_STATE
    )
    page = encode_slot(stored).ljust(SLOT_OFFSETS[1], b"\0")
    file = files.create(NODE_STATE_TEMPORARY)
    try:
        file.write(0, [page, page])
        file.sync()
    finally:
        file.close()
    files.rename(NODE_STATE_TEMPORARY, NODE_STATE_NAME)
    files.sync_directory()
