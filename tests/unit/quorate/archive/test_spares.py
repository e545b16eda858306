from __future__ import annotations

import errno
from random import Random

import pytest

from quorate.archive.segment import FRAMES_OFFSET, PIECE_LENGTH
from quorate.archive.spares import LONG_PIECE_LENGTH, SparePool
from quorate_simulation.disk import Operation, SimulatedDisk

SEGMENT_LENGTH = 4096
FILE_LENGTH = FRAMES_OFFSET + SEGMENT_LENGTH


def fill(pool: SparePool) -> int:
    steps = 1
    while pool.step():
        steps += 1
    return steps


def test_steps_go_on_until_enough_are_ready() -> None:
    disk = SimulatedDisk(Random(1))
    pool = SparePool(disk, SEGMENT_LENGTH, 2)
    fill(pool)
    assert (pool.ready_count, pool.is_short) == (2, False)
    assert [len(disk.content(name)) for name in disk.names()] == [FILE_LENGTH] * 2
    assert pool.step() is False


def test_a_large_segment_is_written_and_synced_in_small_pieces() -> None:
    disk = SimulatedDisk(Random(1))
    disk.recorded = []
    pool = SparePool(disk, 4 * PIECE_LENGTH, 1)
    assert fill(pool) == 5
    writes = [operation for operation in disk.recorded if operation.kind == "write"]
    assert max(operation.length for operation in writes) <= PIECE_LENGTH
    assert sum(operation.kind == "sync" for operation in disk.recorded) == len(writes)


def test_pieces_are_longer_while_more_than_one_spare_is_missing() -> None:
    disk = SimulatedDisk(Random(1))
    pool = SparePool(disk, 16 * PIECE_LENGTH, 2)
    lengths = []
    while True:
        disk.recorded = []
        goes_on = pool.step()
        lengths.append(max(row.length for row in disk.recorded if row.kind == "write"))
        if not goes_on:
            break
    assert max(lengths) == LONG_PIECE_LENGTH
    assert lengths[-1] <= PIECE_LENGTH
    assert pool.ready_count == 2


def test_the_spare_under_way_is_finished_by_whoever_needs_it() -> None:
    disk = SimulatedDisk(Random(1))
    pool = SparePool(disk, 4 * PIECE_LENGTH, 1)
    for _ in range(3):
        assert pool.step()
    disk.recorded = []
    name = pool.take()
    assert sum(operation.length for operation in disk.recorded) < 2 * PIECE_LENGTH
    assert disk.content(name) == bytes(FRAMES_OFFSET + 4 * PIECE_LENGTH)
    assert disk.names() == [name]


def test_taking_beyond_what_is_ready_fills_one_at_once_and_counts_it() -> None:
    disk = SimulatedDisk(Random(1))
    pool = SparePool(disk, SEGMENT_LENGTH, 1)
    fill(pool)
    first, second = pool.take(), pool.take()
    assert first != second
    assert disk.content(second) == bytes(FILE_LENGTH)
    assert pool.run_out_count == 1


