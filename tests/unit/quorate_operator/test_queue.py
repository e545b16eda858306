"""The work queue: nothing is lost, nothing runs twice at once, and failures wait."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quorate.clock import SystemClock
from quorate_fake_api.virtual_loop import VirtualClock, run_virtually
from quorate_operator.queue import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    GAP_S,
    Key,
    Schedule,
    Verdict,
    WorkQueue,
)

KEYS = [Key("ns", name) for name in "abcd"]
ROOM = 3


class ScheduleMachine(RuleBasedStateMachine):
    """Compared with what every user of it relies on, at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.schedule = Schedule(lambda: 0.5, ROOM)
        self.running: set[Key] = set()
        self.owed: dict[Key, float] = {}
        """Woken and not taken since: by when it must be possible to take it."""
        self.asleep_until: dict[Key, float] = {}
        self.changed: set[Key] = set()
        """By their users since they were taken."""

    @rule(key=st.sampled_from(KEYS), at_once=st.booleans())
    def wake(self, key: Key, at_once: bool) -> None:
        known = key in self.schedule
        has_room = known or len(self.schedule) < ROOM
        assert self.schedule.wake(key, self.now, at_once=at_once) is has_room
        if has_room:
            if at_once:
                self.asleep_until.pop(key, None)
                self.changed.add(key)
            self.owed.setdefault(key, self.now)

    @rule(passed=st.floats(0, 40))
    def time_passes(self, passed: float) -> None:
        self.now += passed

    @rule()
    def take(self) -> None:
        key = self.schedule.take(self.now)
        if key is None:
            late = [
                key
                for key in self.owed
                if key not in self.running and self.asleep_until.get(key, 0.0) <= self.now
            ]
            assert not late, f"woken, allowed to run, and not offered: {late}"
            return
        assert key not in self.running, f"{key} runs twice at once"
        assert self.asleep_until.get(key, 0.0) <= self.now, f"{key} ran within its back-off"
        self.owed.pop(key, None)
        self.changed.discard(key)
        self.running.add(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), failed=st.booleans(), again=st.none() | st.floats(0, 60))
    def done(self, data: st.DataObject, failed: bool, again: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(key)
        self.schedule.done(key, self.now, Verdict(again, failed))
        # Its user changed it meanwhile: that this failed says nothing of what it is now.
        waits = failed and key not in self.changed
        pause = max(again or 0.0, 0.1) if waits else GAP_S
        self.asleep_until[key] = self.now + pause
        if failed:
            self.owed.setdefault(key, self.now)
            due = self.schedule.next_due_s()
            assert due is not None
            assert due <= self.now + max(BACKOFF_MAX_S, again or 0.0)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(key)
        was_woken = key in self.owed
        self.schedule.done(key, self.now, Verdict(forget=True))
        assert (key in self.schedule) is was_woken, "a wake during the run was lost"
        if was_woken:
            self.asleep_until[key] = self.now + GAP_S

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.schedule) <= ROOM

    @invariant()
    def what_is_owed_has_a_date(self) -> None:
        waiting = [key for key in self.owed if key not in self.running]
        assert not waiting or self.schedule.next_due_s() is not None


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=150, stateful_step_count=40)


@given(st.integers(1, 60), st.floats(0, 1))
def test_failures_in_a_row_wait_longer_up_to_a_limit(count: int, chance: float) -> None:
    schedule, key, now, waits = Schedule(lambda: chance), KEYS[0], 0.0, []
    schedule.wake(key, now)
    for _ in range(count):
        assert schedule.take(now) == key
        schedule.done(key, now, Verdict(failed=True))
        due = schedule.next_due_s()
        assert due is not None
        waits.append(due - now)
        now = due
    assert all(later >= wait - 1e-6 for wait, later in itertools.pairwise(waits))
    assert all(0 < wait <= BACKOFF_MAX_S + 1e-6 for wait in waits)
    assert count < 12 or waits[-1] >= BACKOFF_MAX_S / 2 - 1e-6


