"""Random days in the life of a cluster: faults, edits and operators, then a phase that must heal.

python -m quorate_kubernetes_model.walk --seconds 30 [--seed N]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from quorate_kubernetes_model import specs
from quorate_kubernetes_model.broken import PromiseBroken, claim
from quorate_kubernetes_model.ending import judge_end, judge_held, reason_of
from quorate_kubernetes_model.executor import Executor
from quorate_kubernetes_model.judge import Judge
from quorate_kubernetes_model.machinery import NODES, Machinery
from quorate_kubernetes_model.members import Cluster
from quorate_kubernetes_model.objects import (
    SET,
    Store,
    StoredResource,
    as_another_version_made_it,
)
from quorate_operator.errors import Deferred, Gone
from quorate_operator.model import (
    ClusterSpec,
    ClusterStatus,
    SchedulingSpec,
    Spread,
    VolumeRetention,
)
from quorate_operator.planning.actions import EvictPod, Step
from quorate_operator.planning.observed import Observed
from quorate_operator.reasons import Condition, Reason

ACTIONS = 400
HEAL_S = 1500
QUIET_S = 45
STILL_S, STEP_S = 180, 12
"""Longer than any deadline of a plan."""
DEADLINES = 2
"""How many may pass over a cluster that is not well."""
LATE_S = 30
"""An operator that cannot show its lease has ended by then; twice the life of a lease."""


@dataclass(slots=True)
class World:
    """Everything, and the dice."""

    seed: int
    chance: Random
    store: Store
    machinery: Machinery
    judge: Judge
    operators: list[Executor] = field(default_factory=list)
    running: list[Iterator[str]] = field(default_factory=list)
    late: list[tuple[int, Iterator[str]]] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)
    errors: float = 0.0
    requests: int = 0
    restless: int = 0
    """How often a cluster that was quiet was written about."""
    trace: list[str] = field(default_factory=list)

    @property
    def status(self) -> ClusterStatus:
        """The status as stored."""
        held = self.store.resource
        return ClusterStatus() if held is None else held.read()

    @property
    def operator(self) -> Executor:
        """The one that holds the lease."""
        return self.operators[0]

    def tick(self) -> None:
        """Let a second pass."""
        self.disturb()
        self.machinery.tick()
        self.judge.on_tick()

    def disturb(self) -> None:
        """Note that the world changes by nobody's call."""
        for operator in self.operators:
            operator.disturbed = True

    def step_operator(self) -> None:
        """Let the operator go on to its next call, or begin a pass."""
        if not self.running:
            self.running.append(self.operator.passes())
        if next(self.running[0], None) is None:
            self.running.clear()

    def new_operator(self) -> None:
        """Let another process take over; what the old one knew is lost."""
        self.running.clear()
        made = Executor(self.machinery, self.judge, self.chance, self.errors)
        self.operators[:0] = [made]
        del self.operators[8:]

    def look(self) -> Observed:
        """Return what an operator sees now.

        Raises:
            Gone: There is no resource.

        """
        found: list[Observed | None] = []

        def looking() -> Iterator[str]:
            found.append((yield from self.operator.look()))

        for _ in looking():
            pass
        if found[0] is None:
            raise Gone("no resource")
        return found[0]

    def whole_pass(self) -> Executor:
        """Let the operator reconcile once without interruption."""
        self.running.clear()
        for _ in self.operator.passes():
            pass
        return self.operator


def make_world(seed: int, replicas: int | None = None, *, errors: float | None = None) -> World:
    """Return a world in which the resource has just been made."""
    chance = Random(seed)
    size = replicas if replicas is not None else chance.choice((1, 3, 3, 3, 5))
    store = Store(specs.make_spec(size))
    machinery = Machinery(store, Cluster(chance, size), chance, set(), set())
    world = World(seed, chance, store, machinery, Judge(machinery))
    world.errors = errors if errors is not None else chance.choice((0.0, 0.0, 0.05))
    world.new_operator()
    return world


# ---------------------------------------------------------------------- what may happen


def edit_image(world: World) -> None:
    """A user sets an image."""
    held = world.store.resource
    if held is not None:
        image = world.chance.choice((*specs.IMAGES, specs.GOOD, specs.ALSO_GOOD))
        _edit(world, held, replace(held.spec, image=image))


def edit_placement(world: World) -> None:
    """A user says otherwise where members may run."""
    held = world.store.resource
    if held is not None:
        spread = world.chance.choice(list(Spread))
        _edit(world, held, replace(held.spec, scheduling=SchedulingSpec(spread=spread)))


def edit_paused(world: World) -> None:
    """A user pauses or resumes."""
    held = world.store.resource
    if held is not None:
        _edit(world, held, replace(held.spec, paused=not held.spec.paused))


