"""Crash points: cut an archive at every single operation and look at what the next life knows.

Each sequence is run once to count its operations, then once for each of them with the process,
or the machine, ending there. After a power cut any version of each un-synced sector and any
subset of the un-synced directory operations may be on the disk. The start itself is cut too.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from random import Random

import pytest

from quorate.config import Durability
from quorate.consensus.types import LeadershipTermId
from quorate.errors import SyncFailed
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import Operation, SimulatedCrash, SimulatedDisk

OPERATIONS = 14
POWER_CUTS = 3


def run(driver: ArchiveDriver, seed: int) -> bool:
    """Run one sequence; False where it was cut."""
    random = Random(seed)
    try:
        driver.reopen()
        for _ in range(OPERATIONS):
            driver.random_operation(random)
    except SimulatedCrash:
        return False
    return True


def new_driver(seed: int, durability: Durability) -> ArchiveDriver:
    return ArchiveDriver(SimulatedDisk(Random(seed)), durability=durability)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("durability", list(Durability))
def test_every_cut_leaves_what_persist_promised(seed: int, durability: Durability) -> None:
    for crash_at in itertools.count(1):
        for cut in range(-1, POWER_CUTS):
            driver = new_driver(seed, durability)
            driver.disk.crash_at = crash_at
            if run(driver, seed):
                return
            power = None if cut < 0 else Random(crash_at * 10 + cut)
            driver.crash(power)
            driver.reopen(power_was_cut=power is not None)
            driver.append([b"life goes on"])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("durability", list(Durability))
def test_many_lives_each_cut_somewhere(seed: int, durability: Durability) -> None:
    random = Random(seed)
    driver = new_driver(seed, durability)
    power_was_cut = False
    for _ in range(8):
        driver.disk.crash_at = driver.disk.operations + random.randint(1, 40)
        try:
            driver.reopen(power_was_cut=power_was_cut)
            power_was_cut = False
            for _ in range(OPERATIONS):
                driver.random_operation(random)
        except SimulatedCrash:
            pass
        power = Random(random.random()) if random.random() < 0.6 else None
        power_was_cut |= power is not None
        driver.crash(power)
    driver.reopen(power_was_cut=power_was_cut)


@pytest.mark.parametrize("seed", range(40))
def test_lives_of_changing_durability(seed: int) -> None:
    random = Random(seed)
    driver = new_driver(seed, Durability.REPLICATED)
    driver.reopen()
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(1)))
    driver.append([b"founding"])
    driver.store(driver.state._replace(founded=True))
    power_was_cut = False
    for _ in range(6):
        driver.durability = random.choice(list(Durability))
        crash_soon = random.random() < 0.6
        driver.disk.crash_at = driver.disk.operations + random.randint(1, 12 if crash_soon else 40)
        try:
            driver.crash(None)
            driver.disk.crash_at = driver.disk.operations + random.randint(1, 25)
            driver.reopen(power_was_cut=power_was_cut)
            power_was_cut = False
            for _ in range(OPERATIONS):
                driver.random_operation(random)
        except SimulatedCrash:
            pass
        power = Random(random.random()) if random.random() < 0.6 else None
        power_was_cut |= power is not None
        driver.crash(power)


def test_a_start_in_another_durability_hides_no_loss() -> None:
    """A kill in ``replicated``, a start in ``fsync`` cut at each operation, then the power."""
    for crash_at in itertools.count(1):
        for cut in range(8):
            driver = new_driver(cut, Durability.REPLICATED)
            driver.reopen()
            driver.append([b"founding"])
            driver.store(driver.state._replace(founded=True))
            driver.append([bytes(200), bytes(700)])
            driver.append([bytes(900)])
            driver.crash(None)
            driver.durability = Durability.FSYNC
            driver.disk.crash_at = driver.disk.operations + crash_at
            try:
                driver.reopen()
            except SimulatedCrash:
                driver.crash(Random(cut))
                driver.reopen(power_was_cut=True)
            else:
                return


def test_a_failed_sync_ends_the_life_and_the_next_one_reads_anew() -> None:
    """Pages of a failed sync are clean in the cache and not on the disk; then the power goes."""
    for failing in itertools.count(1):
        driver = new_driver(failing, Durability.FSYNC)
        syncs = itertools.count(1)

        def fail(
            operation: Operation, syncs: Iterator[int] = syncs, failing: int = failing
        ) -> OSError | None:
            fails = operation.kind == "sync" and next(syncs) == failing
            return OSError(errno.EIO, "input/output error") if fails else None

        driver.disk.fault = fail
        random = Random(1)
        try:
            driver.reopen()
            for _ in range(OPERATIONS):
                driver.random_operation(random)
        except SyncFailed:
            driver.disk.fault = None
        else:
            return
        driver.crash(None)
        driver.reopen()
        driver.append([b"after the failure"])
        driver.crash(Random(failing))
        driver.reopen(power_was_cut=True)


def whole_files(disk: SimulatedDisk) -> int:
    """Return how many files the log has or can take without more space."""
    return sum(name.endswith(".seg") for name in disk.names())


def fill_up(driver: ArchiveDriver, segments: int) -> None:
    """Append until the log fills so many segments."""
    length = driver.archive.segment_length
    while driver.archive.end.position < segments * length:
        driver.append([bytes(length // 4 - 64)])


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("durability", list(Durability))
def test_a_cut_on_a_full_disk_takes_no_room_from_the_log(
    durability: Durability, *, power: bool
) -> None:
    """A segment that was taken and never written to holds the next frames, without a spare."""
    for crash_at in itertools.count(1):
        driver = new_driver(crash_at, durability)
        driver.reopen()
        while driver.archive.prepare_spare():
            pass
        fill_up(driver, 1)
        disk = driver.disk
        disk.capacity, segments = disk.used_bytes, whole_files(disk)
        disk.crash_at = disk.operations + crash_at
        is_cut = False
        try:
            fill_up(driver, segments)
            driver.truncate(0)
        except SimulatedCrash:
            is_cut = True
            driver.crash(Random(crash_at) if power else None)
            driver.reopen(power_was_cut=power)
        disk.crash_at = None
        # What a truncation has removed is room again, as space for as many segments.
        fill_up(driver, segments)
        if not is_cut:
            return
