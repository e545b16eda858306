"""The lease under races, slow answers and stalls, in virtual time: never two at once."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_fake_api.lease_server import (
    LeaseServer,
    holder_of,
    lease_of,
    running,
    until,
)
from quorate_fake_api.virtual_loop import VirtualClock, run_virtually
from quorate_operator.errors import Gone, LeaseLost
from quorate_operator.kube.api import Api
from quorate_operator.kube.kinds import Kind
from quorate_operator.lease import (
    CALL_LIMIT_S,
    DEADLINE_S,
    DURATION_S,
    PERIOD_S,
    Lease,
    LeaseExit,
)
from quorate_operator.planning.observed import Body


async def live(lease: Lease) -> None:
    """Hold the lease whenever possible, as a process does that is started again for ever."""
    number = 0
    name = lease.holder
    while True:
        await lease.acquire()
        try:
            await lease.keep()
        except LeaseLost:
            number += 1
            lease.holder = f"{name}-{number}"


async def watch_for_two(leases: list[Lease], seconds: float) -> int:
    """Return how many changes of holder were seen; fail if two held it at one moment."""
    loop = asyncio.get_running_loop()
    end, seen, changes = loop.time() + seconds, "", 0
    while loop.time() < end:
        holding = [lease.holder for lease in leases if lease.is_held()]
        assert len(holding) <= 1, f"two hold the lease at {loop.time()}: {holding}"
        if holding and holding[0] != seen:
            seen, changes = holding[0], changes + 1
        await asyncio.sleep(0.02)
    return changes


@given(
    data=st.data(),
    count=st.integers(2, 4),
    shifts=st.lists(st.floats(-900, 1e6), min_size=4, max_size=4),
)
def test_never_two_hold_it(data: st.DataObject, count: int, shifts: list[float]) -> None:
    """Whatever answers and requests take, however clocks are shifted, also when it is away."""
    delay = st.one_of(st.floats(0, 0.5), st.floats(0, 25))
    server = LeaseServer(lambda: data.draw(delay), lambda: data.draw(delay))
    leases = [lease_of(server, f"p{n}", shifts[n]) for n in range(count)]

    async def story() -> None:
        for _ in range(data.draw(st.integers(1, 4))):
            server.is_away = data.draw(st.booleans())
            await watch_for_two(leases, data.draw(st.floats(1, 30)))

    running(*(lambda lease=lease: live(lease) for lease in leases), story)  # type: ignore[misc]


def test_one_of_many_gets_it_and_the_others_wait() -> None:
    server = LeaseServer()
    leases = [lease_of(server, f"p{n}") for n in range(5)]

    async def story() -> None:
        await until(lambda: any(lease.is_held() for lease in leases))
        assert await watch_for_two(leases, 300.0) == 1

    running(*(lambda lease=lease: live(lease) for lease in leases), story)  # type: ignore[misc]


def test_a_dead_holder_is_followed_after_the_duration() -> None:
    server = LeaseServer()
    dead, heir = lease_of(server, "dead"), lease_of(server, "heir", shift_s=12345.0)

    async def story() -> None:
        await dead.acquire()
        took = await until(heir.is_held)
        assert DURATION_S <= took <= DURATION_S + 2 * PERIOD_S
        assert not dead.is_held()

    running(lambda: live(heir), story)


def test_a_released_lease_is_taken_at_the_next_look() -> None:
    server = LeaseServer()
    first, heir = lease_of(server, "first"), lease_of(server, "heir")

    async def story() -> None:
        await first.acquire()
        await asyncio.sleep(5.0)
        await first.release()
        with pytest.raises(LeaseLost):
            first.check()
        assert await until(heir.is_held) <= PERIOD_S + 0.5

    async def late() -> None:
        await asyncio.sleep(1.0)
        await live(heir)

    running(late, story)


def test_a_lease_that_is_deleted_is_not_taken_while_its_holder_may_act() -> None:
    server = LeaseServer()
    first, heir = lease_of(server, "first"), lease_of(server, "heir")

    async def story() -> None:
        await first.acquire()
        await asyncio.sleep(5.0)
        server.body = None
        assert await watch_for_two([first, heir], 60.0) == 2, "the heir follows, later"

    async def late() -> None:
        await asyncio.sleep(1.0)
        await live(heir)

    running(late, story)


def test_a_server_that_is_away_ends_the_holder_at_its_deadline_and_not_before() -> None:
    server = LeaseServer()
    lease = lease_of(server, "p")

    async def story() -> None:
        await lease.acquire()
        loop = asyncio.get_running_loop()
        server.is_away = True
        began = loop.time()
        with pytest.raises(LeaseLost):
            await lease.keep()
        assert DEADLINE_S - PERIOD_S <= loop.time() - began <= DEADLINE_S + PERIOD_S
        assert not lease.is_held()

    running(story)


def test_a_short_absence_of_the_server_costs_nothing() -> None:
    server = LeaseServer()
    lease = lease_of(server, "p")

    async def keep() -> None:
        await lease.acquire()
        await lease.keep()

    async def story() -> None:
        await until(lease.is_held)
        for _ in range(20):
            server.is_away = True
            await asyncio.sleep(6.0)
            assert lease.is_held()
            server.is_away = False
            await asyncio.sleep(5.0)
            assert lease.is_held()

    running(keep, story)


def test_a_renewal_that_is_on_its_way_gives_no_right_after_the_release() -> None:
    server = LeaseServer()
    lease = lease_of(server, "p")

    async def keep() -> None:
        await lease.acquire()
        with pytest.raises(LeaseLost):
            await lease.keep()

    async def story() -> None:
        await until(lease.is_held)
        server.back = lambda: 1.0
        await asyncio.sleep(PERIOD_S + 0.2)
        await lease.release()
        for _ in range(30):
            assert not lease.is_held()
            await asyncio.sleep(0.1)

    running(keep, story)


def test_a_renewal_that_arrived_without_an_answer_is_gone_on_with() -> None:
    """Its version is not the one that this process knows: it looks instead of giving up."""
    server = LeaseServer()
    lease = lease_of(server, "p")

    async def keep() -> None:
        await lease.acquire()
        await lease.keep()

    async def story() -> None:
        await until(lease.is_held)
        slow = [0.01, 0.01]
        server.back = lambda: slow.pop() if slow else 0.01
        for _ in range(10):
            slow[:] = [30.0]
            await until(lambda: not slow)
            await asyncio.sleep(12.0)
            assert lease.is_held()

    running(keep, story)


def test_a_renewal_whose_answer_is_lost_is_made_up_for_by_the_next() -> None:
    """What the lost one leaves of the deadline is spent on nothing but its time limit."""
    server = LeaseServer()
    lease = lease_of(server, "p")
    lowest: list[float] = []

    async def keep() -> None:
        await lease.acquire()
        await lease.keep()

    async def story() -> None:
        await until(lease.is_held)
        slow: list[float] = []
        server.back = lambda: slow.pop() if slow else 0.01
        for _ in range(10):
            slow[:] = [30.0]
            lowest.append(DEADLINE_S)
            for _ in range(1200):
                await asyncio.sleep(0.01)
                lowest[-1] = min(lowest[-1], lease.left_s())

    running(keep, story)
    spent = [DEADLINE_S - left for left in lowest]
    assert max(spent) < 2 * PERIOD_S + CALL_LIMIT_S + 0.2, spent


def test_a_process_waits_for_a_server_that_is_away() -> None:
    server = LeaseServer(is_away=True)
    lease = lease_of(server, "p")

    async def story() -> None:
        await asyncio.sleep(3600.0)
        assert not lease.is_held()
        server.is_away = False
        assert await until(lease.is_held) <= PERIOD_S + 1.0

    running(lambda: live(lease), story)


def test_a_holder_that_was_stopped_may_not_act_when_it_goes_on() -> None:
    """A stopped process is one whose clock jumps between two lines."""
    server = LeaseServer()
    clock = VirtualClock()
    lease = Lease(cast("Api", server), clock, "ns", "lease", "p")

    async def story() -> None:
        await lease.acquire()
        lease.check()
        clock.shift_s += DEADLINE_S
        with pytest.raises(LeaseLost):
            lease.check()
        with pytest.raises(LeaseLost):
            await lease.keep()

    running(story)


def test_renewals_stay_away_from_the_server_when_nobody_else_is_there() -> None:
    """One call each two seconds: no look before it."""
    server = LeaseServer()
    lease = lease_of(server, "p")

    async def keep() -> None:
        await lease.acquire()
        await lease.keep()

    async def story() -> None:
        await asyncio.sleep(100.0)
        assert server.writes == ["p"] * len(server.writes)
        assert 45 <= len(server.writes) <= 51

    running(keep, story)


class StoppedClock:
    """A clock that stands where a test puts it."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic(self) -> int:
        return self.now_ns

    def boottime(self) -> int:
        return self.now_ns

    def wall(self) -> int:
        return self.now_ns


