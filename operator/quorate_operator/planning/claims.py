"""What each claim carries: its cluster, that it was founded, and whether it goes with the resource.

The operator deletes no claim. ``deletion.volumes: Delete`` makes the ClusterService its owner, and
the garbage collector does the rest.
"""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.model import VolumeRetention
from quorate_operator.planning.actions import PatchClaim
from quorate_operator.planning.observed import Claim, Observed
from quorate_operator.planning.problem import Problem
from quorate_operator.reasons import Reason
from quorate_operator.resources import owner
from quorate_operator.resources.quantities import canonical


def plan_claims(observed: Observed, cluster_id: str, *, founded: bool) -> tuple[PatchClaim, ...]:
    """Return the patches that make the claims carry what they should."""
    spec = observed.resource.spec
    if spec is None:
        return ()
    # While paused only the marks that keep a cluster from being founded twice are set.
    volumes = None if spec.paused else spec.volumes
    steps = (
        _patch(observed, claim, cluster_id, founded=founded, owned=volumes)
        for _, claim in sorted(observed.claims.items())
        if not claim.deleting and claim.seat < spec.replicas
    )
    return tuple(step for step in steps if step is not None)


def going(observed: Observed, *, founded: bool) -> Problem | None:
    """Return what is wrong if claims of members are being deleted; None if none is.

    Kubernetes keeps such a claim while a pod uses it, and nobody can take the deletion back: the
    next end of that pod, by an update of ours as well, is the end of the member's volume.
    """
    spec = observed.resource.spec
    names = [
        claim.name
        for seat, claim in sorted(observed.claims.items())
        if claim.deleting and (spec is None or seat < spec.replicas)
    ]
    if not names:
        return None
    head = (
        f"claim {', '.join(names)} is being deleted and its volume goes with the end of the pod "
        "that uses it, so"
    )
    if not founded:
        words = "the cluster is not founded on it: delete the pod, which gets another volume then"
        return Problem(Reason.VOLUME_GOING, f"{head} {words}")
    return Problem(
        Reason.VOLUME_GOING,
        f"{head} no member is taken away: to keep the data, set "
        "persistentVolumeReclaimPolicy of its PersistentVolume to Retain before that pod ends; to "
        "let it go, delete the pod",
    )


def unlike(observed: Observed) -> str:
    """Return how the volumes are other than ``spec.storage`` says; empty if they are not.

    A StatefulSet uses a claim that has the right name, whatever its size and class: one that was
    kept, made by hand before, or enlarged since. ``spec.storage`` never changes a volume.
    """
    spec = observed.resource.spec
    if spec is None:
        return ""
    claims = [c for seat, c in sorted(observed.claims.items()) if seat < spec.replicas]
    fields = (
        ("size", spec.storage.size, {c.name: c.size for c in claims}),
        ("className", spec.storage.class_name or "", {c.name: c.class_name for c in claims}),
    )
    words = []
    for field, wanted, held in fields:
        known = {value for value in held.values() if value and wanted}
        for value in sorted(v for v in known if canonical(v) != canonical(wanted)):
            names = ", ".join(name for name, other in held.items() if other == value)
            words.append(f"{names} has {value}, spec.storage.{field} is {wanted}")
    return "; ".join(words)


def _patch(
    observed: Observed,
    claim: Claim,
    cluster_id: str,
    *,
    founded: bool,
    owned: VolumeRetention | None,
) -> PatchClaim | None:
    metadata: dict[str, object] = {}
    annotations: dict[str, str] = {}
    if not claim.cluster_id:
        annotations[labels.CLUSTER_ID_ANNOTATION] = cluster_id
    if founded and not claim.founded:
        annotations[labels.FOUNDED_ANNOTATION] = "true"
    if annotations:
        metadata["annotations"] = annotations
    resource = observed.resource
    should_own = owned is VolumeRetention.DELETE
    if owned is not None and should_own != (claim.owner_uid == resource.uid):
        reference = owner(resource.name, resource.uid, controller=False)
        # A merge patch replaces the whole list.
        ours = [reference] if should_own else []
        metadata["ownerReferences"] = [*claim.other_owners, *ours]
    if not metadata:
        return None
    return PatchClaim(claim.name, claim.uid, claim.resource_version, {"metadata": metadata})
