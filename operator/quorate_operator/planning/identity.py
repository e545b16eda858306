"""Which cluster this resource stands for: chosen once, and never lost.

A new id is made only where nothing exists under the names. Otherwise the volumes say which cluster
it is; where they do not agree, a human decides. What was founded stays founded: status, claims,
StatefulSet and members each remember it, and one of them is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quorate_operator import labels
from quorate_operator.planning.actions import Note, WriteIdentity
from quorate_operator.planning.claims import unlike
from quorate_operator.planning.observed import Child, Claim, Observed
from quorate_operator.planning.ownership import annotation, conflict, is_stranger, set_id
from quorate_operator.planning.problem import Problem
from quorate_operator.reasons import Reason
from quorate_operator.resources import new_cluster_id


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of the cluster's identity."""

    cluster_id: str = ""
    """As recorded; empty: nothing may be made yet."""
    founded: bool = False
    step: WriteIdentity | None = None
    problem: Problem | None = None
    notes: tuple[Note, ...] = ()


def identify(observed: Observed) -> Identity:
    """Return the identity as recorded, or the step that records it."""
    recorded = observed.resource.status.cluster_id
    foreign = _foreign(observed, recorded)
    if not recorded:
        return Identity(problem=foreign) if foreign is not None else _first(observed)
    founded = observed.resource.status.founded
    epoch = observed.resource.status.epoch
    seen = founded or _is_marked(observed, recorded) or _members_say(observed, recorded)
    said = max(epoch, _epoch(observed, recorded)) if seen else epoch
    step = None
    notes: tuple[Note, ...] = ()
    if seen and (not founded or said > epoch):
        step = _write(observed, recorded, epoch=said, founded=True)
        notes = () if founded else (Note(Reason.FOUNDED, f"cluster {recorded} is founded"),)
    return Identity(recorded, seen, step, foreign, notes)


def _foreign(observed: Observed, cluster_id: str) -> Problem | None:
    """Return what is wrong if a volume under our names belongs to somebody else."""
    resource = observed.resource
    for claim in observed.claims.values():
        if claim.cluster_label not in ("", resource.name):
            whose = f"is labelled as a volume of {claim.cluster_label}"
        elif claim.owner_uid not in ("", resource.uid):
            whose = f"is owned by another ClusterService, of uid {claim.owner_uid}"
        elif cluster_id and claim.cluster_id not in ("", cluster_id):
            whose = f"belongs to cluster {claim.cluster_id}, not to {cluster_id}"
        else:
            continue
        return Problem(
            Reason.FOREIGN_VOLUME,
            f"claim {claim.name} {whose}: nothing is made; wait until it is deleted, delete or "
            "rename it, or use another name for this resource",
        )
    return None


def _first(observed: Observed) -> Identity:
    """Choose an id, or take over the one that is there; status holds none."""
    live = observed.stateful_set
    if live is not None and is_stranger(live, observed.resource):
        return Identity(problem=conflict([live], observed.resource))
    if observed.claims:
        return _of_claims(observed, live)
    if live is not None:
        return Identity(problem=_volumes_gone(live.name))
    if observed.pods:
        names = ", ".join(pod.name for pod in observed.pods.values())
        words = f"pods of an earlier StatefulSet are still there: waiting for the end of {names}"
        return Identity(problem=Problem(Reason.OWNERSHIP_CONFLICT, words))
    if observed.resource.spec is None:
        return Identity()
    chosen = new_cluster_id(observed.entropy)
    note = Note(Reason.IDENTITY_CHOSEN, f"nothing is there yet: cluster {chosen} is made")
    return Identity(step=_write(observed, chosen, epoch=0, founded=False), notes=(note,))


def _volumes_gone(name: str) -> Problem:
    return Problem(
        Reason.VOLUMES_DISAGREE,
        f"status is empty and StatefulSet {name} has no volumes, so whether its cluster was "
        "founded cannot be told: bring its claims back, or delete the StatefulSet to make a new "
        "cluster",
    )


