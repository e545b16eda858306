"""Bit rot: change what lies on the disk of a member that does not run, one fault at a time.

The outcome is one of three: healed (everything as before), recovering (a part of the log is
gone, and the member says so and up to where), or refused. Never other data, never a loss that
nobody hears of.
"""

from __future__ import annotations

from random import Random

import pytest

from quorate.archive.loading import find_segments, scan_recording
from quorate.archive.segment import FRAMES_OFFSET, PAGE_LENGTH
from quorate.archive.verify import FindingSeverity, verify_directory
from quorate.config import Durability
from quorate.consensus.types import LeadershipTermId, RecoveringReason
from quorate.errors import CorruptRecord, ForeignData
from quorate_simulation.archive_driver import CANDIDATES, ArchiveDriver
from quorate_simulation.disk import SECTOR_LENGTH, SimulatedCrash, SimulatedDisk

SEGMENT_LENGTH = 4096
USED_BYTES = 192
"""Of each page of records; the rest is zeros."""
STRIDE = 61
FRAME_STRIDE = 3


def member(*, clean: bool) -> ArchiveDriver:
    """Return a member that has stopped, with a log of three segments and a spare."""
    driver = ArchiveDriver(SimulatedDisk(Random(7)), segment_length=SEGMENT_LENGTH)
    driver.reopen()
    driver.append([b"founding"])
    state = driver.state._replace(
        candidate_term_id=LeadershipTermId(4), vote=CANDIDATES[1], founded=True
    )
    driver.store(state)
    random = Random(3)
    while len(driver.frames) < 18:
        driver.append([random.randbytes(random.randint(0, 900))])
    while driver.archive.prepare_spare():
        pass
    if clean:
        driver.close_clean()
    else:
        driver.crash(None)
    return driver


def outcome(driver: ArchiveDriver, disk: SimulatedDisk, *, knows_how_far: bool = True) -> str:
    """Open a changed disk and classify what comes of it; raise where it is none of the three."""
    changed = ArchiveDriver(disk, segment_length=SEGMENT_LENGTH)
    changed.boot = driver.boot
    changed.state, changed.frames = driver.state, list(driver.frames)
    try:
        changed.open_archive()
    except (CorruptRecord, ForeignData):
        return "refused"
    recovered = changed.archive.recovered
    recovering = recovered.node_state.recovering
    assert recovered.node_state._replace(recovering=driver.state.recovering) == driver.state
    kept = sum(frame.position < recovered.end.position for frame in driver.frames)
    assert recovered.end == driver.mark(kept)
    assert changed.read_all() == b"".join(frame.data for frame in driver.frames[:kept])
    if recovering.reason is RecoveringReason.NONE:
        assert kept >= driver.synced_count, f"lost {driver.synced_count - kept} frames silently"
        return "healed"
    assert recovering.reason is RecoveringReason.DAMAGED
    # What is gone is gone, and once said: the next start must not find the same damage again.
    damaged = [f for f in verify_directory(disk) if f.severity is FindingSeverity.DAMAGE]
    assert not [finding for finding in damaged if finding.name.startswith("log-")]
    if knows_how_far:
        assert recovering.position >= driver.mark(driver.synced_count).position
    del changed.frames[kept:]
    changed.rewind()
    changed.append([b"caught up"], term=4)
    return "recovering"


def offsets_worth_a_flip(name: str, length: int) -> list[int]:
    """Return every byte of a record, every third of the frames, and a sample of the zeros."""
    sample = range(0, length, STRIDE)
    if name.startswith("log-"):
        records = [page * PAGE_LENGTH + n for page in range(3) for n in range(USED_BYTES)]
        return sorted({*records, *range(FRAMES_OFFSET, length, FRAME_STRIDE), *sample})
    if name == "node-state":
        return sorted({page * PAGE_LENGTH + n for page in range(2) for n in range(USED_BYTES)})
    return list(sample)


@pytest.mark.parametrize("number", range(5))
def test_every_flipped_byte_is_healed_noticed_or_refused(number: int) -> None:
    driver = member(clean=True)
    names = [name for name in driver.disk.names() if name != "lock"]
    assert len(names) == 6
    name = names[number]
    outcomes = set()
    for offset in offsets_worth_a_flip(name, len(driver.disk.content(name))):
        disk = driver.disk.copy()
        disk.flip(name, offset, 0xFF if offset % 2 else 1 << offset % 8)
        outcomes.add(outcome(driver, disk))
    expected = {"healed"}
    if name.startswith("log-"):
        expected = {"healed", "recovering"}
    assert outcomes == expected


def test_rot_of_the_last_batch_beside_a_crash_may_look_torn_but_nothing_below_it() -> None:
    driver = member(clean=False)
    name = [name for name in driver.disk.names() if name.startswith("log-")][-1]
    driver.synced_count -= 1
    for offset in range(FRAMES_OFFSET, len(driver.disk.content(name)), 7):
        disk = driver.disk.copy()
        disk.flip(name, offset)
        outcome(driver, disk)


def test_rot_in_an_old_segment_beside_a_crash_hides_nothing_that_was_acknowledged() -> None:
    """The watermark on the disk lies behind what was synced: good frames beyond it count."""
    driver = member(clean=False)
    name = next(name for name in driver.disk.names() if name.startswith("log-"))
    scan = driver.disk.copy()
    segments = find_segments(scan, SEGMENT_LENGTH)
    watermark = scan_recording(scan, segments, SEGMENT_LENGTH).watermark.mark
    assert watermark.position < driver.mark(driver.synced_count).position
    for frame in driver.frames[:3]:
        disk = driver.disk.copy()
        disk.flip(name, FRAMES_OFFSET + frame.position + 40)
        assert outcome(driver, disk) == "recovering"