def test_the_guard_ends_the_process_when_the_deadline_passes_though_the_loop_is_stuck() -> None:
    clock, ended = StoppedClock(), threading.Event()
    codes: list[int] = []
    lease = Lease(cast("Api", None), clock, "ns", "lease", "p", _held_until_ns=1_000)

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    thread = lease.guard(end)
    assert not ended.wait(0.6)
    clock.now_ns = 1_000
    assert ended.wait(10.0), "the guard slept through the deadline"
    thread.join(10.0)
    assert codes == [LeaseExit.LOST]


def test_the_guard_goes_when_the_lease_is_released() -> None:
    codes: list[int] = []
    clock = StoppedClock()
    lease = Lease(cast("Api", LeaseServer(is_away=True)), clock, "ns", "l", "p")
    lease._held_until_ns = 1_000
    thread = lease.guard(codes.append)
    run_virtually(lease.release())
    thread.join(10.0)
    assert not thread.is_alive()
    assert codes == []


def test_the_deadline_counts_from_the_moment_that_the_renewal_was_sent() -> None:
    """Its answer may be old news: another counts from when the server had it."""
    server = LeaseServer(there=lambda: 0.0, back=lambda: 2.5)
    lease = lease_of(server, "p")

    async def story() -> None:
        server.body = {"metadata": {"resourceVersion": "0"}, "spec": {"holderIdentity": ""}}
        began = asyncio.get_running_loop().time()
        server.back = lambda: 1.2
        await lease.acquire()
        await asyncio.sleep(began + DEADLINE_S - 0.1 - asyncio.get_running_loop().time())
        assert lease.is_held()
        await asyncio.sleep(0.2)
        assert not lease.is_held()

    running(story)


