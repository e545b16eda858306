from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

import pytest

from quorate.archive import archive as archive_module
from quorate.archive.archive import UNSYNCED_LENGTH_MAX, Archive
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    LOG_START,
    NOT_RECOVERING,
    ROOM_UNBOUNDED,
    Chain,
    ClusterId,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    MemberId,
    RecoveringReason,
)
from quorate.errors import (
    CorruptRecord,
    DirectoryInUse,
    DiskFull,
    ForeignData,
    InvariantBroken,
    SyncFailed,
)
from quorate_simulation.archive_driver import CLUSTER, ArchiveDriver
from quorate_simulation.disk import Operation, SimulatedDisk

SEGMENT_LENGTH = 4096
FILE_LENGTH = 3 * 4096 + SEGMENT_LENGTH


def started(durability: Durability = Durability.FSYNC) -> ArchiveDriver:
    driver = ArchiveDriver(SimulatedDisk(Random(1)), durability=durability)
    driver.reopen()
    return driver


def made(driver: ArchiveDriver, count: int) -> tuple[LogFrame, ...]:
    """Return frames of a quarter of a segment each, with the padding between them."""
    frames = [driver.builder.frame(bytes(900)) for _ in range(count)]
    return tuple(frame for row in frames for frame in row)


def open_again(disk: SimulatedDisk, *, cluster_id: bytes = CLUSTER) -> Archive:
    return Archive.open(
        disk,
        cluster_id=ClusterId(cluster_id),
        constants=ClusterConstants(segment_length=SEGMENT_LENGTH),
        durability=Durability.FSYNC,
        boot_id=bytes(16),
        new_member_id=MemberId(b"n" * 16),
    )


def kinds(disk: SimulatedDisk) -> list[str]:
    assert disk.recorded is not None
    return [f"{operation.kind} {operation.name[:3]}" for operation in disk.recorded]


# ------------------------------------------------------------------------------------ persist


def test_a_blank_directory_is_formatted_once() -> None:
    driver = started()
    assert driver.archive.formatted
    assert driver.archive.recovered.end == LOG_START
    assert driver.archive.recovered.node_state == BLANK_NODE_STATE
    member_id = driver.archive.member_id
    driver.close_clean()
    driver.reopen()
    assert not driver.archive.formatted
    assert driver.archive.member_id == member_id


def test_consecutive_appends_are_one_write_one_watermark_and_one_sync() -> None:
    driver = started()
    driver.append([b"first"])
    driver.append([b"second"])
    first, second = (driver.builder.frame(body) for body in (b"third", b"fourth"))
    driver.disk.recorded = []
    done = driver.archive.persist([AppendToLog(7, tuple(first)), AppendToLog(8, tuple(second))])
    assert done == 8
    assert kinds(driver.disk) == ["write log", "write log", "sync log"]
    assert driver.archive.watermark.mark == driver.mark(2)
    assert driver.archive.synced == driver.archive.end == driver.builder.end


def test_effects_are_carried_out_in_order() -> None:
    driver = started()
    first = driver.builder.frame(b"first")
    second = driver.builder.frame(b"second")
    state = BLANK_NODE_STATE._replace(candidate_term_id=LeadershipTermId(1))
    driver.disk.recorded = []
    driver.archive.persist(
        [
            AppendToLog(1, tuple(first)),
            StoreNodeState(2, state),
            AppendToLog(3, tuple(second)),
            TruncateLog(4, LogMark(first[0].end, first[0].leadership_term_id, first[0].chain)),
        ]
    )
    assert driver.archive.end.position == first[0].end
    order = [kind for kind in kinds(driver.disk) if kind in ("write nod", "write log")]
    assert order.index("write nod") > order.index("write log")


@pytest.mark.parametrize("finish", [Archive.finish_node_state, lambda archive: archive.idle(0.0)])
def test_the_second_copy_of_a_node_state_follows_when_told_or_idle(
    finish: Callable[[Archive], None],
) -> None:
    driver = started()
    driver.disk.recorded = []
    driver.store(BLANK_NODE_STATE._replace(candidate_term_id=LeadershipTermId(1)))
    assert kinds(driver.disk) == ["write nod", "sync nod"]
    finish(driver.archive)
    assert kinds(driver.disk) == ["write nod", "sync nod"] * 2


