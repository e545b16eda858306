"""The promises that no operator may break, judged at each of its calls.

What faults, users and drains do to a cluster is theirs; what is judged is what our own hand adds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from quorate_kubernetes_model import shape
from quorate_kubernetes_model.broken import PromiseBroken
from quorate_kubernetes_model.machinery import Machinery
from quorate_kubernetes_model.objects import SET, StoredPod, template_of
from quorate_kubernetes_model.specs import DIVERGING, PROGRESS_DEADLINE_S
from quorate_operator import labels
from quorate_operator.planning.actions import (
    DeleteChild,
    DeletePod,
    EvictPod,
    Found,
    PatchClaim,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Reason
from quorate_operator.resources import input_hash, placement_hash

CORDON_S = 60
"""No two hand-overs away from cordoned nodes come closer."""
RESTART_S = 10
HEARD_S = 11
"""Words that count as of now are at most so old."""


@dataclass(frozen=True, slots=True)
class Truth:
    """How things were at one moment, whatever anybody was told."""

    caught_up: frozenset[int] = frozenset()
    alive: frozenset[int] = frozenset()
    restarting: frozenset[int] = frozenset()
    """Processes that have just ended and that the kubelet brings back in seconds."""
    leader: int | None = None
    is_founded: bool = False
    """And somebody has led since: before, it has served nobody, and members may not know it yet."""
    is_any_volume_founded: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What an operator saw, and how it truly was when it saw it."""

    observed: Observed
    truth: Truth


