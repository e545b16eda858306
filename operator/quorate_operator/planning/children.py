"""The objects around the members: applied when they differ, and only if they are ours.

An object that somebody else controls is waited for and never taken: its garbage collection may be
under way, or it is not about this cluster at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quorate.errors import ConfigurationError
from quorate_operator import labels, lenient
from quorate_operator.model import ClusterSpec
from quorate_operator.planning.actions import ApplyChild, CreateChild, DeleteChild, Step
from quorate_operator.planning.observed import Body, Child, Observed
from quorate_operator.planning.ownership import (
    POD_MONITOR,
    SECRET,
    STATEFUL_SET,
    conflict,
    is_ours,
)
from quorate_operator.planning.problem import Problem
from quorate_operator.reasons import Reason
from quorate_operator.resources import Intent, auth_secret, children, input_hash, needs_apply

CONFIG_MAP = "ConfigMap"
_NEEDED_BY_PODS = frozenset({STATEFUL_SET, CONFIG_MAP, SECRET})


@dataclass(frozen=True, slots=True)
class Children:
    """What is to be done about the children."""

    steps: tuple[Step, ...] = ()
    problem: Problem | None = None
    set_is_current: bool = False
    """What pods are made from is as wanted, and their controller has seen it: a pod that goes now
    comes back as it should be."""


def wanted_hash(observed: Observed) -> str:
    """Return the input hash that every pod should have; empty if that is not known."""
    spec = observed.resource.spec
    if spec is None or is_code_missing(observed):
        return ""
    return input_hash(spec, observed.code if spec.service.code_config_map is not None else None)


def is_code_missing(observed: Observed) -> bool:
    """Tell whether the spec names code that is not there."""
    spec = observed.resource.spec
    return spec is not None and spec.service.code_config_map is not None and observed.code is None


def plan_children(observed: Observed, cluster_id: str, *, founded: bool) -> Children:
    """Return the steps that make the children what they should be."""
    spec = observed.resource.spec
    if spec is None:
        return Children()
    if is_code_missing(observed):
        return _without_code(observed, spec, cluster_id)
    try:
        intent = _intent(observed, spec, cluster_id)
        bodies = children(intent, pod_monitors_served=observed.pod_monitors_served)
    except ConfigurationError as error:
        return Children(
            problem=Problem(Reason.INVALID_SPEC, f"a member would refuse this: {error}")
        )
    wanted = tuple(
        _marked(body) if founded and _kind(body) == STATEFUL_SET else body for body in bodies
    )
    return _compared(observed, intent, wanted, founded=founded)


def _without_code(observed: Observed, spec: ClusterSpec, cluster_id: str) -> Children:
    """Repair what does not depend on the code; pods go on with the copy that they have."""
    plain = replace(spec, service=replace(spec.service, code_config_map=None))
    seen = replace(observed, resource=replace(observed.resource, spec=plain))
    found = plan_children(seen, cluster_id, founded=False)
    steps = tuple(
        step
        for step in found.steps
        if isinstance(step, ApplyChild | CreateChild) and _kind(step.body) != STATEFUL_SET
    )
    return Children(steps, _code_missing(spec))


def _compared(
    observed: Observed, intent: Intent, wanted: tuple[Body, ...], *, founded: bool
) -> Children:
    live = {(child.kind, child.name): child for child in observed.children}
    if observed.stateful_set is not None:
        live[STATEFUL_SET, observed.stateful_set.name] = observed.stateful_set
    steps: list[Step] = []
    secret = live.get((SECRET, labels.auth_secret_name(intent.name)))
    if secret is None:
        steps.append(CreateChild(auth_secret(intent, observed.entropy)))
    named = (secret, *(live.get((_kind(body), _name(body))) for body in wanted))
    taken = [
        child
        for child in named
        if child is not None and not is_ours(child, observed.resource, intent.cluster_id)
    ]
    for body in wanted:
        child = live.get((_kind(body), _name(body)))
        if child in taken or (_kind(body) == STATEFUL_SET and _must_wait(taken, founded=founded)):
            continue
        if needs_apply(body, None if child is None else child.body):
            steps.append(ApplyChild(body, "" if child is None else child.uid))
    touched = {_kind(step.body) for step in steps if isinstance(step, ApplyChild | CreateChild)}
    current = not touched & _NEEDED_BY_PODS and _has_been_seen(observed.stateful_set)
    if not steps and not taken and current:
        steps += _leftovers(observed, wanted)
    problem = conflict(taken, observed.resource) if taken else None
    if problem is None or not problem.stops:
        problem = _going(observed.stateful_set) or problem
    is_mine = not any(child.kind == STATEFUL_SET for child in taken)
    return Children(tuple(steps), problem, set_is_current=current and is_mine)


def _must_wait(taken: list[Child], *, founded: bool) -> bool:
    """Tell whether no pod may be made while these are somebody else's.

    With a Secret that is about to be collected some pods would start with it and the rest with the
    next one: they would refuse each other. Before the founding no member is needed yet, and under
    a name that never becomes free there would be nothing but volumes to clean up.
    """
    return any(child.kind == SECRET for child in taken) or (
        not founded and any(child.kind != POD_MONITOR for child in taken)
    )


def _intent(observed: Observed, spec: ClusterSpec, cluster_id: str) -> Intent:
    resource = observed.resource
    return Intent(
        name=resource.name,
        namespace=resource.namespace,
        uid=resource.uid,
        spec=spec,
        cluster_id=cluster_id,
        code=observed.code if spec.service.code_config_map is not None else None,
        installation=observed.installation,
        cluster_domain=observed.cluster_domain,
    )


def _code_missing(spec: ClusterSpec) -> Problem:
    return Problem(
        Reason.CODE_MISSING,
        f"ConfigMap {spec.service.code_config_map} with the code of {spec.service.service_class} "
        "is not there: make it, or name another in spec.service.codeFrom; what runs goes on",
    )


def _marked(body: Body) -> Body:
    """Return a StatefulSet that remembers the founding, when status and claims are gone."""
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)
    annotations = metadata.get("annotations")
    assert isinstance(annotations, Mapping)
    marked = {**annotations, labels.FOUNDED_ANNOTATION: "true"}
    return {**body, "metadata": {**metadata, "annotations": marked}}


def _going(live: Child | None) -> Problem | None:
    """Return what is wrong if the StatefulSet is being deleted: its controller makes no pod then.

    A finalizer, as of a deletion in the foreground, keeps it for as long as it takes.
    """
    if live is None or not lenient.is_going(live.body):
        return None
    names = ", ".join(lenient.finalizers(live.body))
    held = f" and held by {names}" if names else ""
    return Problem(
        Reason.OWNERSHIP_CONFLICT,
        f"StatefulSet {live.name} is being deleted{held}: waiting for its end, as no pod is "
        "made until then; another one is made behind it",
    )


def _has_been_seen(live: Child | None) -> bool:
    """Tell whether the StatefulSet controller acts on what the StatefulSet now says.

    Until then it may make a pod from the template before; and none at all once it is being deleted.
    """
    if live is None or lenient.is_going(live.body):
        return False
    wanted = lenient.metadata(live.body).get("generation")
    seen = lenient.mapping(live.body.get("status")).get("observedGeneration")
    return isinstance(wanted, int) and isinstance(seen, int) and seen >= wanted


def _leftovers(observed: Observed, wanted: tuple[Body, ...]) -> list[Step]:
    """Return the ends of old copies of configuration and code that nothing names any more.

    A pod is always made from the present template, so that and the pods are all who could.
    """
    pods = observed.pods.values()
    if not pods or any(not pod.config_maps for pod in pods):
        return []
    named = {_name(body) for body in wanted if _kind(body) == CONFIG_MAP}
    named |= {name for pod in pods for name in pod.config_maps}
    resource = observed.resource
    prefixes = tuple(f"{resource.name}-{part}-" for part in ("config", "code"))
    return [
        DeleteChild(child.kind, child.name, child.uid)
        for child in observed.children
        if child.kind == CONFIG_MAP
        and child.name.startswith(prefixes)
        and child.name not in named
        and child.controller_uid == resource.uid
    ]


def _kind(body: Body) -> str:
    return str(body["kind"])


def _name(body: Body) -> str:
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)
    return str(metadata["name"])