def test_an_event_does_not_shorten_a_back_off_but_its_user_does() -> None:
    schedule, key = Schedule(lambda: 1.0), KEYS[0]
    schedule.wake(key, 0.0)
    schedule.take(0.0)
    schedule.done(key, 0.0, Verdict(again_s=10.0, failed=True))
    schedule.wake(key, 1.0)
    assert schedule.take(9.9) is None
    schedule.wake(key, 9.9, at_once=True)
    assert schedule.take(9.9) == key


def test_what_fails_while_its_user_changes_it_begins_no_longer_wait() -> None:
    """It may have failed for the state before, and the change may be the remedy."""
    schedule, key, now = Schedule(lambda: 1.0), KEYS[0], 0.0
    schedule.wake(key, now)
    for _ in range(12):
        schedule.take(now)
        schedule.done(key, now, Verdict(failed=True))
        now = schedule.next_due_s() or now
    schedule.take(now)
    schedule.wake(key, now, at_once=True)
    schedule.done(key, now, Verdict(again_s=10.0, failed=True))
    assert schedule.next_due_s() == now + GAP_S


@given(st.floats(0, 1000))
def test_a_deadline_is_kept_without_any_event(again: float) -> None:
    schedule, key = Schedule(lambda: 0.5), KEYS[0]
    schedule.wake(key, 0.0)
    schedule.take(0.0)
    schedule.done(key, 0.0, Verdict(again))
    assert schedule.next_due_s() == max(again, GAP_S)


def running(queue: WorkQueue, work: Callable[[Key], Awaitable[Verdict]], at_once_max: int = 2):  # noqa: ANN201
    async def run() -> None:
        await queue.run(work, at_once_max=at_once_max)

    return run


def test_a_namespace_is_woken_and_no_other() -> None:
    queue = WorkQueue(SystemClock(), lambda: 0.5)
    keys = [Key(space, name) for space in ("a", "b") for name in ("x", "y")]
    for key in keys:
        assert queue.schedule.wake(key, 0.0)
        assert queue.schedule.take(0.0) == key
        queue.schedule.done(key, 0.0, Verdict())
    assert queue.depth() == 0
    queue.wake_namespace("a")
    assert queue.depth() == 2
    assert {queue.schedule.take(float("inf")) for _ in range(2)} == set(keys[:2])


def test_at_most_so_many_run_at_once_and_each_once() -> None:
    async def story() -> None:
        queue = WorkQueue(VirtualClock(), lambda: 0.5)
        now: set[Key] = set()
        most, ended = 0, 0

        async def work(key: Key) -> Verdict:
            nonlocal most, ended
            assert key not in now
            now.add(key)
            most = max(most, len(now))
            queue.wake(key)
            await asyncio.sleep(1.0)
            now.discard(key)
            ended += 1
            return Verdict()

        async with asyncio.TaskGroup() as group:
            group.create_task(running(queue, work, 2)())
            for key in KEYS:
                queue.wake(key)
            await asyncio.sleep(60.0)
            await queue.close()
        assert most == 2
        assert ended > 50, "two places, a second each, and always something to do"
        assert not now

    run_virtually(story())


def test_closing_waits_for_what_runs_and_begins_nothing() -> None:
    async def story() -> None:
        queue = WorkQueue(VirtualClock(), lambda: 0.5)
        begun, ended = [], []

        async def work(key: Key) -> Verdict:
            begun.append(key)
            await asyncio.sleep(3.0)
            ended.append(key)
            return Verdict()

        async with asyncio.TaskGroup() as group:
            group.create_task(running(queue, work, 1)())
            queue.wake(KEYS[0])
            queue.wake(KEYS[1])
            await asyncio.sleep(1.0)
            await queue.close()
            assert begun == ended == [KEYS[0]]

    run_virtually(story())