def test_frames_go_over_several_segments_in_one_effect() -> None:
    driver = started()
    driver.append([bytes(900) for _ in range(12)])
    assert len([name for name in driver.disk.names() if name.startswith("log")]) == 3
    assert driver.read_all() == b"".join(frame.data for frame in driver.frames)
    driver.crash(Random(1))
    driver.reopen(power_was_cut=True)
    assert len(driver.frames) >= 12


@pytest.mark.parametrize(
    "change",
    [
        {"position": LogPosition(64)},
        {"previous_chain": Chain(7)},
        {"data": bytes(SEGMENT_LENGTH + 64)},
    ],
)
def test_a_frame_that_does_not_stand_where_the_log_ends_is_our_bug(
    change: dict[str, object],
) -> None:
    driver = started()
    frame: LogFrame = driver.builder.frame(b"first")[0]._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(InvariantBroken, match="cannot stand"):
        driver.archive.persist([AppendToLog(1, (frame,))])
    with pytest.raises(SyncFailed, match="failed before"):
        driver.archive.persist([AppendToLog(1, ())])


# ----------------------------------------------------------------------------------- truncate


def test_truncation_goes_in_the_order_that_a_cut_cannot_harm() -> None:
    driver = started()
    driver.append([bytes(900) for _ in range(12)])
    driver.disk.recorded = []
    driver.truncate(2)
    assert [kind.split()[0] for kind in kinds(driver.disk)] == [
        "write",  # the lower watermark
        "sync",
        "write",  # zeros
        "sync",
        "remove",
        "remove",
        "sync-directory",
    ]
    removed = [operation.name for operation in driver.disk.recorded if operation.kind == "remove"]
    assert removed == sorted(removed, reverse=True)
    assert driver.archive.watermark.mark == driver.mark(2)
    driver.append([b"another"])
    driver.crash(Random(1))
    driver.reopen(power_was_cut=True)


def test_what_was_cut_off_says_nothing_of_the_terms_that_follow() -> None:
    """A leader's log may go on with an older term than ours had in that place."""
    driver = started()
    driver.append([b"founding"], term=1)
    driver.append([b"ours"] * 2, term=5)
    driver.truncate(1)
    driver.append([b"theirs"] * 2, term=2)
    driver.append([b"more"], term=6)
    driver.truncate(2)
    driver.append([b"again"], term=7)
    assert driver.read_all() == b"".join(frame.data for frame in driver.frames)


def test_truncation_to_the_present_end_changes_nothing() -> None:
    driver = started()
    driver.append([b"first"])
    driver.disk.recorded = []
    driver.truncate(1)
    assert kinds(driver.disk) == []


@pytest.mark.parametrize("count", [1, 2, 4])
def test_truncation_to_a_boundary_that_is_not_the_logs_is_refused(count: int) -> None:
    for change in ({"chain": Chain(5)}, {"leadership_term_id": LeadershipTermId(5)}):
        driver = started()
        driver.append([b"one", b"two", b"three", b"four"])
        end = driver.mark(count)._replace(**change)
        with pytest.raises(CorruptRecord, match="truncation"):
            driver.archive.persist([TruncateLog(1, end)])


def test_truncation_between_boundaries_is_refused() -> None:
    driver = started()
    driver.append([bytes(100), bytes(100)])
    end = driver.mark(1)._replace(position=LogPosition(64))
    with pytest.raises(CorruptRecord, match="begins there"):
        driver.archive.persist([TruncateLog(1, end)])


def test_truncation_beyond_the_end_is_our_bug() -> None:
    driver = started()
    driver.append([b"one"])
    with pytest.raises(InvariantBroken, match="beyond"):
        driver.archive.persist([TruncateLog(1, driver.mark(1)._replace(position=LogPosition(640)))])


def test_a_founding_that_is_discarded_leaves_a_blank_member() -> None:
    driver = started()
    driver.append([b"founding"])
    driver.archive.discard_founding()
    assert driver.archive.end == LOG_START
    driver.crash(Random(1))
    archive = driver.open_archive()
    assert archive.recovered.end == LOG_START
    assert archive.recovered.founding is None
    assert archive.recovered.node_state.recovering == NOT_RECOVERING


# ----------------------------------------------------------------------------------- by time