@dataclass(slots=True)
class Judge:
    """Watches every plan and every call.

    What a call does to the cluster is judged twice: by how things truly were at the operator's last
    look, always; and by how they are now, unless time or a fault came between.
    """

    machinery: Machinery
    away: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Seats that our hand emptied and that are not back: the uid of the pod that was there, and
    since when."""
    cluster_id: str = ""
    disruptions: int = 0
    plans: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    """What was done under this judge's eyes, so that a walk that never gets there is noticed."""
    _of_cluster: set[str] = field(default_factory=set)
    """Uids of resources and claims that the cluster has had since it was founded."""
    _now: Truth = field(default_factory=Truth)
    _left_node_at: int | None = None
    _founded_at: int | None = None

    def witness(self) -> Truth:
        """Return how things truly are."""
        cluster, store = self.machinery.cluster, self.machinery.store
        return Truth(
            frozenset(cluster.caught_up()),
            frozenset(p.seat for p in cluster.alive()),
            frozenset(s for s, held in store.pods.items() if _is_restarting(held, store.now)),
            cluster.leader,
            cluster.foundings > 0 and cluster.term > 0,
            any(kept.volume.founded for kept in store.claims.values()),
        )

    def on_plan(self, look: Look, made: Plan) -> Plan:
        """Judge a plan by itself."""
        disruptive = [isinstance(s, Transfer | EvictPod | DeletePod) for s in made.steps]
        self._claim(sum(disruptive) <= 1, "two disruptions in one plan")
        self._claim(not any(disruptive[:-1]), "a disruption that is not the last step")
        self.plans += 1
        if self.plans % 16 == 0:
            self._claim(plan(look.observed) == made, "two plans from one look")
        if any(row.reason is Reason.SERVICE_DIVERGED for row in made.status.conditions):
            self.marks["update stopped"] += 1
        if any(row.reason is Reason.UPDATE_STUCK for row in made.status.conditions):
            self.marks["update stuck"] += 1
        shape.judge(look.observed, made)
        return made

    def before(self, step: Step, look: Look) -> None:
        """Look before a call takes effect."""
        cluster, store = self.machinery.cluster, self.machinery.store
        self._now = self.witness()
        self._forget_returned()
        match step:
            case WriteIdentity():
                is_new = step.cluster_id != self.cluster_id
                empty = not (store.claims or store.pods or SET in store.children)
                self._claim(not is_new or empty, "a new cluster id over what is there")
                if is_new:
                    # Its user took whatever there was of another: nothing remembers.
                    self._begin_anew()
                self._claim(not step.founded or cluster.foundings > 0, "founded, by no founding")
            case DeleteChild():
                named = {n for held in store.pods.values() for n in held.pod.config_maps}
                self._claim(step.name not in named, f"{step.name} is deleted under a pod")
            case PatchClaim():
                is_marked = labels.FOUNDED_ANNOTATION in str(step.patch)
                self._claim(not is_marked or cluster.foundings > 0, "marked, by no founding")
            case Found():
                # Words are a little old; a member that was founded meanwhile refuses.
                since = self._founded_at
                is_news = since is None or look.observed.now_s - since <= HEARD_S
                told = look.truth.is_any_volume_founded
                self._claim(not told or is_news, "founding beside a volume that is founded")
                self.marks["founding asked"] += 1
            case _:
                pass

    def after(self, step: Step, look: Look, *, disturbed: bool) -> None:
        """Judge a call that took effect.

        Args:
            step: What was done.
            look: The look that it was planned from.
            disturbed: Whether time or a fault came between that and the call.

        """
        truths = (look.truth,) if disturbed else (look.truth, self._now)
        match step:
            case WriteIdentity():
                self.cluster_id = step.cluster_id
            case EvictPod() | DeletePod():
                self.disruptions += 1
                shape.judge_removal(step, look.observed)
                self._on_removal(step, truths)
                self._on_template(step, look, disturbed=disturbed)
                self._on_odd_code(step, look, disturbed=disturbed)
                if self.machinery.cluster.foundings:
                    self.away[step.seat] = step.uid, self.machinery.store.now
            case Transfer():
                self.disruptions += 1
                shape.judge_transfer(step, look.observed)
                self._on_transfer(step, look, truths)
            case _:
                pass

    def on_wiped_status(self) -> None:
        """Expect no more of a user's hand-over than safety: nothing tells what was under way."""
        self.away = {seat: (uid, 0) for seat, (uid, _) in self.away.items()}

    def on_tick(self) -> None:
        """Judge what only shows with time."""
        cluster, store = self.machinery.cluster, self.machinery.store
        held = store.resource
        claims = {kept.claim.uid: kept for kept in store.claims.values()}
        here = {*claims, *(() if held is None else (held.uid,))}
        if held is not None and self._of_cluster and not here & self._of_cluster:
            # Another resource on other volumes: nothing is left that could remember.
            self._begin_anew()
        self._forget_returned()
        if not cluster.foundings:
            self._founded_at = None
        elif self._founded_at is None:
            self._founded_at = store.now
        if cluster.foundings:
            self._of_cluster |= {
                u for u, k in claims.items() if k.claim.founded or k.volume.founded
            }
            if held is not None and held.read().founded:
                self._of_cluster.add(held.uid)
        self._claim(cluster.foundings <= 1, "the cluster was founded twice")
        self._claim(cluster.empty_voters == 0, "a member that lost what it acknowledged leads")

    def _begin_anew(self) -> None:
        """Expect a cluster with as many members as the resource that is there now asks for."""
        cluster, held = self.machinery.cluster, self.machinery.store.resource
        cluster.begin_anew(cluster.size if held is None else held.spec.replicas)
        self._of_cluster.clear()
        self.away.clear()

    def _on_removal(self, step: EvictPod | DeletePod, truths: tuple[Truth, ...]) -> None:
        """Judge who remains; a process that does not run takes nothing with it."""
        cluster = self.machinery.cluster
        kind = "evicted" if isinstance(step, EvictPod) else "deleted dead"
        if not cluster.foundings:
            kind = "deleted before the founding"
        for truth in truths:
            if step.seat not in truth.alive | truth.restarting or not truth.is_founded:
                continue
            if isinstance(step, DeletePod):
                kind = "deleted alive" if step.seat in truth.alive else "deleted while it restarts"
            if cluster.size == 1:
                # One member serves nobody while it is updated; its user was told by an event.
                serves = isinstance(step, DeletePod) and step.seat in truth.caught_up
                self._claim(not serves, f"{step} deletes the only member that serves")
                continue
            others = set(self.away) - {step.seat}
            self._claim(not others, f"{step} while {others} are away by our hand")
            rest = truth.caught_up - {step.seat}
            words = f"{step} leaves {sorted(rest)} of {cluster.size} caught up"
            self._claim(len(rest) >= cluster.majority, words)
            self._claim(step.seat != truth.leader, f"{step}: the leader before it handed over")
        self.marks[kind] += 1

    def _on_transfer(self, step: Transfer, look: Look, truths: tuple[Truth, ...]) -> None:
        store, cluster = self.machinery.store, self.machinery.cluster
        is_cordon = (
            step.reason is Reason.HANDING_OVER and not look.observed.resource.transfer_request
        )
        self.marks[f"transfer: {'cordon' if is_cordon else step.reason}"] += 1
        for truth in truths:
            if truth.leader != step.leader:
                # The members have moved it by themselves since: who does not lead refuses.
                self._claim(truth is not look.truth, f"{step} by a member that does not lead")
                continue
            enough = len(truth.caught_up) >= cluster.majority
            self._claim(enough, f"{step} within {sorted(truth.caught_up)} of {cluster.size}")
            able = truth.caught_up - {step.leader}
            held = store.pods.get(-1 if step.to is None else step.to)
            # A drain may have come between; the leader itself refuses such a target.
            left = truth is not look.truth and held is not None and held.pod.deleting
            is_able = bool(able) if step.to is None else step.to in able
            self._claim(is_able or left, f"{step} to one that is behind")
        # A user may move leadership while an update is stuck: the majority was judged above.
        fresh = {s for s, (_, at) in self.away.items() if store.now - at < PROGRESS_DEADLINE_S}
        self._claim(not fresh, f"{step} while {fresh} are away by our hand")
        if is_cordon and cluster.leader != step.leader:
            last, self._left_node_at = self._left_node_at, store.now
            often = last is not None and store.now - last < CORDON_S
            self._claim(not often, f"{step} {store.now - (last or 0)} s after the one before")

    def _on_template(self, step: EvictPod | DeletePod, look: Look, *, disturbed: bool) -> None:
        """Judge that the pod comes back as its user wants it."""
        store = self.machinery.store
        body, spec = store.children.get(SET), look.observed.resource.spec
        if disturbed or body is None or spec is None or body["status"] is None:
            return
        wanted = (input_hash(spec, None), placement_hash(spec))
        is_wanted = template_of(body)[1:3] == wanted
        self._claim(is_wanted, f"{step} comes back from an older template")
        meta, status = body["metadata"], body["status"]
        assert isinstance(meta, dict)
        assert isinstance(status, dict)
        is_seen = status.get("observedGeneration") == meta["generation"]
        self._claim(is_seen, f"{step} before the controller has seen the template")

    def _on_odd_code(self, step: EvictPod | DeletePod, look: Look, *, disturbed: bool) -> None:
        """Judge that no second member gets code that was seen to answer differently.

        The dead come first, before anything was compared; but who only restarts comes back with
        its old code, which is better once the update has stopped. Where a majority runs that code,
        its answers are the cluster's: whoever has other code serves nobody until it gets it too.
        """
        store, cluster = self.machinery.store, self.machinery.cluster
        body = store.children.get(SET)
        if disturbed or body is None or template_of(body)[0] != DIVERGING or not cluster.commit:
            return
        recorded = look.observed.resource.status
        is_stopped = any(row.reason is Reason.SERVICE_DIVERGED for row in recorded.conditions)
        is_back = is_stopped and step.seat in self._now.restarting
        if step.seat not in self._now.alive and not is_back:
            return
        # A member without a vote, as on a lost volume, applies nothing: nobody can compare it.
        voters = [p for p in cluster.alive() if cluster.is_voter(p)]
        odd = {p.seat for p in voters if p.image == DIVERGING} - {step.seat}
        even = {p.seat for p in voters if p.image != DIVERGING}
        words = f"{step}: after {odd} also {step.seat} gets code that diverges"
        is_majority = len(odd) >= cluster.majority
        self._claim(not odd or not even or is_majority, words)

    def _forget_returned(self) -> None:
        """Forget who is back, or will not come back whatever the operator does."""
        store, cluster = self.machinery.store, self.machinery.cluster
        back = cluster.caught_up()
        for seat, (uid, _) in list(self.away.items()):
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


def _is_restarting(held: StoredPod, now: int) -> bool:
    """Tell whether a process that ran well ended a moment ago."""
    since = held.pod.not_running_since_s
    ended = held.pod.scheduled and held.pod.reason == "Error" and not held.pod.deleting
    return ended and since is not None and now - since < RESTART_S


def labelled(machinery: Machinery) -> set[int]:
    """Return the seats that the leader Service selects."""
    pods = machinery.store.pods.values()
    return {held.pod.seat for held in pods if held.pod.role == labels.ROLE_LEADER}