def test_a_holder_that_sees_another_in_its_place_stops_at_once() -> None:
    server = LeaseServer()
    lease = lease_of(server, "p")

    async def story() -> None:
        await lease.acquire()
        assert server.body is not None
        meta = {"resourceVersion": str(server.version)}
        await server.update(
            cast("Kind", None), "", "", {"metadata": meta, "spec": {"holderIdentity": "thief"}}
        )
        assert lease.is_held()
        began = asyncio.get_running_loop().time()
        with pytest.raises(LeaseLost):
            await lease.keep()
        assert asyncio.get_running_loop().time() - began <= 2 * PERIOD_S + 0.5

    running(story)


def spec_of(server: LeaseServer) -> Body:
    assert server.body is not None
    return cast("Body", server.body["spec"])


def test_the_lease_says_since_when_it_is_held_and_how_often_it_changed_hands() -> None:
    server = LeaseServer()
    first, heir = lease_of(server, "first"), lease_of(server, "heir")

    async def story() -> None:
        await first.acquire()
        began = spec_of(server)
        assert (began["leaseTransitions"], began["acquireTime"]) == (0, began["renewTime"])
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(first.keep())
            await asyncio.sleep(5 * PERIOD_S)
            keeping.cancel()
        renewed = spec_of(server)
        assert (renewed["leaseTransitions"], renewed["acquireTime"]) == (0, began["acquireTime"])
        assert str(renewed["renewTime"]) > str(began["renewTime"])
        await first.release()
        await heir.acquire()
        taken = spec_of(server)
        assert (taken["holderIdentity"], taken["leaseTransitions"]) == ("heir", 1)
        assert taken["acquireTime"] == taken["renewTime"] > str(renewed["renewTime"])  # type: ignore[operator]

    running(story)


def test_a_holder_whose_lease_is_deleted_makes_it_again_and_goes_on() -> None:
    """However the server tells that there is nothing to replace."""

    class Forgetful(LeaseServer):
        async def update(self, kind: Kind, namespace: str, name: str, body: Body) -> Body:
            if self.body is None:
                raise Gone("no such lease")
            return await super().update(kind, namespace, name, body)

    server = Forgetful()
    lease = lease_of(server, "p")

    async def story() -> None:
        await lease.acquire()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(lease.keep())
            await asyncio.sleep(5.0)
            server.body = None
            await asyncio.sleep(2 * DEADLINE_S)
            assert not keeping.done()
            keeping.cancel()
        assert holder_of(cast("Body", server.body)) == "p"

    running(story)


def test_giving_up_takes_the_lease_from_nobody_else() -> None:
    server = LeaseServer()
    lease, thief = lease_of(server, "p"), {"holderIdentity": "thief"}

    async def story() -> None:
        await lease.acquire()
        meta = {"resourceVersion": str(server.version)}
        await server.update(cast("Kind", None), "", "", {"metadata": meta, "spec": thief})
        lease._body = {}  # as after a renewal that found it changed and could not look
        await lease.release()
        assert holder_of(cast("Body", server.body)) == "thief"

    running(story)


@given(st.lists(st.floats(0.0, 12.0), max_size=6))
def test_what_is_left_is_nothing_exactly_when_it_is_not_held(waits: list[float]) -> None:
    async def story() -> None:
        lease = lease_of(LeaseServer(), "a")
        assert lease.left_s() == 0.0
        await lease.acquire()
        for wait in waits:
            before = lease.left_s()
            assert before <= DEADLINE_S
            assert lease.is_held() == (before > 0)
            await asyncio.sleep(wait)
            assert lease.left_s() == pytest.approx(max(0.0, before - wait), abs=1e-6)
        await lease.release()
        assert lease.left_s() == 0.0

    run_virtually(story())