def test_a_second_without_an_append_brings_the_watermark_to_the_end() -> None:
    driver = started()
    driver.append([b"one"])
    driver.append([b"two"])
    driver.idle(10.0)
    assert driver.archive.watermark.mark == driver.mark(1)
    driver.idle(0.9)
    assert driver.archive.watermark.mark == driver.mark(1)
    driver.idle(0.2)
    assert driver.archive.watermark.mark == driver.mark(2)
    driver.disk.recorded = []
    driver.idle(5.0)
    assert kinds(driver.disk) == []


def test_replicated_syncs_after_a_second() -> None:
    driver = started(Durability.REPLICATED)
    driver.append([b"founding"])
    driver.disk.recorded = []
    driver.append([b"one"])
    assert "sync log" not in kinds(driver.disk)
    assert driver.archive.synced == driver.mark(1)
    driver.idle(0.1)
    driver.idle(0.8)
    assert driver.archive.synced == driver.mark(1)
    driver.idle(0.3)
    assert driver.archive.synced == driver.mark(2)
    driver.append([b"two"])
    assert driver.archive.watermark.mark == driver.mark(2)


def test_no_more_is_written_at_once_than_may_wait_for_a_sync(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = started(Durability.REPLICATED)
    driver.append([b"founding"])
    driver.archive.sync()
    monkeypatch.setattr(archive_module, "UNSYNCED_LENGTH_MAX", 300)
    taken = 0
    for number in range(20):
        frames = driver.builder.frame(b"small")
        if not driver.archive.write_at_once([AppendToLog(number, frames)]):
            break
        taken += sum(len(frame.data) for frame in frames)
        assert driver.archive._recording.end.position < SEGMENT_LENGTH // 2
    assert 300 < taken <= 300 + len(frames[0].data)


def test_what_is_written_beside_a_sync_waits_for_the_next_one() -> None:
    driver = started(Durability.REPLICATED)
    driver.append([b"founding"])
    driver.append([b"before"])
    late = driver.builder.frame(b"beside")
    archive = driver.archive

    def write(operation: Operation) -> None:
        if operation.kind == "sync" and operation.name.startswith("log"):
            driver.disk.fault = None
            archive.persist([AppendToLog(99, late)])

    driver.disk.fault = write
    archive.sync()
    assert archive._recording.unsynced_length == sum(len(frame.data) for frame in late)
    archive.sync()
    assert archive._recording.unsynced_length == 0


def test_replicated_syncs_by_itself_when_the_disk_cannot_keep_up() -> None:
    length = 16 * 1024 * 1024
    driver = ArchiveDriver(
        SimulatedDisk(Random(1)), segment_length=length, durability=Durability.REPLICATED
    )
    driver.open_archive()
    body = bytes(1024 * 1024 - 64)
    for _ in range(UNSYNCED_LENGTH_MAX // len(body) + 3):
        driver.archive.persist([AppendToLog(1, tuple(driver.builder.frame(body)))])
    assert driver.archive.end.position - driver.archive.synced.position <= UNSYNCED_LENGTH_MAX
    assert driver.archive.synced.position > UNSYNCED_LENGTH_MAX


# -------------------------------------------------------------------------------------- read


def test_reading_gives_whole_frames_and_at_least_one() -> None:
    driver = started()
    driver.append([bytes(100), bytes(10), bytes(500)])
    first, second, third = driver.frames
    read = driver.archive.read
    assert read(first.position, 1) == first.data
    assert read(first.position, 64) == first.data
    assert read(first.position, len(first.data) + 70) == first.data
    assert read(first.position, len(first.data + second.data)) == first.data + second.data
    assert read(second.position, 10_000) == second.data + third.data
    assert read(LogPosition(third.end), 10_000) == b""


# ------------------------------------------------------------------------------------- errors


def test_a_full_disk_stops_the_writer_when_the_spares_are_used_up_and_it_goes_on_later() -> None:
    driver = started()
    while driver.archive.prepare_spare():
        pass
    driver.disk.capacity = sum(len(driver.disk.content(name)) for name in driver.disk.names())
    driver.append([bytes(900)] * 4)
    assert not driver.archive.space_low
    assert driver.archive.prepare_spare() is False
    assert driver.archive.space_low
    driver.append([bytes(900)] * 4)
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(3)))
    frames = made(driver, 4)
    before = driver.disk.names(), driver.archive.end
    for _ in range(2):
        with pytest.raises(DiskFull, match="no space"):
            driver.archive.persist([AppendToLog(1, frames)])
        assert (driver.disk.names(), driver.archive.end) == before
    assert not driver.archive.has_failed
    driver.disk.capacity = None
    assert driver.archive.persist([AppendToLog(1, frames)]) == 1
    assert driver.archive.end.position == frames[-1].end
    while driver.archive.prepare_spare():
        pass
    assert not driver.archive.space_low


