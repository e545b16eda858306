"""What can be judged of a plan by the look alone that it was made from."""

from __future__ import annotations

from collections.abc import Mapping

from quorate_kubernetes_model.broken import claim
from quorate_operator import labels
from quorate_operator.model import ClusterSpec, VolumeRetention
from quorate_operator.planning.actions import (
    ApplyChild,
    DeleteChild,
    DeletePod,
    EvictPod,
    Found,
    LabelPod,
    PatchClaim,
    Plan,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Body, Observed
from quorate_operator.reasons import Reason
from quorate_operator.resources import input_hash, placement_hash


def judge(observed: Observed, made: Plan) -> None:
    """Judge what every plan promises.

    Raises:
        PromiseBroken: It does not hold.

    """
    spec, status = observed.resource.spec, observed.resource.status
    if spec is not None and spec.paused:
        # What protects from founding twice, and what clients follow, goes on.
        kinds = LabelPod | WriteIdentity | PatchClaim
        allowed = all(isinstance(s, kinds) for s in made.steps)
        claim(allowed, f"a paused cluster is changed: {made.steps}")
    if observed.resource.held_by:
        roles = [s.labels for s in made.steps if isinstance(s, LabelPod)]
        is_role = all(set(marks) == {labels.ROLE_LABEL} for marks in roles)
        allowed = is_role and len(roles) == len(made.steps)
        claim(allowed, f"something is made for what is being deleted: {made.steps}")
    for step in made.steps:
        match step:
            case DeleteChild():
                claim(step.kind == "ConfigMap", f"deletes {step.kind} {step.name}")
            case PatchClaim() if spec is not None:
                _judge_claim(observed, step, spec)
            case Found():
                marked = status.founded or any(c.founded for c in observed.claims.values())
                claim(not marked, "a cluster that is recorded as founded is founded again")
                words = (m.status for m in observed.members.values())
                claim(not any(w and w.founded for w in words), "a member said it is founded")
            case ApplyChild() if step.body["kind"] == "StatefulSet" and spec is not None:
                _judge_set(step.body, spec, status.cluster_id)
            case _:
                pass
    _judge_labels(observed, [s for s in made.steps if isinstance(s, LabelPod)])


def judge_removal(step: EvictPod | DeletePod, observed: Observed) -> None:
    """Judge that a pod goes only because its user wants another one, whatever operator came."""
    spec, pod = observed.resource.spec, observed.pods.get(step.seat)
    claim(spec is not None and not spec.paused, f"{step} of a paused cluster")
    assert spec is not None
    assert pod is not None
    is_placed = pod.placement_hash in ("", placement_hash(spec))
    is_wanted = is_placed and pod.input_hash == input_hash(spec, observed.code)
    claim(not is_wanted, f"{step}: the pod is as its user wants it")


def judge_transfer(step: Transfer, observed: Observed) -> None:
    """Judge that leadership moves for a reason, and to somebody who has none to move on."""
    spec, resource = observed.resource.spec, observed.resource
    claim(spec is not None and not spec.paused, f"{step} of a paused cluster")
    assert spec is not None
    wanted = (input_hash(spec, observed.code), placement_hash(spec))
    leader = observed.pods[step.leader]
    heir = None if step.to is None else observed.pods[step.to]
    if step.reason is Reason.UPDATING:
        claim(
            (leader.input_hash, leader.placement_hash) != wanted,
            f"{step}: the leader is as its user wants it",
        )
        is_new = heir is not None and (heir.input_hash, heir.placement_hash) == wanted
        claim(is_new, f"{step} to one not updated")
    elif leader.node not in observed.cordoned:
        last = resource.status.last_transfer
        is_new = last is None or last.request != resource.transfer_request
        claim(resource.transfer_request and is_new, f"{step} that nobody asks for")
    elif heir is not None and not resource.transfer_request:
        claim(heir.node not in observed.cordoned, f"{step} to a node that is cordoned too")


def _judge_claim(observed: Observed, step: PatchClaim, spec: ClusterSpec) -> None:
    """Judge that a volume goes with its resource only where that says so."""
    metadata = step.patch["metadata"]
    assert isinstance(metadata, Mapping)
    claim(set(metadata) <= {"annotations", "ownerReferences"}, f"{step}")
    owners = metadata.get("ownerReferences")
    if owners is not None:
        assert isinstance(owners, list)
        claim(not spec.paused, f"{step} while paused")
        owned = observed.resource.uid in [row["uid"] for row in owners]
        claim(owned == (spec.volumes is VolumeRetention.DELETE), f"{step} with {spec.volumes}")
    marks = metadata.get("annotations", {})
    assert isinstance(marks, Mapping)
    before = next(c for c in observed.claims.values() if c.uid == step.uid)
    said = marks.get(labels.CLUSTER_ID_ANNOTATION, observed.resource.status.cluster_id)
    is_same = said == observed.resource.status.cluster_id
    claim(is_same and before.cluster_id in ("", said), f"{step} changes its cluster")


def _judge_set(body: Body, spec: ClusterSpec, cluster_id: str) -> None:
    """Judge that the StatefulSet lets go neither of a pod nor of a volume by itself."""
    inner = body["spec"]
    assert isinstance(inner, Mapping)
    policy = inner["persistentVolumeClaimRetentionPolicy"]
    claim(policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}, f"{policy}")
    claim(inner["updateStrategy"] == {"type": "OnDelete"}, f"{inner['updateStrategy']}")
    claim(inner["podManagementPolicy"] == "Parallel", "members wait for each other")
    claim(inner["replicas"] == spec.replicas, f"{inner['replicas']} replicas")
    templates = inner["volumeClaimTemplates"]
    assert isinstance(templates, list)
    mark = templates[0]["metadata"]["annotations"][labels.CLUSTER_ID_ANNOTATION]
    claim(mark == cluster_id, f"claims are born with {mark} in cluster {cluster_id}")


def _judge_labels(observed: Observed, steps: list[LabelPod]) -> None:
    """Judge that the leader Service always selects somebody, and never goes back."""
    newest = max((pod.term for pod in observed.pods.values()), default=-1)
    for step in steps:
        term = int(step.annotations.get(labels.TERM_ANNOTATION) or newest)
        claim(term >= newest, f"{step} is older than term {newest}")
    roles = [s.labels[labels.ROLE_LABEL] for s in steps if labels.ROLE_LABEL in s.labels]
    first = None in roles and labels.ROLE_LEADER in roles[roles.index(None) :]
    claim(not first, f"the label leaves the old leader first: {steps}")