def edit_deletion(world: World) -> None:
    """A user chooses what becomes of the volumes."""
    held = world.store.resource
    if held is not None:
        volumes = world.chance.choice(list(VolumeRetention))
        _edit(world, held, replace(held.spec, volumes=volumes))


def request_transfer(world: World) -> None:
    """A user asks for a hand-over."""
    held = world.store.resource
    if held is not None:
        world.requests += 1
        seat = world.chance.randrange(world.machinery.cluster.size + 1)
        who = world.chance.choice(("any", f"orders-{seat}", str(seat), "nobody"))
        held.transfer = f"{who}/{world.requests}"
        held.version = int(world.store.version())


def lose_node(world: World) -> None:
    """A node goes down."""
    if world.machinery.nodes_down:
        return
    node = world.chance.choice(NODES)
    world.machinery.nodes_down.add(node)
    cluster = world.machinery.cluster
    for held in world.store.pods.values():
        life = cluster.processes.get(held.pod.seat)
        if held.pod.node == node and life is not None:
            life.is_up = False
            if cluster.leader == held.pod.seat:
                cluster.leader = None


def regain_node(world: World) -> None:
    """A node comes back."""
    world.machinery.nodes_down.clear()


def cordon(world: World) -> None:
    """A node is cordoned, or all are uncordoned."""
    if world.chance.random() < 0.5:
        world.machinery.cordoned.clear()
    elif len(world.machinery.cordoned) < 2:
        world.machinery.cordoned.add(world.chance.choice(NODES))


def drain(world: World) -> None:
    """Somebody evicts a pod."""
    if world.store.pods:
        seat = world.chance.choice(sorted(world.store.pods))
        try:
            world.machinery.evict_seat(seat)
        except Deferred:
            world.marks["drain waits"] += 1


def crash_process(world: World) -> None:
    """A process ends by itself."""
    lives = sorted(seat for seat, p in world.machinery.cluster.processes.items() if p.is_up)
    if lives:
        world.machinery.crash(world.store.pods[world.chance.choice(lives)])


def freeze(world: World) -> None:
    """A process stops turning."""
    lives = sorted(world.machinery.cluster.processes)
    if lives:
        world.machinery.cluster.processes[world.chance.choice(lives)].frozen_s = 1


def cut(world: World) -> None:
    """The operator does not reach a member for a while."""
    reached = world.operator.cut
    if reached:
        reached.clear()
    else:
        reached.add(world.chance.randrange(world.machinery.cluster.size))


def delete_pod(world: World) -> None:
    """A user deletes a pod."""
    if world.store.pods:
        world.machinery.end(world.store.pods[world.chance.choice(sorted(world.store.pods))])


def unlabel_pod(world: World) -> None:
    """A user takes the labels of a pod away, or gives it those of another cluster."""
    if world.store.pods:
        held = world.store.pods[world.chance.choice(sorted(world.store.pods))]
        mark = world.chance.choice(("", "another"))
        world.store.change(held, cluster_label=mark, role="")


def lose_volume(world: World) -> None:
    """A volume is emptied, once anything else would remember the founding."""
    seat = world.chance.randrange(world.machinery.cluster.size)
    if _is_remembered(world, without=seat):
        world.machinery.wipe(seat)


def lose_all_volumes(world: World) -> None:
    """All volumes are emptied, and perhaps the status as well."""
    if world.status.founded and _is_marked_everywhere(world) and world.chance.random() < 0.5:
        world.marks["all volumes lost"] += 1
        for seat in range(world.machinery.cluster.size):
            world.machinery.wipe(seat)
        if world.chance.random() < 0.5:
            wipe_status(world)


def delete_claim(world: World) -> None:
    """A user deletes a claim and its pod."""
    seat = world.chance.randrange(world.machinery.cluster.size)
    if not _is_remembered(world, without=seat):
        return
    kept, held = world.store.claims.get(seat), world.store.pods.get(seat)
    if kept is not None:
        kept.claim = replace(kept.claim, deleting=True, resource_version=world.store.version())
        if held is not None:
            world.machinery.end(held)


def wipe_status(world: World) -> None:
    """The status is lost, as by a restore of the resource from a backup."""
    held = world.store.resource
    if held is not None:
        held.status = {}
        world.judge.on_wiped_status()
        held.version = int(world.store.version())


def delete_set(world: World) -> None:
    """A user deletes the StatefulSet, with its pods or without."""
    body = world.store.children.pop(SET, None)
    if body is not None and world.chance.random() < 0.5:
        for held in world.store.pods.values():
            world.store.change(held, controller_uid="")


