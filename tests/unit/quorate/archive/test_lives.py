"""Of all its lives a start judges the one before it: its boot, its durability and its end."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.archive.archive import Archive
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    NOT_RECOVERING,
    MemberId,
    RecoveringReason,
)
from quorate_simulation.archive_driver import CLUSTER
from quorate_simulation.disk import SimulatedDisk
from quorate_simulation.logs import LogBuilder

SEGMENT_LENGTH = 4096
FOUNDED = BLANK_NODE_STATE._replace(founded=True)


class Life(NamedTuple):
    """One life of a member's process."""

    durability: Durability
    boot: int
    ends_clean: bool

    def begin(self, disk: SimulatedDisk) -> Archive:
        return Archive.open(
            disk,
            cluster_id=CLUSTER,
            constants=ClusterConstants(segment_length=SEGMENT_LENGTH),
            durability=self.durability,
            boot_id=self.boot.to_bytes(16, "big"),
            new_member_id=MemberId(b"n" * 16),
        )

    def end(self, archive: Archive, disk: SimulatedDisk) -> None:
        if self.ends_clean:
            archive.close_clean()
        else:
            disk.crash_process()

    def may_have_lost(self, next_boot: int) -> bool:
        """Tell whether its page cache may be gone with what it had acknowledged."""
        is_unsynced = self.durability is Durability.REPLICATED and not self.ends_clean
        return is_unsynced and next_boot != self.boot


LIVES = st.lists(
    st.builds(Life, st.sampled_from(Durability), st.integers(0, 2), st.booleans()),
    min_size=2,
    max_size=6,
)


@settings(deadline=None)
@given(LIVES)
def test_a_member_is_recovering_when_the_life_before_left_unsynced_what_another_boot_has_lost(
    lives: list[Life],
) -> None:
    disk = SimulatedDisk(Random(1))
    archive = lives[0].begin(disk)
    founding = LogBuilder(SEGMENT_LENGTH).frame(b"founding")
    archive.persist([AppendToLog(1, tuple(founding)), StoreNodeState(2, FOUNDED)])
    lives[0].end(archive, disk)
    for before, life in pairwise(lives):
        archive = life.begin(disk)
        reason = archive.recovered.node_state.recovering.reason
        assert (reason is RecoveringReason.UNSYNCED) == before.may_have_lost(life.boot)
        if reason is not RecoveringReason.NONE:
            cured = archive.recovered.node_state._replace(recovering=NOT_RECOVERING)
            archive.persist([StoreNodeState(3, cured)])
        life.end(archive, disk)