def test_a_full_disk_is_survived_gives_its_space_back_and_is_tried_again() -> None:
    disk = SimulatedDisk(Random(1), capacity=FILE_LENGTH + PIECE_LENGTH)
    pool = SparePool(disk, 3 * PIECE_LENGTH, 1)
    fill(pool)
    assert pool.space_low
    assert disk.names() == []
    disk.capacity = None
    fill(pool)
    assert not pool.space_low
    assert pool.ready_count == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_space_that_is_gone_against_what_the_disk_said_is_survived(number: int) -> None:
    disk = SimulatedDisk(Random(1))
    disk.fault = lambda operation: OSError(number, "injected") if operation.offset else None
    pool = SparePool(disk, 3 * PIECE_LENGTH, 1)
    fill(pool)
    assert pool.space_low
    assert disk.names() == []
    disk.fault = None
    fill(pool)
    assert not pool.space_low


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_spare_for_whose_name_there_is_no_space_is_given_back(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimulatedDisk(Random(1))
    pool = SparePool(disk, SEGMENT_LENGTH, 1)

    def refuse(_old: str, _new: str) -> None:
        raise OSError(number, "no space for a name")

    with monkeypatch.context() as full:
        full.setattr(disk, "rename", refuse)
        fill(pool)
        assert (pool.ready_count, pool.space_low, disk.names()) == (0, True, [])
        with pytest.raises(OSError, match="a name"):
            pool.take()
        assert disk.names() == []
    fill(pool)
    assert (pool.ready_count, pool.space_low) == (1, False)


def test_a_nearly_full_disk_is_left_alone_until_all_spares_are_there_again() -> None:
    disk = SimulatedDisk(Random(1), capacity=2 * FILE_LENGTH)
    pool = SparePool(disk, SEGMENT_LENGTH, 2)
    fill(pool)
    assert (pool.ready_count, pool.space_low) == (1, True)
    disk.recorded = []
    fill(pool)
    assert disk.recorded == []
    disk.capacity = 2 * FILE_LENGTH + FILE_LENGTH // 64
    fill(pool)
    assert (pool.ready_count, pool.space_low) == (2, False)


def test_what_is_reserved_is_ready() -> None:
    disk = SimulatedDisk(Random(1), capacity=2 * FILE_LENGTH)
    pool = SparePool(disk, SEGMENT_LENGTH, 1)
    fill(pool)
    pool.reserve(1)
    assert pool.run_out_count == 0
    pool.reserve(2)
    assert (pool.ready_count, pool.run_out_count) == (2, 1)
    with pytest.raises(OSError, match="No space"):
        pool.reserve(3)
    assert (pool.ready_count, pool.space_low, len(disk.names())) == (2, True, 2)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_any_other_error_while_preparing_is_not_survived(number: int) -> None:
    disk = SimulatedDisk(Random(1))
    disk.fault = lambda operation: OSError(number, "injected")
    with pytest.raises(OSError, match="injected"):
        SparePool(disk, SEGMENT_LENGTH, 1).step()


def test_a_full_disk_is_not_survived_by_the_writer_and_leaves_nothing_behind() -> None:
    disk = SimulatedDisk(Random(1), capacity=100)
    with pytest.raises(OSError, match="No space"):
        SparePool(disk, SEGMENT_LENGTH, 1).take()
    assert disk.names() == []


def test_spares_of_an_earlier_life_are_adopted_unless_they_are_not_spares() -> None:
    disk = SimulatedDisk(Random(1))
    disk.put("spare-7.seg", bytes(FILE_LENGTH))
    disk.put("spare-8.seg", bytes(FILE_LENGTH - 1))
    disk.put("spare-9.seg", b"QUORLOG".ljust(FILE_LENGTH, b"\0"))
    pool = SparePool(disk, SEGMENT_LENGTH, 2)
    assert [pool.adopt(f"spare-{n}.seg") for n in (7, 8, 9)] == [True, False, False]
    fill(pool)
    assert "spare-10.seg" not in disk.names()
    assert pool.ready_count == 2


def test_a_spare_that_rots_before_it_is_taken_is_thrown_away() -> None:
    disk = SimulatedDisk(Random(1))
    pool = SparePool(disk, SEGMENT_LENGTH, 2)
    fill(pool)
    rotten = disk.names()[0]
    disk.flip(rotten, FRAMES_OFFSET + 3)
    assert pool.take() != rotten
    assert rotten not in disk.names()


def test_writes_of_zeros_are_synced_before_the_name_says_so() -> None:
    disk = SimulatedDisk(Random(1))
    kinds: list[str] = []

    def note(operation: Operation) -> None:
        kinds.append(operation.kind)

    disk.fault = note
    SparePool(disk, SEGMENT_LENGTH, 1).take()
    assert kinds == ["create", "write", "sync", "rename"]
