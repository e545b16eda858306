"""What is certain at every moment: no sync is missing, too early, or of the wrong file.

Beside the crash points, which draw what a power cut leaves: here every operation is looked at
for whether one *could* take what must stay.
"""

from __future__ import annotations

import errno
import itertools
from copy import deepcopy
from random import Random

import pytest

from quorate.config import Durability
from quorate.consensus.types import LeadershipTermId
from quorate.errors import StorageError
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.certain import CertaintyRules
from quorate_simulation.disk import Operation, SimulatedCrash, SimulatedDisk

OPERATIONS = 14


def live(driver: ArchiveDriver, random: Random, rules: CertaintyRules, fails: float) -> None:
    """Live once; every now and then a sync fails, and with it the life ends."""

    def look(operation: Operation) -> OSError | None:
        rules(operation)
        if operation.kind == "sync" and random.random() < fails:
            return OSError(errno.EIO, "injected")
        return None

    driver.disk.fault = look
    for _ in range(OPERATIONS):
        driver.random_operation(random)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("durability", list(Durability))
def test_at_every_operation_what_must_stay_is_certain(seed: int, durability: Durability) -> None:
    random = Random(seed)
    driver = ArchiveDriver(SimulatedDisk(Random(seed)), durability=durability)
    power_was_cut = False
    for fails in (0.0, 0.05, 0.0, 0.05, 0.1, 0.0):
        rules = CertaintyRules(driver.disk)
        driver.disk.fault = rules
        driver.disk.crash_at = driver.disk.operations + random.randint(20, 90)
        try:
            driver.reopen(power_was_cut=power_was_cut)
            power_was_cut = False
            rules.is_started = True
            live(driver, random, rules, fails)
        except (SimulatedCrash, StorageError):
            pass
        driver.disk.fault = None
        power = Random(random.random()) if random.random() < 0.5 else None
        power_was_cut |= power is not None
        driver.crash(power)
    driver.reopen(power_was_cut=power_was_cut)


def cut_life(seed: int, durability: Durability) -> tuple[ArchiveDriver, bool]:
    """Return a founded member whose life has ended somewhere, and whether the power went."""
    random = Random(seed)
    driver = ArchiveDriver(SimulatedDisk(random), durability=durability)
    driver.reopen()
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(1)))
    driver.append([b"founding"])
    driver.store(driver.state._replace(founded=True))
    driver.disk.crash_at = driver.disk.operations + random.randint(1, 60)
    try:
        while True:
            driver.random_operation(random)
    except SimulatedCrash:
        pass
    is_power_cut = random.random() < 0.7
    driver.crash(Random(random.random()) if is_power_cut else None)
    return driver, is_power_cut


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("durability", list(Durability))
def test_a_start_may_be_cut_at_each_of_its_operations(seed: int, durability: Durability) -> None:
    before, power_was_cut = cut_life(seed, durability)
    for crash_at in itertools.count(1):
        for power in (None, Random(crash_at), Random(-crash_at)):
            driver = deepcopy(before)
            driver.disk.fault = CertaintyRules(driver.disk)
            driver.disk.crash_at = driver.disk.operations + crash_at
            try:
                driver.reopen(power_was_cut=power_was_cut)
            except SimulatedCrash:
                driver.crash(power)
                driver.reopen(power_was_cut=power_was_cut or power is not None)
                driver.append([b"life goes on"])
            else:
                return