def older_template(world: World) -> None:
    """The StatefulSet is as another version of the operator made it; no user changed anything."""
    body = world.store.children.get(SET)
    if body is not None:
        world.marks["older template"] += 1
        world.store.children[SET] = as_another_version_made_it(body, world.store.version())


def delete_child(world: World) -> None:
    """A user deletes some object of ours."""
    keys = sorted(key for key in world.store.children if key != SET)
    if keys:
        del world.store.children[world.chance.choice(keys)]


def delete_resource(world: World) -> None:
    """The resource is deleted, or what held it lets go; the garbage collector does the rest."""
    world.store.resource = None


def delete_held(world: World) -> None:
    """The resource is deleted, and a finalizer holds it; perhaps its children go first."""
    held = world.store.resource
    if held is None or held.held_by:
        return
    world.marks["deletion held"] += 1
    held.held_by = (world.chance.choice(("example.org/hold", "foregroundDeletion")),)
    held.generation += 1
    held.version = int(world.store.version())
    if held.held_by == ("foregroundDeletion",):
        world.store.children.clear()


def make_resource(world: World) -> None:
    """The resource is made again, perhaps with another number of replicas."""
    if world.store.resource is not None:
        return
    size = world.machinery.cluster.size
    if world.chance.random() < 0.3:
        size = world.chance.choice((1, 3, 5))
    _make(world, size)


def crash_operator(world: World) -> None:
    """The operator ends where it stands, and another one begins."""
    world.new_operator()


def delay_operator(world: World) -> None:
    """The operator is frozen with a call on its lips; another one takes over."""
    if world.running and len(world.late) < 2:
        world.late.append((world.store.now, world.running[0]))
        world.new_operator()


def act_late(world: World) -> None:
    """An operator that lost its lease makes the one call that it stood before."""
    if world.late:
        since, standing = world.late.pop()
        if world.store.now - since <= LATE_S:
            world.marks["late call"] += 1
            next(standing, None)


ACTS: tuple[tuple[Callable[[World], None], int], ...] = (
    (edit_image, 14),
    (edit_placement, 2),
    (edit_paused, 2),
    (edit_deletion, 2),
    (request_transfer, 5),
    (lose_node, 3),
    (regain_node, 6),
    (cordon, 4),
    (drain, 6),
    (crash_process, 5),
    (freeze, 3),
    (cut, 3),
    (delete_pod, 3),
    (unlabel_pod, 2),
    (lose_volume, 1),
    (lose_all_volumes, 1),
    (delete_claim, 1),
    (wipe_status, 2),
    (delete_set, 2),
    (older_template, 3),
    (delete_child, 2),
    (delete_resource, 2),
    (delete_held, 1),
    (make_resource, 4),
    (crash_operator, 6),
    (delay_operator, 5),
    (act_late, 6),
)


def walk(seed: int, actions: int = ACTIONS) -> World:
    """Live through one seed.

    Raises:
        PromiseBroken: The operator did what it must not, or the cluster does not heal.

    """
    world = make_world(seed)
    try:
        _live(world, actions)
        heal(world)
    except PromiseBroken as broken:
        broken.add_note(f"seed {seed}: {'; '.join(world.trace[-12:])}; now {world.store.now}")
        raise
    return world


def _live(world: World, actions: int) -> None:
    # Half of the worlds have no budget, nobody else who evicts, and one operator at a time.
    world.machinery.budget = world.chance.random() < 0.5
    needing = () if world.machinery.budget else (drain, delay_operator, act_late)
    chosen = [act for act, weight in ACTS for _ in range(weight) if act not in needing]
    calm = world.chance.randint(0, 60)
    for number in range(actions):
        if number >= calm and world.chance.random() < 0.06:
            act = world.chance.choice(chosen)
            world.trace.append(f"{world.store.now}: {act.__name__}")
            if act not in (drain, act_late):
                world.disturb()
            act(world)
        elif world.chance.random() < 0.4:
            world.tick()
        else:
            world.step_operator()


def heal(world: World) -> None:
    """End every fault and expect that the operator brings the cluster where it belongs."""
    world.late.clear()
    world.errors = 0.0
    world.new_operator()
    world.machinery.nodes_down.clear()
    world.machinery.cordoned.clear()
    if world.store.resource is not None and world.store.resource.held_by:
        judge_held(world)
        delete_resource(world)
    if world.store.resource is None:
        for _ in range(100):
            world.tick()
        _make(world, world.machinery.cluster.size)
    held = world.store.resource
    assert held is not None
    _edit(world, held, replace(held.spec, image=_healing_image(world), paused=False))
    settle(world)
    if reason_of(world.status, Condition.RECONCILED) is Reason.REPLICAS_DIFFER:
        world.marks["replicas differ"] += 1
        claim(SET not in world.store.children, "made in spite of other replicas")
        world.store.resource = None
        world.tick()
        _make(world, world.machinery.cluster.size)
        settle(world)
    judge_end(world)


