"""Crash points: cut an archive at every single operation and look at what the next life knows.

Each sequence is run once to count its operations, then once for each of them with the process,
or the machine, ending there. After a power cut any version of each un-synced sector and any
subset of the un-synced directory operations may be on the disk. The start itself is cut too.
"""

from __future__ import annotations

import itertools
from random import Random

import pytest

from quorate.config import Durability
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedCrash, SimulatedDisk

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
