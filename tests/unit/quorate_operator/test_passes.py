"""What one pass leaves to the next one of the same key: nothing but what it should."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import fields, is_dataclass, replace

import pytest

from quorate_fake_api.virtual_loop import VirtualClock, run_virtually
from quorate_operator.errors import LeaseLost, OperatorError, Refused, Unavailable
from quorate_operator.kube.observe import Absent
from quorate_operator.pacing import UNSETTLED_FIRST_S
from quorate_operator.planning.actions import ApplyChild, LabelSource, Note, Plan
from quorate_operator.reasons import Condition, Reason
from quorate_operator.reconcile import PASS_LIMIT_S
from quorate_reconciliation.world import (
    APPLY,
    EVICT,
    KEY,
    LABEL,
    RECORDED,
    World,
    observed,
    plan_of,
    reconciled,
    row,
)

UNSETTLED = replace(RECORDED, conditions=(row(Condition.READY, status=False),))


class Hanging(World):
    """A world in which a disruption is never answered."""

    async def _do(self, what: object) -> None:
        await super()._do(what)
        if what == EVICT:
            await asyncio.Event().wait()


def hanging(*plans: Plan, passes: int, changed: str = "") -> Hanging:
    world = Hanging(deque(plans), changed=changed)

    async def story() -> None:
        reconciler = world.reconciler()
        clock = VirtualClock()
        for _ in range(passes):
            began = clock.monotonic()
            verdict = await reconciler.reconcile(KEY)
            is_cut_off = clock.monotonic() - began >= PASS_LIMIT_S * 1e9
            assert verdict.failed == is_cut_off, "what failed is tried again"
            assert clock.monotonic() - began <= (PASS_LIMIT_S + 1) * 1e9
            world.changed = ""

    run_virtually(story())
    return world


def test_a_pass_that_never_ends_is_cut_off_and_tried_again() -> None:
    """Else its key were never looked at again, and held one of few places."""
    world = hanging(plan_of(EVICT), passes=2)
    assert world.count("reconcile_total", result="timeout") == 2


def test_what_a_pass_found_that_was_cut_off_does_not_stand_in_the_status_of_the_next() -> None:
    first = plan_of(APPLY, EVICT)
    words = "spec.type of Service bank is changed"
    world = hanging(first, first, plan_of(), passes=2, changed=words)
    assert world.statuses == [RECORDED]


def kept_of(part: object) -> list[str]:
    """Return the names of all in which it, or a part of it, keeps something by key."""
    assert is_dataclass(part)
    own = [(item.name, getattr(part, item.name)) for item in fields(part) if item.name[0] == "_"]
    kept = [name for name, value in own if isinstance(value, dict | set) and KEY in value]
    parts = (value for _, value in own if is_dataclass(value))
    return kept + [name for value in parts for name in kept_of(value)]


@pytest.mark.parametrize(
    "error", [None, Refused("policy"), Unavailable("away")], ids=["done", "refused", "unanswered"]
)
def test_of_a_resource_that_is_gone_nothing_is_kept(error: OperatorError | None) -> None:
    """Clusters come and go; and the next one of this name begins anew."""
    plan = Plan((APPLY, LABEL), UNSETTLED, ask_members=True, label_source=LabelSource("code", "m"))
    errors: dict[type, OperatorError] = {LabelSource: Refused("policy")}
    if error is not None:
        errors[ApplyChild] = error
    world = World(deque([plan]), errors=errors)

    async def story() -> None:
        reconciler = world.reconciler()
        await reconciler.reconcile(KEY)
        assert {"_kept", "_to_ask", "_refused"} & set(kept_of(reconciler))
        world.looks.append(Absent("gone"))
        await reconciler.reconcile(KEY)
        assert kept_of(reconciler) == []

    asyncio.run(story())


def test_what_gets_on_is_looked_at_again_soon_however_long_it_stood_still() -> None:
    """Its members are asked at each look, and nothing else tells that they have caught up."""
    seen = replace(observed(), resource=replace(observed().resource, status=UNSETTLED))
    still, moved = plan_of(status=UNSETTLED), replace(UNSETTLED, state="Updating")
    settled = replace(observed(), resource=replace(observed().resource, status=RECORDED))

    async def story() -> None:
        for between, look in ((plan_of(status=moved), seen), (plan_of(), settled)):
            world = World(deque([still] * 6 + [between, still]), deque([seen] * 6 + [look, seen]))
            reconciler = world.reconciler()
            waits = [(await reconciler.reconcile(KEY)).again_s for _ in range(8)]
            assert waits[5] is not None
            assert waits[5] > UNSETTLED_FIRST_S
            assert UNSETTLED_FIRST_S in waits[6:]

    asyncio.run(story())


def test_each_look_follows_the_members_of_the_cluster_that_it_sees() -> None:
    world = World(deque([plan_of(EVICT)]))
    reconciled(world, passes=2)
    assert len(world.followed) == world.log.count("observe") == 4
    assert set(world.followed) == {observed().resource.status.cluster_id}


def test_the_time_of_a_plan_is_not_before_the_word_of_its_members() -> None:
    """A member could be silent since a time to come, and the silence last for less than nothing."""
    world = World(deque([plan_of(status=UNSETTLED)]), asking_s=3.0)

    async def story() -> None:
        reconciler = world.reconciler()
        for _ in range(2):
            await reconciler.reconcile(KEY)
            assert world.planned[-1].now_s == pytest.approx(VirtualClock().wall() / 1e9)

    run_virtually(story())
    assert "ask" in world.log


@pytest.mark.parametrize("place", [Note, LabelSource])
def test_a_lease_that_is_lost_ends_the_pass_also_where_other_errors_are_only_logged(
    place: type,
) -> None:
    note = Note(Reason.UPDATE_STARTED, "begins")
    plan = Plan((), RECORDED, (note,), label_source=LabelSource("code", "m"))
    world = World(deque([plan]), errors={place: LeaseLost("lost")})
    with pytest.raises(LeaseLost):
        reconciled(world)


def test_a_plan_that_has_never_ended_for_days_is_still_looked_at() -> None:
    """Whatever else grows with each pass, such as a power of two."""
    for plan in (plan_of(LABEL), plan_of(status=UNSETTLED)):
        world = World(deque([plan]))
        seen = replace(observed(), resource=replace(observed().resource, status=plan.status))
        world.looks.extend([seen] * 1200)
        verdict = reconciled(world, passes=1200)
        assert not verdict.failed
        assert verdict.again_s is not None
        assert world.count("reconcile_total", result="bug") == 0