def test_a_queue_that_never_ran_closes_at_once() -> None:
    async def story() -> None:
        await WorkQueue(VirtualClock(), lambda: 0.5).close()

    run_virtually(story())


def test_what_finds_no_room_is_counted() -> None:
    async def story() -> None:
        dropped: list[int] = []
        queue = WorkQueue(
            VirtualClock(), lambda: 0.5, on_drop=lambda: dropped.append(1), keys_max=2
        )
        for key in KEYS:
            queue.wake(key)
        assert len(dropped) == 2
        assert queue.depth() == 2

    run_virtually(story())


def test_the_depth_counts_what_is_due_and_not_begun() -> None:
    schedule = Schedule(lambda: 0.5)
    for key in KEYS[:3]:
        schedule.wake(key, 5.0)
    assert (schedule.depth(4.0), schedule.depth(5.0)) == (0, 3)
    first = schedule.take(5.0)
    assert first is not None
    assert schedule.depth(5.0) == 2
    schedule.wake(first, 6.0)
    assert schedule.depth(6.0) == 2, "what runs has begun"


def test_a_success_ends_the_row_of_failures() -> None:
    schedule, key, now = Schedule(lambda: 1.0), KEYS[0], 0.0
    schedule.wake(key, now)
    for failed in (*[True] * 12, False, True):
        schedule.wake(key, now)
        now = schedule.next_due_s() or now
        assert schedule.take(now) == key
        schedule.done(key, now, Verdict(failed=failed))
    assert schedule.next_due_s() == now + BACKOFF_FIRST_S


def test_what_has_waited_longest_comes_first_however_often_the_rest_is_woken() -> None:
    schedule = Schedule(lambda: 0.5)
    first, second, third = KEYS[:3]
    schedule.wake(third, 0.0)
    assert schedule.take(0.0) == third
    schedule.done(third, 0.0, Verdict())
    schedule.wake(second, 1.0)
    schedule.wake(third, 2.0)
    schedule.wake(first, 3.0)
    schedule.wake(second, 4.0)
    assert [schedule.take(5.0) for _ in range(3)] == [second, third, first]


def test_a_deadline_is_kept_while_other_places_are_free() -> None:
    async def story() -> None:
        queue = WorkQueue(VirtualClock(), lambda: 0.5)
        passes: list[Key] = []

        async def work(key: Key) -> Verdict:
            passes.append(key)
            await asyncio.sleep(1.0)
            return Verdict(again_s=5.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(running(queue, work, 3)())
            queue.wake(KEYS[0])
            await asyncio.sleep(30.0)
            assert len(passes) == 5, "each 6 s, without any event"
            await queue.close()

    run_virtually(story())


def test_an_idle_queue_closes_at_once() -> None:
    async def story() -> None:
        queue, clock = WorkQueue(VirtualClock(), lambda: 0.5), VirtualClock()
        async with asyncio.TaskGroup() as group:
            group.create_task(running(queue, lambda _: asyncio.sleep(0, Verdict()))())
            queue.wake(KEYS[0])
            await asyncio.sleep(1.0)
            began = clock.boottime()
            async with asyncio.timeout(60):
                await queue.close()
            assert clock.boottime() == began

    run_virtually(story())


def test_a_wall_clock_that_is_set_delays_nothing() -> None:
    class Set(VirtualClock):
        by_s = 0.0

        def wall(self) -> int:
            return super().wall() + int(self.by_s * 1e9)

    async def story() -> None:
        clock, passes = Set(), list[float]()
        queue = WorkQueue(clock, lambda: 0.5)

        async def work(_: Key) -> Verdict:
            passes.append(clock.monotonic() * 1e-9)
            clock.by_s = -3600.0 if len(passes) % 2 else 3600.0
            return Verdict(again_s=10.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(running(queue, work)())
            queue.wake(KEYS[0])
            await asyncio.sleep(95.0)
            await queue.close()
        assert len(passes) == 10

    run_virtually(story())
