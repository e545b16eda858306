"""Where a cluster must have come, once faults have stopped and its operator had time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate_kubernetes_model.broken import claim
from quorate_kubernetes_model.judge import HEARD_S, labelled
from quorate_operator import labels
from quorate_operator.model import ClusterStatus, VolumeRetention
from quorate_operator.planning.ownership import annotation
from quorate_operator.reasons import Condition, Reason
from quorate_operator.resources import input_hash, placement_hash

if TYPE_CHECKING:
    from quorate_kubernetes_model.objects import StoredResource
    from quorate_kubernetes_model.walk import World

HELD_S = 60
"""Long enough to elect a leader and to hear of it."""


def judge_end(world: World) -> None:
    """Judge a cluster that has settled.

    Raises:
        PromiseBroken: It is not where it should be.

    """
    status, cluster, held = world.status, world.machinery.cluster, world.store.resource
    assert held is not None
    if reason_of(status, Condition.RECONCILED) is not Reason.APPLIED:
        _judge_refusal(world, held)
        return
    lost = {seat for seat in range(cluster.size) if not _is_member(world, seat)}
    is_ready = reason_of(status, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP
    claim(is_ready == (not lost), f"lost {lost}: {status.conditions}")
    _judge_owners(world, held)
    if cluster.size - len(lost) < cluster.majority:
        world.marks["majority lost"] += 1
        claim(cluster.leader is None and status.leader is None, "a minority leads")
        return
    _judge_requests(held, status)
    _judge_pods(world, held, lost)
    claim(cluster.leader is not None and cluster.foundings == 1, f"no leader: {status}")
    claim(labelled(world.machinery) == {cluster.leader}, f"label on {labelled(world.machinery)}")
    claim(status.leader is not None and status.leader.member == cluster.leader, f"{status.leader}")
    claim(is_ready is False or status.state == "Ready", f"{status}")
    world.marks["healed"] += 1


def judge_held(world: World) -> None:
    """Judge that the leader Service follows its leader though the resource is being deleted.

    Raises:
        PromiseBroken: It does not.

    """
    cluster = world.machinery.cluster
    term, since = cluster.term, 0
    for _ in range(HELD_S):
        world.tick()
        world.whole_pass()
        term, since = cluster.term, since + 1 if term == cluster.term else 0
    pods, leader = world.store.pods.values(), cluster.leader
    if leader is None or since < HEARD_S or any(held.pod.deleting for held in pods):
        return
    if world.status.cluster_id:
        world.marks["followed while held"] += 1
        claim(labelled(world.machinery) == {leader}, f"label on {labelled(world.machinery)}")
        told = world.status.leader
        claim(told is not None and told.member == leader, f"{told}, and {leader} leads")


def reason_of(status: ClusterStatus, wanted: Condition) -> Reason | None:
    """Return the reason of a condition."""
    return next((row.reason for row in status.conditions if row.type is wanted), None)


def _judge_refusal(world: World, held: StoredResource) -> None:
    """Judge that what is there truly leaves no choice but to ask a human."""
    status, store = world.status, world.store
    reason = reason_of(status, Condition.RECONCILED)
    world.marks[str(reason)] += 1
    claims = [kept.claim for kept in store.claims.values()]
    ids = {claim.cluster_id for claim in claims}
    live = store.read_children()[0]
    of_set = annotation(live, labels.CLUSTER_ID_ANNOTATION)
    match reason:
        case Reason.REPLICAS_DIFFER:
            claim(not status.cluster_id and len(claims) != held.spec.replicas, f"{status}")
        case Reason.VOLUMES_DISAGREE:
            several = len(ids | ({of_set} - {""})) > 1 or "" in ids
            gone = not claims and live is not None
            claim(not status.cluster_id and (several or gone), f"{ids}, {of_set}: {status}")
        case Reason.FOREIGN_VOLUME:
            owned = any(c.owner_uid not in ("", held.uid) for c in claims)
            claim(owned or ids - {"", status.cluster_id}, f"{claims}: {status}")
        case _:
            claim(False, f"not reconciled: {status.conditions}")


def _judge_pods(world: World, held: StoredResource, lost: set[int]) -> None:
    """Judge that every pod is as wanted, unless none may be replaced while a member is lost."""
    cluster, store = world.machinery.cluster, world.store
    wanted = (input_hash(held.spec, None), placement_hash(held.spec))
    pods = {seat: kept.pod for seat, kept in store.pods.items()}
    old = {s for s, pod in pods.items() if (pod.input_hash, pod.placement_hash) != wanted}
    claim(len(store.pods) == cluster.size, f"pods in {sorted(store.pods)}")
    if not old:
        return
    told = [p.behaviour for p in cluster.voters()]
    if max(map(told.count, told), default=0) < cluster.majority:
        world.marks["answers split"] += 1  # nobody can tell who is right, and one more may decide
        return
    claim(lost, f"seats {old} are not as wanted: {world.status}")
    world.marks["not updated beside a lost member"] += 1
    well = cluster.caught_up()
    for seat in old:
        spared = len(well - {seat}) >= cluster.majority
        refused = world.machinery.budget and not world.machinery.allows(seat)
        claim(not spared or refused, f"seat {seat} is not as wanted, lost {lost}: {world.status}")


def _judge_owners(world: World, held: StoredResource) -> None:
    """Judge that volumes go with their resource just if it says so."""
    wanted = held.uid if held.spec.volumes is VolumeRetention.DELETE else ""
    owners = {kept.claim.owner_uid for kept in world.store.claims.values()}
    claim(owners <= {wanted}, f"claims owned by {owners}, with {held.spec.volumes}")


def _judge_requests(held: StoredResource, status: ClusterStatus) -> None:
    last = status.last_transfer
    if not held.transfer:
        return
    claim(last is not None and last.request == held.transfer, f"{held.transfer}: {last}")
    assert last is not None
    who = held.transfer.partition("/")[0]
    if last.result == "Done" and who != "any":
        claim(who in (str(last.leader), f"orders-{last.leader}"), f"{last}")


def _is_member(world: World, seat: int) -> bool:
    kept = world.store.claims.get(seat)
    cluster = world.machinery.cluster
    known = cluster.membership.get(seat)
    return kept is not None and kept.volume.founded and kept.volume.member_id == known