def _healing_image(world: World) -> str:
    """Return the image with which a user heals: one that answers as the majority does."""
    told = {p.behaviour for p in world.machinery.cluster.processes.values() if p.diverged}
    if len(told) == 1:
        return specs.GOOD if told == {"odd"} else specs.DIVERGING
    odd = sum(held.pod.image == specs.DIVERGING for held in world.store.pods.values())
    is_odd = odd >= world.machinery.cluster.majority
    return specs.DIVERGING if is_odd else specs.GOOD


def settle(world: World) -> None:
    """Let time pass until nothing is written for a while, nor at any deadline after that."""
    quiet = 0
    for _ in range(HEAL_S):
        before = _trail(world)
        world.whole_pass()
        world.tick()
        quiet = 0 if _trail(world) != before else quiet + 1
        if quiet >= QUIET_S and _stays_quiet(world):
            return
    last = world.operator.last
    raise PromiseBroken(f"never quiet: {None if last is None else last.steps}, {world.status}")


def _stays_quiet(world: World) -> bool:
    """Tell whether what was quiet stays so past each deadline that a plan may have."""
    for _ in range(0, STILL_S, STEP_S):
        before, truth = _trail(world), _happened(world)
        for _ in range(STEP_S):
            world.tick()
        made = world.whole_pass().last
        if _happened(world) != truth:
            return False
        if _trail(world) != before:
            # That a deadline has passed is told once.
            world.restless += 1
            is_ready = reason_of(world.status, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP
            words = f"an unchanged cluster causes a write: {made}"
            claim(not is_ready and world.restless <= DEADLINES, words)
            world.marks["told at a deadline"] += 1
            return False
        assert made is not None
        refused = made.steps and _is_refused(world, made.steps)
        claim(not made.steps or refused, f"an unchanged cluster causes calls: {made.steps}")
        claim(not made.notes or refused, f"an unchanged cluster causes events: {made.notes}")
    return True


def _is_refused(world: World, steps: tuple[Step, ...]) -> bool:
    """Tell whether all that is left to do is refused again and again, by the budget."""
    machinery, step = world.machinery, steps[0]
    if len(steps) > 1 or not isinstance(step, EvictPod):
        return False
    return machinery.budget and not machinery.allows(step.seat)


def _trail(world: World) -> tuple[int, int]:
    return world.store.writes, world.judge.disruptions


def _happened(world: World) -> tuple[object, ...]:
    """Return what members do by themselves, of which an operator should tell."""
    cluster = world.machinery.cluster
    odd = sorted(p.seat for p in cluster.processes.values() if p.diverged)
    ready = sorted(s for s, h in world.store.pods.items() if h.pod.ready)
    lives = sorted(p.nonce for p in cluster.processes.values())
    return cluster.term, cluster.leader, odd, ready, lives


def _edit(world: World, held: StoredResource, spec: ClusterSpec) -> None:
    if spec != held.spec:
        held.spec = spec
        held.generation += 1
        held.version = int(world.store.version())


def _make(world: World, size: int) -> None:
    store = world.store
    if not (store.claims or store.pods or SET in store.children):
        world.machinery.cluster.size = size
    store.resource = StoredResource(store.uid("res"), specs.make_spec(size))
    world.judge.on_wiped_status()


def _is_remembered(world: World, *, without: int) -> bool:
    """Tell whether volumes of others, or what the operator wrote, say that it was founded."""
    cluster, claims = world.machinery.cluster, world.store.claims
    others = [kept for seat, kept in claims.items() if seat != without]
    is_known = len(others) == cluster.size - 1 > 0 and all(k.volume.founded for k in others)
    return is_known or (world.status.founded and _is_marked_everywhere(world))


def _is_marked_everywhere(world: World) -> bool:
    claims = world.store.claims.values()
    return len(claims) == world.machinery.cluster.size and all(k.claim.founded for k in claims)


def marks_of(world: World) -> Counter[str]:
    """Return what a walk reached."""
    return world.marks + world.judge.marks


def main() -> None:
    """Walk for a while; print what was reached, or the seed that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    began, marks, number = time.monotonic(), Counter[str](), options.first
    if options.seed is not None:
        print(dict(marks_of(walk(options.seed))))
        return
    while time.monotonic() - began < options.seconds:
        try:
            marks += marks_of(walk(number))
        except Exception:
            print(f"seed {number} failed")
            raise
        number += 1
    print(f"{number - options.first} seeds: {dict(marks)}")


if __name__ == "__main__":
    main()
