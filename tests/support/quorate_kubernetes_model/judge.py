"""The promises that no operator may break, judged at each of its calls.

What faults, users and drains do to a cluster is theirs; what is judged is what our own hand adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quorate_kubernetes_model.machinery import Machinery
from quorate_kubernetes_model.objects import SET, template_of
from quorate_kubernetes_model.specs import DIVERGING
from quorate_operator import labels
from quorate_operator.planning.actions import (
    ApplyChild,
    DeleteChild,
    DeletePod,
    EvictPod,
    Found,
    LabelPod,
    PatchClaim,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.resources import input_hash, placement_hash


class PromiseBroken(AssertionError):
    """The operator did what it must never do."""


@dataclass(slots=True)
class Judge:
    """Watches every plan and every call."""

    machinery: Machinery
    away: dict[int, str] = field(default_factory=dict)
    """Seats that our hand emptied and that are not back: the uid of the pod that was there."""
    cluster_id: str = ""
    disruptions: int = 0
    plans: int = 0
    _of_cluster: set[str] = field(default_factory=set)
    """Uids of resources and claims that the cluster has had since it was founded."""
    _caught_up: set[int] = field(default_factory=set)
    _alive: set[int] = field(default_factory=set)
    _leader: int | None = None

    def on_plan(self, observed: Observed, made: Plan) -> Plan:
        """Judge a plan by itself."""
        disruptive = [isinstance(s, Transfer | EvictPod | DeletePod) for s in made.steps]
        self._claim(sum(disruptive) <= 1, "two disruptions in one plan")
        self._claim(not any(disruptive[:-1]), "a disruption that is not the last step")
        self.plans += 1
        if self.plans % 16 == 0:
            self._claim(plan(observed) == made, "two plans from one look")
        spec = observed.resource.spec
        if spec is not None and spec.paused:
            # What protects from founding twice, and what clients follow, goes on.
            kinds = LabelPod | WriteIdentity | PatchClaim
            allowed = all(isinstance(s, kinds) for s in made.steps)
            self._claim(allowed, f"a paused cluster is changed: {made.steps}")
        for step in made.steps:
            if isinstance(step, DeleteChild):
                self._claim(step.kind == "ConfigMap", f"deletes {step.kind} {step.name}")
            if isinstance(step, Found):
                is_marked = any(claim.founded for claim in observed.claims.values())
                self._claim(not is_marked, "volumes that say founded are founded again")
        return made

    def before(self, step: Step) -> None:
        """Look before a call takes effect."""
        cluster, store = self.machinery.cluster, self.machinery.store
        self._caught_up = cluster.caught_up()
        self._alive = {p.seat for p in cluster.alive()}
        self._leader = cluster.leader
        match step:
            case WriteIdentity():
                is_new = step.cluster_id != self.cluster_id
                empty = not (store.claims or store.pods or SET in store.children)
                self._claim(not is_new or empty, "a new cluster id over what is there")
            case DeleteChild():
                named = {n for held in store.pods.values() for n in held.pod.config_maps}
                self._claim(step.name not in named, f"{step.name} is deleted under a pod")
            case _:
                pass

    def after(self, step: Step, *, disturbed: bool) -> None:
        """Judge a call that took effect.

        Args:
            step: What was done.
            disturbed: Whether time or a fault came between the last look and the call, so that
                its effect is not judged by how things are now.

        """
        self._forget_returned()
        match step:
            case WriteIdentity():
                self.cluster_id = step.cluster_id
            case EvictPod():
                self._on_eviction(step, disturbed=disturbed)
            case DeletePod():
                self._on_deletion(step, disturbed=disturbed)
            case Transfer():
                self.disruptions += 1
                held = None if step.to is None else self.machinery.store.pods.get(step.to)
                # A drain may have come between; the leader itself refuses such a target.
                stays = held is not None and not held.pod.deleting
                if not disturbed and stays and self._leader == step.leader:
                    self._claim(step.to in self._caught_up, f"{step} to one that is behind")
            case ApplyChild() | LabelPod() | _:
                pass

    def on_tick(self) -> None:
        """Judge what only shows with time."""
        cluster, store = self.machinery.cluster, self.machinery.store
        held = store.resource
        claims = {kept.claim.uid: kept for kept in store.claims.values()}
        here = {*claims, *(() if held is None else (held.uid,))}
        if held is not None and self._of_cluster and not here & self._of_cluster:
            # Another resource on other volumes: nothing is left that could remember.
            cluster.begin_anew(cluster.size)
            self._of_cluster.clear()
            self.away.clear()
        if cluster.foundings:
            self._of_cluster |= {
                u for u, k in claims.items() if k.claim.founded or k.volume.founded
            }
            if held is not None and held.read().founded:
                self._of_cluster.add(held.uid)
        self._claim(cluster.foundings <= 1, "the cluster was founded twice")
        self._claim(cluster.empty_voters == 0, "a member that lost what it acknowledged leads")

    def _on_eviction(self, step: EvictPod, *, disturbed: bool) -> None:
        cluster = self.machinery.cluster
        self.disruptions += 1
        others = {seat for seat in self.away if seat != step.seat}
        self._claim(not others, f"{step} while {others} are away by our hand")
        self.away[step.seat] = step.uid
        if cluster.size > 1 and not disturbed:
            rest = self._caught_up - {step.seat}
            words = f"{step} leaves {sorted(rest)} of {cluster.size} caught up"
            self._claim(len(rest) >= cluster.majority, words)
            self._claim(step.seat != self._leader, f"{step}: the leader before it handed over")
        self._on_template(step, disturbed=disturbed)
        self._on_odd_code(step.seat, disturbed=disturbed)

    def _on_deletion(self, step: DeletePod, *, disturbed: bool) -> None:
        cluster = self.machinery.cluster
        self.disruptions += 1
        if cluster.size == 1:
            self._claim(
                step.seat not in self._caught_up, f"{step} deletes the only member that serves"
            )
        if step.seat not in self._alive or not cluster.foundings or disturbed or cluster.size == 1:
            return
        rest = self._caught_up - {step.seat}
        words = f"{step} deletes a process that lives and leaves {sorted(rest)} caught up"
        self._claim(len(rest) >= cluster.majority, words)

    def _on_template(self, step: EvictPod, *, disturbed: bool) -> None:
        """Judge that the pod comes back as its user wants it."""
        store = self.machinery.store
        body, held = store.children.get(SET), store.resource
        if disturbed or body is None or held is None or body["status"] is None:
            return
        wanted = (input_hash(held.spec, None), placement_hash(held.spec))
        is_wanted = template_of(body)[1:3] == wanted
        self._claim(is_wanted, f"{step} comes back from an older template")
        meta, status = body["metadata"], body["status"]
        assert isinstance(meta, dict)
        assert isinstance(status, dict)
        is_seen = status.get("observedGeneration") == meta["generation"]
        self._claim(is_seen, f"{step} before the controller has seen the template")

    def _on_odd_code(self, victim: int, *, disturbed: bool) -> None:
        """Judge that no second member gets code that was seen to answer differently."""
        store, cluster = self.machinery.store, self.machinery.cluster
        body = store.children.get(SET)
        if disturbed or body is None or template_of(body)[0] != DIVERGING or not cluster.commit:
            return
        # A member without a vote, as on a lost volume, applies nothing: nobody can compare it.
        voters = [p for p in cluster.alive() if cluster.is_voter(p)]
        odd = {p.seat for p in voters if p.image == DIVERGING} - {victim}
        even = {p.seat for p in cluster.alive() if p.image != DIVERGING}
        self._claim(not odd or not even, f"after {odd} also {victim} gets code that diverges")

    def _forget_returned(self) -> None:
        """Forget who is back, or will not come back whatever the operator does."""
        store, cluster = self.machinery.store, self.machinery.cluster
        back = cluster.caught_up()
        for seat, uid in list(self.away.items()):
            held = store.pods.get(seat)
            is_new = held is not None and held.pod.uid != uid and not held.pod.deleting
            life = cluster.processes.get(seat)
            lost = is_new and life is not None and life.is_up and not cluster.is_voter(life)
            if is_new and (seat in back or lost):
                del self.away[seat]

    @staticmethod
    def _claim(holds: bool, words: str) -> None:
        if not holds:
            raise PromiseBroken(words)


def labelled(machinery: Machinery) -> set[int]:
    """Return the seats that the leader Service selects."""
    pods = machinery.store.pods.values()
    return {held.pod.seat for held in pods if held.pod.role == labels.ROLE_LEADER}
