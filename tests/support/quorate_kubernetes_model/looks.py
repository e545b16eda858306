"""Looks at a cluster, to be changed by hand: a settled one is taken from the model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

from quorate.control.status import DigestRow, MemberState
from quorate_kubernetes_model.walk import make_world, settle
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import DeletePod, Disruption, EvictPod, Plan, Step, Transfer
from quorate_operator.planning.observed import Observed
from quorate_operator.reasons import Condition, Reason


@functools.cache
def settled(replicas: int = 3) -> Observed:
    """Return a look at a cluster that is as its resource wants it."""
    world = make_world(1, replicas, errors=0.0)
    settle(world)
    return world.look()


def blank(replicas: int = 3) -> Observed:
    """Return a look at a resource for which nothing has been made."""
    return make_world(1, replicas, errors=0.0).look()


def leader_of(look: Observed) -> int:
    """Return the seat that leads."""
    return next(s for s, m in look.members.items() if m.status and m.status.role == "leader")


def followers_of(look: Observed) -> list[int]:
    """Return the seats that follow."""
    return sorted(set(look.members) - {leader_of(look)})


def with_pod(look: Observed, seat: int, **values: object) -> Observed:
    """Return the look with another pod in a seat."""
    pod = replace(look.pods[seat], **values)  # type: ignore[arg-type]
    return replace(look, pods={**look.pods, seat: pod})


def without_pod(look: Observed, seat: int) -> Observed:
    """Return the look without the pod in a seat."""
    pods = {number: pod for number, pod in look.pods.items() if number != seat}
    members = {number: member for number, member in look.members.items() if number != seat}
    return replace(look, pods=pods, members=members)


def with_word(look: Observed, seat: int, **values: object) -> Observed:
    """Return the look with another word of the member in a seat."""
    member = look.members[seat]
    assert member.status is not None
    word = replace(member.status, **values)  # type: ignore[arg-type]
    return replace(look, members={**look.members, seat: replace(member, status=word)})


def answering(look: Observed, digests: Mapping[int, str], position: int = 1 << 30) -> Observed:
    """Return the look with members that have one digest each, all at one position."""
    for seat, digest in digests.items():
        look = with_word(look, seat, digests=(DigestRow(position, digest),))
    return look


def silent(look: Observed, seat: int, for_s: float) -> Observed:
    """Return the look with a member that has not answered for some time."""
    since = look.now_s - for_s
    member = replace(look.members[seat], silent_since_s=since, problem="timeout")
    return replace(look, members={**look.members, seat: member})


def dead(look: Observed, seat: int, reason: str = "CrashLoopBackOff") -> Observed:
    """Return the look with a process that does not run."""
    since = look.now_s - 60
    stopped = with_pod(
        look, seat, running=False, ready=False, reason=reason, not_running_since_s=since
    )
    return silent(stopped, seat, 60)


def outdated(look: Observed, *seats: int) -> Observed:
    """Return the look with pods that were made from something else."""
    for seat in seats:
        look = with_pod(look, seat, input_hash="0" * 16)
    return look


def with_spec(look: Observed, **values: object) -> Observed:
    """Return the look with another spec."""
    resource = look.resource
    assert resource.spec is not None
    spec = replace(resource.spec, **values)  # type: ignore[arg-type]
    return replace(look, resource=replace(resource, spec=spec))


def with_status(look: Observed, status: ClusterStatus) -> Observed:
    """Return the look with another recorded status."""
    return replace(look, resource=replace(look.resource, status=status))


def with_request(look: Observed, text: str) -> Observed:
    """Return the look with a request to hand over."""
    return replace(look, resource=replace(look.resource, transfer_request=text))


def with_claim(look: Observed, seat: int, **values: object) -> Observed:
    """Return the look with another claim in a seat."""
    claim = replace(look.claims[seat], **values)  # type: ignore[arg-type]
    return replace(look, claims={**look.claims, seat: claim})


def all_blank(look: Observed) -> Observed:
    """Return the look with members on empty volumes."""
    for seat in look.members:
        look = with_word(
            look, seat, state=MemberState.BLANK, founded=False, role="follower", leader=None
        )
    return look


def later(look: Observed, seconds: float, made: Plan | None = None) -> Observed:
    """Return the look some time later, with the status that a plan asks for, if given."""
    if made is not None:
        look = with_status(look, made.status)
    return replace(look, now_s=look.now_s + seconds)


def disruption(made: Plan) -> Disruption | None:
    """Return the disruption of a plan."""
    return next((s for s in made.steps if isinstance(s, Transfer | EvictPod | DeletePod)), None)


def steps_of(made: Plan, kind: type[Step]) -> list[Step]:
    """Return the steps of one kind."""
    return [step for step in made.steps if isinstance(step, kind)]


def reason_of(made: Plan, condition: Condition) -> Reason:
    """Return the reason of a condition."""
    return next(row.reason for row in made.status.conditions if row.type is condition)


def message_of(made: Plan, condition: Condition) -> str:
    """Return the message of a condition."""
    return next(row.message for row in made.status.conditions if row.type is condition)