@pytest.mark.parametrize("seed", range(8))
def test_a_lost_stale_or_misdirected_sector_is_healed_noticed_or_refused(seed: int) -> None:
    random = Random(seed)
    driver = member(clean=True)
    names = [name for name in driver.disk.names() if name.startswith(("log-", "node"))]
    for _ in range(60):
        disk = driver.disk.copy()
        name, other = random.choice(names), random.choice(names)
        content, source = bytearray(disk.content(name)), disk.content(other)
        length = random.choice((SECTOR_LENGTH, PAGE_LENGTH))
        start = random.randrange(len(content) // length) * length
        taken = random.randrange(len(source) // length) * length
        replacement = random.choice((bytes(length), b"\xff" * length, source[taken:][:length]))
        content[start : start + length] = replacement
        disk.put(name, bytes(content))
        outcome(driver, disk)


@pytest.mark.parametrize("seed", range(4))
def test_a_file_cut_short_is_healed_noticed_or_refused(seed: int) -> None:
    random = Random(seed)
    driver = member(clean=True)
    names = [name for name in driver.disk.names() if name != "lock"]
    for name in names:
        for _ in range(12):
            disk = driver.disk.copy()
            content = disk.content(name)
            disk.put(name, content[: random.randrange(len(content))])
            outcome(driver, disk, knows_how_far=False)


def test_a_missing_segment_below_the_last_is_noticed() -> None:
    driver = member(clean=True)
    for name in [name for name in driver.disk.names() if name.startswith("log-")][:-1]:
        disk = driver.disk.copy()
        disk.remove(name)
        assert outcome(driver, disk) == "recovering"


def test_a_log_that_is_gone_beside_the_founded_mark_is_never_blank() -> None:
    driver = member(clean=True)
    disk = driver.disk.copy()
    for name in disk.names():
        if name.startswith("log-"):
            disk.remove(name)
    changed = ArchiveDriver(disk, segment_length=SEGMENT_LENGTH)
    changed.open_archive()
    assert changed.archive.recovered.node_state.recovering.reason is RecoveringReason.DAMAGED


def test_one_rotten_slot_never_forgets_a_vote() -> None:
    """Whenever a change may begin, both slots hold the state before it."""
    for offset in (10, 4096 + 10):
        driver = member(clean=False)
        driver.reopen()
        driver.store(driver.state._replace(vote=CANDIDATES[2]))
        driver.archive.finish_node_state()
        before = driver.state
        driver.disk.flip("node-state", offset)
        driver.disk.crash_at = driver.disk.operations + 1
        driver.crash(None)
        driver.open_archive()
        assert driver.archive.recovered.node_state == before
        assert driver.archive.node_state_healed


def store_terms(driver: ArchiveDriver, *terms: int) -> None:
    for term in terms:
        driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(term)))


@pytest.mark.parametrize("cut", range(4))
def test_a_change_begins_only_when_both_slots_hold_the_one_before(cut: int) -> None:
    """The second copy is owed when the next change comes: two operations, then the change."""
    driver = member(clean=False)
    driver.reopen()
    store_terms(driver, 5, 6)
    driver.disk.crash_at = driver.disk.operations + 3 + cut
    with pytest.raises(SimulatedCrash):
        store_terms(driver, 7, 8)
    driver.crash(Random(cut))
    for offset in (10, 4096 + 10):
        disk = driver.disk.copy()
        disk.flip("node-state", offset)
        changed = ArchiveDriver(disk, segment_length=SEGMENT_LENGTH)
        changed.open_archive()
        assert changed.archive.recovered.node_state.candidate_term_id >= 6


@pytest.mark.parametrize("durability", list(Durability))
def test_damage_is_said_by_every_later_start_until_it_is_cured(durability: Durability) -> None:
    driver = member(clean=True)
    driver.disk.flip("log-00000000000000000000.seg", FRAMES_OFFSET + 1000)
    position = driver.mark(len(driver.frames)).position
    driver.durability = durability
    for power in (None, Random(1), None):
        driver.open_archive()
        recovering = driver.archive.recovered.node_state.recovering
        assert recovering.reason is RecoveringReason.DAMAGED
        assert recovering.position == position
        driver.crash(power)


@pytest.mark.parametrize("place", ["frame", "header", "first frame"])
def test_damage_is_not_forgotten_however_the_start_that_finds_it_is_cut(place: str) -> None:
    first, last = "log-00000000000000000000.seg", "log-00000000000000008192.seg"
    flips = {
        "frame": (first, FRAMES_OFFSET + 1000),
        "header": (last, 30),
        "first frame": (first, FRAMES_OFFSET + 70),
    }
    driver = member(clean=True)
    driver.disk.flip(*flips[place])
    position = driver.mark(len(driver.frames)).position
    for crash_at in range(1, 60):
        for power in (None, Random(crash_at), Random(-crash_at)):
            cut = ArchiveDriver(driver.disk.copy(), segment_length=SEGMENT_LENGTH)
            cut.disk.crash_at = crash_at
            try:
                cut.open_archive()
            except SimulatedCrash:
                cut.crash(power)
                cut.open_archive()
            recovering = cut.archive.recovered.node_state.recovering
            assert recovering.reason is RecoveringReason.DAMAGED
            assert recovering.position == position
