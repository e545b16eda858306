from __future__ import annotations

from random import Random

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.archive.node_state import (
    NODE_STATE_NAME,
    SLOT_LENGTH,
    SLOT_OFFSETS,
    NodeStateFile,
    StoredNodeState,
    decode_slot,
    encode_slot,
    format_node_state,
)
from quorate.config import Durability
from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    LogPosition,
    MemberId,
    NodeState,
    Recovering,
    RecoveringReason,
)
from quorate.errors import CorruptRecord, ForeignData
from quorate_simulation.disk import SimulatedDisk

u64 = st.integers(0, 2**64 - 1)
ids = st.binary(min_size=16, max_size=16)
states = st.builds(
    NodeState,
    u64.map(LeadershipTermId),
    ids.map(MemberId),
    st.booleans(),
    st.builds(
        Recovering,
        st.sampled_from(RecoveringReason),
        u64.map(LeadershipTermId),
        u64.map(LogPosition),
    ),
)
stored_states = st.builds(
    StoredNodeState,
    ids.map(ClusterId),
    u64,
    ids.map(MemberId),
    u64,
    ids,
    st.sampled_from(Durability),
    st.booleans(),
    states,
)


def formatted() -> SimulatedDisk:
    disk = SimulatedDisk(Random(1))
    format_node_state(disk, ClusterId(b"c" * 16), MemberId(b"m" * 16), b"b" * 16, Durability.FSYNC)
    return disk


@given(stored_states)
def test_a_slot_comes_back_as_it_was(stored: StoredNodeState) -> None:
    assert decode_slot(encode_slot(stored)) == stored
    assert len(encode_slot(stored)) == SLOT_LENGTH <= 512


@given(st.binary(max_size=2 * SLOT_LENGTH))
def test_any_bytes_are_a_slot_or_none(data: bytes) -> None:
    assert decode_slot(data) is None


@given(stored_states, st.integers(0, SLOT_LENGTH * 8 - 1))
def test_a_slot_with_a_wrong_bit_is_none(stored: StoredNodeState, bit: int) -> None:
    data = bytearray(encode_slot(stored))
    data[bit // 8] ^= 1 << bit % 8
    assert decode_slot(bytes(data)) is None


@pytest.mark.parametrize("offset", [8, 100, 103])
def test_a_slot_of_a_later_release_is_foreign(offset: int) -> None:
    disk = formatted()
    stored = NodeStateFile(disk.open(NODE_STATE_NAME)).stored
    fields = bytearray(encode_slot(stored)[:-4])
    fields[offset] = 77
    data = bytes(fields) + google_crc32c.value(bytes(fields)).to_bytes(4, "little")
    with pytest.raises(ForeignData, match="later release"):
        decode_slot(data)


def test_a_change_is_in_one_slot_until_it_is_finished() -> None:
    disk = formatted()
    file = NodeStateFile(disk.open(NODE_STATE_NAME))
    state = file.stored.node_state._replace(candidate_term_id=LeadershipTermId(5))
    file.store(file.stored._replace(node_state=state))
    assert sorted(terms(disk)) == [0, 5]
    file.finish()
    assert terms(disk) == [5, 5]
    before = disk.operations
    file.finish()
    assert disk.operations == before


def terms(disk: SimulatedDisk) -> list[int]:
    content = disk.content(NODE_STATE_NAME)
    slots = [decode_slot(content[offset : offset + SLOT_LENGTH]) for offset in SLOT_OFFSETS]
    return [slot.node_state.candidate_term_id if slot else -1 for slot in slots]


def test_the_next_change_finishes_the_one_before() -> None:
    disk = formatted()
    file = NodeStateFile(disk.open(NODE_STATE_NAME))
    for term in (5, 6):
        state = file.stored.node_state._replace(candidate_term_id=LeadershipTermId(term))
        file.store(file.stored._replace(node_state=state))
    assert sorted(terms(disk)) == [5, 6]
    assert file.stored.generation == 3


@pytest.mark.parametrize("slot", [0, 1])
def test_a_bad_slot_is_repaired_from_the_other(slot: int) -> None:
    disk = formatted()
    disk.flip(NODE_STATE_NAME, SLOT_OFFSETS[slot] + 40)
    file = NodeStateFile(disk.open(NODE_STATE_NAME))
    assert file.healed
    file.rewrite()
    assert terms(disk) == [0, 0]
    assert not NodeStateFile(disk.open(NODE_STATE_NAME)).healed


def test_two_bad_slots_halt() -> None:
    disk = formatted()
    for offset in SLOT_OFFSETS:
        disk.flip(NODE_STATE_NAME, offset + 40)
    with pytest.raises(CorruptRecord, match="voted"):
        NodeStateFile(disk.open(NODE_STATE_NAME))