def _of_claims(observed: Observed, live: Child | None) -> Identity:
    claims = observed.claims
    is_running = live is not None and live.controller_uid == observed.resource.uid
    leaving = [claim.name for _, claim in sorted(claims.items()) if claim.deleting]
    if leaving and not is_running:
        # Its user wants it gone: a cluster that is made over it would soon have no volume.
        words = f"waiting for the end of claim {', '.join(leaving)}, which is being deleted"
        return Identity(problem=Problem(Reason.VOLUME_GOING, words))
    ids = {claim.cluster_id for claim in claims.values()} | ({set_id(live)} - {""})
    if len(ids) != 1 or "" in ids:
        return Identity(problem=_disagreement(claims, set_id(live)))
    # With our own StatefulSet there, status was wiped: a claim that is missing is a lost volume.
    differ = None if is_running else _differs(observed)
    if differ is not None:
        return Identity(problem=differ)
    (taken,) = ids
    founded = _is_marked(observed, taken)
    words = f"the volumes belong to cluster {taken}, founded: {str(founded).lower()}"
    other = unlike(observed)
    if other:
        words = f"{words}; they stay as they are: {other}"
    note = Note(Reason.IDENTITY_TAKEN_OVER, words, warning=bool(other))
    return Identity(step=_write(observed, taken, epoch=0, founded=founded), notes=(note,))


def _disagreement(claims: Mapping[int, Claim], of_set: str) -> Problem:
    rows = [f"{claim.name} {claim.cluster_id or 'none'}" for _, claim in sorted(claims.items())]
    if of_set:
        rows.append(f"StatefulSet {of_set}")
    return Problem(
        Reason.VOLUMES_DISAGREE,
        f"the volumes do not carry one cluster id ({', '.join(rows)}): nothing is made; keep those "
        "of one cluster under these names, or give the rest another name",
    )


def _differs(observed: Observed) -> Problem | None:
    """Return what is wrong if the volumes kept are not those of as many members as wanted."""
    spec = observed.resource.spec
    if spec is None or set(observed.claims) == set(range(spec.replicas)):
        return None
    kept = ", ".join(claim.name for _, claim in sorted(observed.claims.items()))
    return Problem(
        Reason.REPLICAS_DIFFER,
        f"{spec.replicas} replicas are asked for and {len(observed.claims)} volumes were kept "
        f"({kept}): make the resource with as many replicas as the cluster had, or move these "
        "claims out of the way to make a new cluster",
    )


def _is_marked(observed: Observed, cluster_id: str) -> bool:
    """Tell whether anything that outlives a status says that the cluster was founded."""
    claims = observed.claims.values()
    live = observed.stateful_set
    of_set = set_id(live) == cluster_id and annotation(live, labels.FOUNDED_ANNOTATION) == "true"
    return of_set or any(c.founded and c.cluster_id in ("", cluster_id) for c in claims)


def _members_say(observed: Observed, cluster_id: str) -> bool:
    words = (member.status for member in observed.members.values())
    return any(w is not None and w.founded and w.cluster_id == cluster_id for w in words)


def _epoch(observed: Observed, cluster_id: str) -> int:
    """Return the highest epoch that a majority of the seats has reached, by their own word."""
    spec = observed.resource.spec
    words = (member.status for member in observed.members.values())
    epochs = sorted(
        (w.epoch for w in words if w is not None and w.founded and w.cluster_id == cluster_id),
        reverse=True,
    )
    majority = (spec.replicas if spec is not None else len(observed.pods)) // 2 + 1
    return epochs[majority - 1] if len(epochs) >= majority else 0


def _write(observed: Observed, cluster_id: str, *, epoch: int, founded: bool) -> WriteIdentity:
    resource = observed.resource
    return WriteIdentity(resource.uid, resource.resource_version, cluster_id, epoch, founded)