@pytest.mark.parametrize("count", [9, 12])
def test_no_space_for_one_of_several_segments_writes_none_of_them(count: int) -> None:
    driver = started()
    frames = made(driver, count)
    driver.disk.capacity = driver.disk.used_bytes + 2 * FILE_LENGTH
    begins = driver.archive.end
    with pytest.raises(DiskFull):
        driver.archive.persist([AppendToLog(1, frames)])
    assert driver.archive.end == begins


def test_the_room_of_a_log_is_told_while_the_disk_is_nearly_full() -> None:
    driver = started()
    length = driver.archive.segment_length
    while driver.archive.prepare_spare():
        pass
    assert driver.archive.room_end == ROOM_UNBOUNDED
    driver.disk.capacity = driver.disk.used_bytes
    assert driver.archive.free_bytes() == 0
    driver.append([bytes(900)] * 4)
    assert driver.archive.room_end == ROOM_UNBOUNDED
    assert driver.archive.prepare_spare() is False
    ends = -(-driver.archive.end.position // length) * length
    assert driver.archive.room_end == ends + driver.archive.spares.ready_count * length
    told = driver.archive.room_end
    while driver.archive.end.position + 1024 <= told:
        driver.append([bytes(900)])
        assert driver.archive.room_end == told
    assert driver.archive.spares.ready_count == 0
    driver.disk.capacity = None
    while driver.archive.prepare_spare():
        pass
    assert driver.archive.room_end == ROOM_UNBOUNDED


def test_a_start_on_a_full_disk_works() -> None:
    driver = started()
    driver.append([bytes(900)] * 3)
    driver.disk.capacity = sum(len(driver.disk.content(name)) for name in driver.disk.names())
    driver.crash(Random(1))
    driver.reopen(power_was_cut=True)
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(3)))
    assert not driver.archive.prepare_spare()
    assert driver.archive.space_low


