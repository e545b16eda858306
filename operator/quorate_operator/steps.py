"""How the steps of a plan stand to each other, and what they are called in words."""

from __future__ import annotations

from dataclasses import replace

from quorate_operator import lenient
from quorate_operator.errors import OperatorError, Refused
from quorate_operator.kube import kinds
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    Disruption,
    LabelPod,
    PatchClaim,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)


def disruption(plan: Plan) -> Disruption | None:
    """Return the disruptive step of a plan, if it has one."""
    found = (step for step in plan.steps if isinstance(step, Disruption))
    return next(found, None)


def is_same(first: Disruption, second: Disruption) -> bool:
    """Compare two disruptions.

    A newer version of the same pod is no difference, nor is another heir: under traffic the
    closest follower is another one from look to look, and the later plan vouches for its own.
    """
    return _bare(first) == _bare(second)


def _bare(step: Disruption) -> Disruption:
    if isinstance(step, Transfer):
        return step if step.to is None else replace(step, to=0)
    return replace(step, resource_version="")


def is_apart(step: Step, failed: Step, error: OperatorError) -> bool:
    """Tell whether a step is done though one before it failed.

    By the labels of pods clients find the leader, so these wait for no child; but the new leader's
    comes before the old one's goes. A child that is refused, as a quota or a policy does it for
    weeks, keeps neither the others from being repaired nor the claims from being marked, while pods
    need all of them. Where no answer comes, each other call might take its whole limit as well.
    """
    if isinstance(step, LabelPod):
        return not isinstance(failed, LabelPod)
    if not isinstance(error, Refused) or isinstance(failed, WriteIdentity):
        return False
    if isinstance(step, ApplyChild | CreateChild):
        return step.body.get("kind") != kinds.STATEFUL_SET.name
    return isinstance(step, PatchClaim)


def told(step: Step) -> str:
    """Return a step in one line without the body of an object, which may hold secrets."""
    return named(step) if isinstance(step, ApplyChild | CreateChild) else repr(step)


def named(step: Step) -> str:
    """Return what a step does to which object."""
    if isinstance(step, ApplyChild | CreateChild):
        name = object_name(step)
    else:
        name = getattr(step, "name", "")
    return f"{type(step).__name__} {name}".strip()


def object_name(step: ApplyChild | CreateChild) -> str:
    """Return kind and name of the object of a step."""
    return f"{step.body.get('kind')}/{lenient.text(lenient.metadata(step.body).get('name'))}"
