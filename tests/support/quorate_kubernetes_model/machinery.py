"""Controllers, kubelets and the disruption budget, as far as they matter to a rolling update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from quorate.control.status import MemberState
from quorate_kubernetes_model.members import Cluster, Volume
from quorate_kubernetes_model.objects import (
    NAME,
    SET,
    Store,
    StoredClaim,
    StoredPod,
    claim_id_of,
    owner_of,
    template_of,
)
from quorate_kubernetes_model.specs import CRASHING, UNPULLABLE
from quorate_operator import labels
from quorate_operator.errors import Conflict, Deferred, Gone
from quorate_operator.planning.actions import DeletePod, EvictPod
from quorate_operator.planning.observed import Claim, Pod

NODES = ("n0", "n1", "n2", "n3", "n4")
UNREADY_S = 6
BACK_OFF_S = 60
LIVENESS_S = 60


@dataclass(slots=True)
class Machinery:
    """Everything of Kubernetes that acts by itself."""

    store: Store
    cluster: Cluster
    chance: Random
    nodes_down: set[str]
    cordoned: set[str]
    budget: bool = True
    """Whether the disruption budget arbitrates; without it only the operator's own care counts."""

    def tick(self) -> None:
        """Let controllers and kubelets do what they do in a second."""
        self.store.now += 1
        self._collect()
        self._set_controller()
        for held in list(self.store.pods.values()):
            self._kubelet(held)
        self.cluster.tick()
        for held in self.store.pods.values():
            self._probe(held)

    # ------------------------------------------------------------------ disruptions

    def evict(self, step: EvictPod) -> None:
        """Evict a pod, if the budget allows it.

        Raises:
            Deferred: The budget does not allow it now.
            Conflict, Gone: It is not the pod that was meant.

        """
        self._exact(step)
        self.evict_seat(step.seat)

    def evict_seat(self, seat: int) -> None:
        """Evict the pod in a seat, as a drain does it.

        Raises:
            Deferred: The budget does not allow it now.

        """
        held = self.store.pods[seat]
        if held.pod.deleting:
            return
        if self.budget and not self.allows(seat):
            raise Deferred("the disruption budget does not allow it")
        self.end(held)

    def allows(self, seat: int) -> bool:
        """Tell whether the disruption budget lets the pod in a seat be evicted now."""
        well = sum(h.pod.ready and not h.pod.deleting for h in self.store.pods.values())
        needed = self.cluster.size - 1
        return well > needed or (not self.store.pods[seat].pod.ready and well >= needed > 0)

    def delete(self, step: DeletePod) -> None:
        """Delete a pod with uid and resourceVersion."""
        self._exact(step)
        self.end(self.store.pods[step.seat])

    def end(self, held: StoredPod) -> None:
        """Begin the graceful end of a pod."""
        if not held.pod.deleting:
            self.store.change(held, deleting=True)
            held.ends_at = self.store.now + self.chance.randint(1, 4)
            if held.pod.node not in self.nodes_down:
                self.cluster.stop(held.pod.seat, gracefully=True)

    def _exact(self, step: EvictPod | DeletePod) -> None:
        held = self.store.pods.get(step.seat)
        if held is None or held.pod.uid != step.uid:
            raise Gone("another pod has this name by now")
        if held.pod.resource_version != step.resource_version:
            raise Conflict("the pod changed")

    # ------------------------------------------------------------------ controllers

    def _collect(self) -> None:
        """Collect what has no owner any more."""
        store = self.store
        uid = "" if store.resource is None else store.resource.uid
        for key, body in list(store.children.items()):
            owner = owner_of(body)
            if owner and owner != uid and self.chance.random() < 0.5:
                del store.children[key]
        live = store.children.get(SET)
        set_uid = "" if live is None else self._uid(live)
        for held in store.pods.values():
            if held.pod.controller_uid and held.pod.controller_uid != set_uid:
                self.end(held)
        for seat, kept in list(store.claims.items()):
            owner = kept.claim.owner_uid
            if owner and owner != uid and not kept.claim.deleting:
                kept.claim = replace(kept.claim, deleting=True, resource_version=store.version())
            pod = store.pods.get(seat)
            if kept.claim.deleting and (pod is None or pod.claim_uid != kept.claim.uid):
                del store.claims[seat]

    def _set_controller(self) -> None:
        body = self.store.children.get(SET)
        if body is None or self.chance.random() < 0.2:
            return
        meta = body["metadata"]
        assert isinstance(meta, dict)
        body["status"] = {"observedGeneration": meta["generation"]}
        uid = self._uid(body)
        for held in self.store.pods.values():
            if held.pod.cluster_label != NAME:
                self.store.change(held, controller_uid="")
            elif not held.pod.controller_uid:
                self.store.change(held, controller_uid=uid)
        spec = body["spec"]
        assert isinstance(spec, dict)
        for seat in range(int(spec["replicas"])):
            if seat not in self.store.pods:
                self._make_pod(seat, body, uid)

    def _make_pod(self, seat: int, body: dict[str, object], uid: str) -> None:
        store = self.store
        image, wanted, placement, maps = template_of(body)
        kept = store.claims.get(seat)
        if kept is None:
            claim = Claim(
                seat,
                labels.claim_name(NAME, seat),
                store.uid("pvc"),
                store.version(),
                deleting=False,
                cluster_id=claim_id_of(body),
                founded=False,
                owner_uid="",
                cluster_label=NAME,
            )
            kept = store.claims[seat] = StoredClaim(claim, Volume())
        if kept.claim.deleting:
            return
        pod = Pod(
            seat=seat,
            name=labels.pod_name(NAME, seat),
            uid=store.uid("pod"),
            resource_version=store.version(),
            controller_uid=uid,
            created_s=float(store.now),
            deleting=False,
            scheduled=False,
            running=False,
            ready=False,
            reason="Unschedulable",
            restarts=0,
            last_exit_code=None,
            node="",
            ip="",
            image=image,
            input_hash=wanted,
            role="",
            term=-1,
            not_running_since_s=float(store.now),
            config_maps=maps,
            placement_hash=placement,
            cluster_label=NAME,
            claim=kept.claim.name,
        )
        store.pods[seat] = StoredPod(pod, kept.claim.uid)

    # ------------------------------------------------------------------ kubelets

    def _kubelet(self, held: StoredPod) -> None:
        pod, store = held.pod, self.store
        if not pod.scheduled:
            self._schedule(held)
            return
        if pod.node in self.nodes_down:
            return
        if pod.deleting:
            if held.ends_at is not None and store.now >= held.ends_at:
                self.cluster.stop(pod.seat, gracefully=False)
                del store.pods[pod.seat]
            return
        life = self.cluster.processes.get(pod.seat)
        if life is None:
            self._start(held)
        elif not life.is_up:  # its node is back
            self.crash(held)
        elif life.frozen_s:
            life.frozen_s += 1
            if life.frozen_s > LIVENESS_S:
                self.crash(held)

    def _schedule(self, held: StoredPod) -> None:
        store = self.store
        free = [n for n in NODES if n not in self.nodes_down | self.cordoned]
        if held.pod.deleting:
            del store.pods[held.pod.seat]
        elif free:
            taken = [h.pod.node for h in store.pods.values()]
            node = min(free, key=lambda n: (taken.count(n), n))
            store.change(held, scheduled=True, node=node, reason="ContainerCreating")
            held.starts_at = store.now + self.chance.randint(1, 3)

    def _start(self, held: StoredPod) -> None:
        pod, store = held.pod, self.store
        if store.now < held.starts_at:
            return
        maps = {name for kind, name in store.children if kind == "ConfigMap"}
        if pod.image == UNPULLABLE or not pod.config_maps <= maps:
            store.change(held, reason="ImagePullBackOff")
            return
        if pod.image == CRASHING and (pod.running or self.chance.random() < 0.7):
            self.crash(held)
            return
        kept = store.claims[pod.seat]
        store.change(
            held, running=True, reason="", not_running_since_s=None, ip=f"10.0.0.{pod.seat}"
        )
        if pod.image != CRASHING:
            wanted = kept.claim.cluster_id
            self.cluster.start(pod.seat, wanted, kept.volume, pod.image, pod.input_hash)

    def crash(self, held: StoredPod) -> None:
        """End the process of a pod; its container is started again."""
        self.cluster.stop(held.pod.seat, gracefully=False)
        # The kubelet restarts at once what has run well for a while.
        again = self.store.now - held.crashed_at < BACK_OFF_S
        held.crashed_at = self.store.now
        self.store.change(
            held,
            running=False,
            ready=False,
            reason="CrashLoopBackOff" if again else "Error",
            last_exit_code=1,
            restarts=held.pod.restarts + 1,
            not_running_since_s=float(self.store.now),
        )
        held.starts_at = self.store.now + self.chance.randint(1, 5)

    def _probe(self, held: StoredPod) -> None:
        seat = held.pod.seat
        if held.pod.node in self.nodes_down:
            if self.chance.random() < 0.05:  # the node controller notices late
                self.store.change(held, ready=False)
            return
        is_ready = seat in self.cluster.caught_up() and not held.pod.deleting
        if is_ready or self.chance.random() < 1 / UNREADY_S:
            self.store.change(held, ready=is_ready)

    def wipe(self, seat: int) -> None:
        """Empty the volume of a seat under its process, which starts anew on it."""
        kept, held = self.store.claims.get(seat), self.store.pods.get(seat)
        if kept is None:
            return
        kept.volume = Volume(state=MemberState.BLANK)
        if held is not None and seat in self.cluster.processes:
            self.crash(held)

    @staticmethod
    def _uid(body: dict[str, object]) -> str:
        meta = body["metadata"]
        assert isinstance(meta, dict)
        return str(meta["uid"])
