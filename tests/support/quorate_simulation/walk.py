"""The untimed random walk: one seed is one list of choices, made one after the other.

    python -m quorate_simulation walk --seed N --steps M     repeat one walk
    python -m quorate_simulation walk --first N --seconds S  search

A failure is shortened by leaving out choices as long as the same invariant breaks.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

from quorate_simulation.actions import ACTIONS, Choice
from quorate_simulation.cluster import Cluster, Node
from quorate_simulation.history import InvariantViolation
from quorate_simulation.swarm import Swarm, draw_swarm

STEPS = 400
LOOKS = 3
TRIES = 4


@dataclass(slots=True)
class WalkResult:
    """How one walk went."""

    seed: int
    choices: list[Choice]
    failure: BaseException | None
    marks: set[str] = field(default_factory=set)
    digest: int = 0
    """Over all choices made and the state that they led to: equal for equal runs."""

    @property
    def kind(self) -> str:
        """What failed, coarse enough to stay the same while choices are left out."""
        failure = self.failure
        if isinstance(failure, InvariantViolation):
            return failure.invariant
        return type(failure).__name__

    def command(self, steps: int) -> str:
        """Return the line that repeats this walk."""
        return f"python -m quorate_simulation walk --seed {self.seed} --steps {steps}"


class Walker:
    """Makes the choices of one walk."""

    def __init__(self, seed: int, swarm: Swarm, cluster: Cluster) -> None:
        """Choose for this cluster."""
        self._random = Random(seed * 104_729 + 3).random
        self._cluster = cluster
        self._fifo = swarm.fifo
        self._body_max = swarm.body_max
        self._count = swarm.seats
        self._nothing_arrives = False
        weights = {name: weight for name, weight in swarm.weights.items() if weight}
        makers: dict[str, Callable[[], Choice | None]] = {
            name: getattr(self, f"_{name}", self._on_seat(name)) for name in weights
        }
        self._makers = list(makers.values())
        self._bounds = list(accumulate(weights.values()))

    def choose(self) -> Choice:
        """Return the next choice, possible now as far as that is cheap to see.

        Where nothing of what was drawn is possible, time passes for somebody: a walk that waits
        has nothing else to wait for.
        """
        bounds, random = self._bounds, self._random
        self._nothing_arrives = False
        for _ in range(TRIES):
            maker = self._makers[bisect_right(bounds, random() * bounds[-1])]
            choice = maker()
            if choice is not None:
                return choice
        return ("tick", int(random() * self._count))

    def _below(self, bound: int) -> int:
        return int(self._random() * bound)

    def _on_seat(self, name: str) -> Callable[[], Choice | None]:
        """Return a maker of choices for a member, if one is in the state that it needs."""
        wanted = WANTED.get(name, _runs)
        choices: list[Choice] = [(name, seat) for seat in range(self._count)]

        def make() -> Choice | None:
            seat = self._seat(wanted)
            return None if seat is None else choices[seat]

        return make

    def _seat(self, wanted: Callable[[Node], object]) -> int | None:
        """Return any seat in the wanted state, or None."""
        nodes, count = self._cluster.nodes, self._count
        start = int(self._random() * count)
        for seat in range(start, start + count):
            if wanted(nodes[seat % count]):
                return seat % count
        return None

    def _packet(self, name: str, keep: tuple[int, ...] = ()) -> Choice | None:
        """Return a choice about a message that can arrive, or None after a few looks."""
        if self._nothing_arrives:
            return None
        cluster, count = self._cluster, self._count
        start = int(self._random() * count)
        for receiver in range(start, start + count):
            bag = cluster.bags[receiver % count]
            if not bag:
                continue
            index = 0 if self._random() < self._fifo else int(self._random() * len(bag))
            for _ in range(LOOKS):
                if cluster.can_arrive(receiver % count, bag[index]):
                    return (name, receiver % count, index, *keep)
                index = (index + 1) % len(bag)
        self._nothing_arrives = True
        return None

    def _deliver(self) -> Choice | None:
        return self._packet("deliver", (0,))

    def _duplicate(self) -> Choice | None:
        return self._packet("deliver", (1,))

    def _drop(self) -> Choice | None:
        return self._packet("drop")

    def _persist(self) -> Choice | None:
        nodes, count = self._cluster.nodes, self._count
        start = int(self._random() * count)
        for seat in range(start - count, start):
            if nodes[seat].member.pending and nodes[seat].module is not None:
                return ("persist", seat % count, 1 + int(self._random() * 3))
        return None

    def _fire(self) -> Choice:
        return ("fire", self._below(self._count), self._below(6))

    def _advance(self) -> Choice:
        loop_ms = (1, 20, 100, 700)[self._below(4)]
        wall_ms = (loop_ms, loop_ms, loop_ms, 60_000, -60_000)[self._below(5)]
        return ("advance", self._below(self._count), loop_ms, wall_ms)

    def _propose(self) -> Choice | None:
        seat = self._seat(_leads) if self._random() < 0.95 else self._below(self._count)
        return None if seat is None else ("propose", seat, 40 + self._below(self._body_max))

    def _crash(self) -> Choice:
        return ("crash", self._below(self._count), self._below(4), self._below(3))

    def _power(self) -> Choice:
        return ("power", self._below(self._count), *(self._below(4) for _ in range(3)))

    def _power_all(self) -> Choice:
        return ("power_all", *(self._below(4) for _ in range(3)))

    def _damage(self) -> Choice | None:
        seat = self._seat(_is_down)
        return None if seat is None else ("damage", seat, self._below(8))

    def _pair(self, name: str) -> Choice | None:
        a, b = self._below(self._count), self._below(self._count)
        return None if a == b else (name, a, b)

    def _up(self) -> Choice | None:
        nodes = self._cluster.nodes
        for _ in range(LOOKS):
            a, b = self._below(self._count), self._below(self._count)
            if a != b and self._cluster.connected(a, b):
                first, second = nodes[a], nodes[b]
                if first.links.get(b) != second.peer or second.links.get(a) != first.peer:
                    return ("up", a, b)
        return None

    def _down(self) -> Choice | None:
        return self._pair("down")

    def _refused(self) -> Choice | None:
        return self._pair("refused")

    def _stall(self) -> Choice:
        return ("stall", self._below(self._count), int(self._random() < 0.4))

    def _room(self) -> Choice:
        left = self._below(40) if self._random() < 0.6 else 0
        return ("room", self._below(self._count), left)

    def _cut(self) -> Choice:
        return ("cut", self._below(1 << self._count))

    def _heal(self) -> Choice:
        return ("heal",)

    def _transfer(self) -> Choice | None:
        seat = self._seat(_leads)
        return None if seat is None else ("transfer", seat, self._below(self._count + 1))

    def _found(self) -> Choice:
        seat = 0 if self._random() < 0.7 else self._below(self._count)
        return ("found", seat, int(self._random() < 0.1))


def _runs(node: Node) -> object:
    return node.module


def _is_down(node: Node) -> bool:
    return node.module is None


def _leads(node: Node) -> object:
    return node.member.leading


def _reads(node: Node) -> object:
    return node.module is not None and node.reads


def _awaits(node: Node) -> object:
    return node.module is not None and node.answers


def _applies(node: Node) -> bool:
    return node.module is not None and node.applied < node.member.commit


WANTED: dict[str, Callable[[Node], object]] = {
    "restart": _is_down,
    "wipe": _is_down,
    "read": _reads,
    "answer": _awaits,
    "apply": _applies,
    "empty": _leads,
}


def run_walk(seed: int, steps: int = STEPS) -> WalkResult:
    """Make the walk of this seed."""
    swarm = draw_swarm(seed)
    result = WalkResult(seed, [], None)
    cluster: Cluster | None = None
    try:
        cluster = Cluster(seed, swarm)
        walker = Walker(seed, swarm, cluster)
        choices = result.choices
        if seed % 4:
            choices.extend(link_all(swarm))
            for choice in choices:
                ACTIONS[choice[0]](cluster, *choice[1:])  # type: ignore[index]
        for _ in range(steps):
            choice = walker.choose()
            choices.append(choice)
            ACTIONS[choice[0]](cluster, *choice[1:])  # type: ignore[index]
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is the result
        result.failure = failure
    _close(result, cluster)
    return result


def replay(seed: int, choices: Sequence[Choice], swarm: Swarm | None = None) -> WalkResult:
    """Make exactly these choices in the world of this seed."""
    result = WalkResult(seed, list(choices), None)
    cluster: Cluster | None = None
    try:
        cluster = Cluster(seed, swarm or draw_swarm(seed))
        for choice in choices:
            ACTIONS[choice[0]](cluster, *choice[1:])  # type: ignore[index]
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is the result
        result.failure = failure
    _close(result, cluster)
    return result


def link_all(swarm: Swarm) -> list[Choice]:
    """Return the choices that connect everybody."""
    return [("up", a, b) for a in range(swarm.seats) for b in range(a)]


def _close(result: WalkResult, cluster: Cluster | None) -> None:
    if cluster is None:
        return
    result.marks = cluster.history.marks
    state = [repr(result.choices)]
    for node in cluster.nodes:
        member = node.member
        state.append(repr((member.term, member.commit, member.log.end, member.disk.end)))
        state.append(repr((member.state, member.leading, len(member.pending))))
    state.extend(str(len(bag)) for bag in cluster.bags)
    result.digest = zlib.crc32("\n".join(state).encode())


def shrink(result: WalkResult, tries_max: int = 4000) -> WalkResult:
    """Leave out choices as long as the same kind of failure remains (delta debugging)."""
    best = result
    kind = result.kind
    chunk = max(1, len(best.choices) // 2)
    tries = 0
    while tries < tries_max:
        start = 0
        before = len(best.choices)
        while start < len(best.choices) and tries < tries_max:
            shorter = best.choices[:start] + best.choices[start + chunk :]
            outcome = replay(result.seed, shorter)
            tries += 1
            if outcome.failure is not None and outcome.kind == kind:
                best = outcome
            else:
                start += chunk
        if chunk == 1 and len(best.choices) == before:
            break
        chunk = max(1, chunk // 2)
    return best