@pytest.mark.parametrize("kind", ["write", "sync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_after_a_failed_write_or_sync_nothing_is_tried_again(kind: str, number: int) -> None:
    driver = started()
    driver.append([b"one"])

    def fail(operation: Operation) -> OSError | None:
        return OSError(number, "injected") if operation.kind == kind else None

    driver.disk.fault = fail
    with pytest.raises(SyncFailed, match=r"persisting: log-.* injected"):
        driver.append([b"two"])
    driver.disk.fault = None
    before = driver.disk.operations
    for attempt in (
        lambda: driver.archive.persist([StoreNodeState(1, BLANK_NODE_STATE)]),
        lambda: driver.archive.idle(100.0),
        driver.archive.prepare_spare,
        driver.archive.close_clean,
    ):
        with pytest.raises(SyncFailed, match="failed before"):
            attempt()
    assert driver.disk.operations == before


@pytest.mark.parametrize("kind", ["create", "write", "sync", "rename", "sync-directory"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC])
def test_a_start_that_cannot_write_says_so(kind: str, number: int) -> None:
    disk = SimulatedDisk(Random(1))
    disk.fault = lambda operation: OSError(number, "injected") if operation.kind == kind else None
    full = number in (errno.EDQUOT, errno.ENOSPC)
    with pytest.raises(DiskFull if full else SyncFailed, match="opening the data directory"):
        open_again(disk)
    disk.fault = None
    disk.crash_process()
    open_again(disk)


def test_a_founding_frame_is_never_left_to_a_later_sync() -> None:
    """Not even behind a founding that was discarded: the founded mark stands on it."""
    driver = started(Durability.REPLICATED)
    driver.append([b"founding"])
    driver.truncate(0)
    assert driver.archive._recording.current is not None, "a file to write to is open"
    (frame,) = driver.builder.frame(b"another")
    assert not driver.archive.write_at_once([AppendToLog(9, (frame,))])


# -------------------------------------------------------------------------------------- start


def test_another_cluster_is_refused_and_the_lock_is_let_go() -> None:
    driver = started()
    driver.close_clean()
    with pytest.raises(ForeignData, match="belongs to cluster"):
        open_again(driver.disk, cluster_id=b"x" * 16)
    open_again(driver.disk)


def test_a_directory_of_something_else_is_refused() -> None:
    disk = SimulatedDisk(Random(1))
    disk.put("photo.jpg", b"cat")
    with pytest.raises(ForeignData, match=r"photo\.jpg"):
        open_again(disk)


def test_the_root_of_an_ext4_volume_is_empty() -> None:
    disk = SimulatedDisk(Random(1))
    disk.put("lost+found", b"")
    assert open_again(disk).formatted
    assert "lost+found" in disk.names()


@pytest.mark.parametrize("seed", range(16))
def test_a_member_that_was_formatted_stays_so_through_a_power_cut(seed: int) -> None:
    """What it votes next is synced into the file, which must not lose its name then."""
    disk = SimulatedDisk(Random(1))
    first = open_again(disk)
    disk.power_cut(Random(seed))
    assert first.formatted
    assert not open_again(disk).formatted


@pytest.mark.parametrize("name", ["spare-1.seg", "spare-1.tmp"])
def test_spares_without_a_node_state_are_nothing_foreign(name: str) -> None:
    disk = SimulatedDisk(Random(1))
    disk.put(name, bytes(100))
    assert open_again(disk).formatted
    assert name not in disk.names()


def test_segments_without_a_node_state_are_refused() -> None:
    driver = started()
    driver.append([b"one"])
    driver.close_clean()
    driver.disk.remove("node-state")
    with pytest.raises(CorruptRecord, match="missing"):
        open_again(driver.disk)


def test_segments_of_another_member_are_refused() -> None:
    one, other = started(), ArchiveDriver(SimulatedDisk(Random(2)))
    other.lives = 50
    other.reopen()
    for driver in (one, other):
        driver.append([b"one"])
        driver.close_clean()
    name = "log-00000000000000000000.seg"
    one.disk.put(name, other.disk.content(name))
    with pytest.raises(ForeignData, match="belongs to cluster"):
        open_again(one.disk)


def test_a_node_state_older_than_the_log_is_refused() -> None:
    driver = started()
    old = driver.disk.content("node-state")
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(3)))
    driver.append([b"one"])
    driver.close_clean()
    driver.disk.put("node-state", old)
    with pytest.raises(CorruptRecord, match="term 3"):
        open_again(driver.disk)


def test_a_directory_is_opened_by_one_process_at_a_time() -> None:
    driver = started()
    with pytest.raises(DirectoryInUse):
        open_again(driver.disk)


def test_a_closed_archive_does_nothing_more() -> None:
    driver = started()
    archive = driver.archive
    driver.close_clean()
    with pytest.raises(SyncFailed, match="closed"):
        archive.persist([StoreNodeState(1, BLANK_NODE_STATE)])


def test_the_terms_and_the_founding_frame_come_from_the_frames() -> None:
    driver = started()
    driver.append([b"founding"])
    for term in (2, 5):
        driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(term)))
        driver.append([b"a", b"b"])
    driver.crash(None)
    recovered = driver.open_archive().recovered
    assert [record.leadership_term_id for record in recovered.terms] == [0, 2, 5]
    assert [record.base for record in recovered.terms] == [
        driver.frames[index].position for index in (0, 1, 3)
    ]
    assert recovered.founding == driver.frames[0]
    assert recovered.last_timestamp == driver.frames[-1].timestamp


def test_replicated_under_another_boot_is_recovering_until_the_cure_is_stored() -> None:
    driver = started(Durability.REPLICATED)
    driver.append([b"founding"])
    driver.store(driver.state._replace(founded=True))
    driver.append([b"one"])
    driver.crash(Random(1))
    for _ in range(2):
        state = driver.open_archive().recovered.node_state
        assert state.recovering.reason is RecoveringReason.UNSYNCED
        driver.crash(None)
    driver.open_archive()
    driver.store(state._replace(recovering=NOT_RECOVERING))
    driver.archive.close_clean()
    driver.boot += 1
    assert driver.open_archive().recovered.node_state.recovering == NOT_RECOVERING
