"""After any walk, when nothing fails any more, the cluster becomes whole: loss costs time only.

What is healed is what fails by itself: who is down runs again, the network is whole, disks have
space and move, links that one side gave up are made anew. Links that stand are kept, and whatever
was lost on them stays lost. Where no cluster exists the operator founds one, with a discard where
one is asked for.
"""

from __future__ import annotations

from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import Instant
from quorate_simulation import actions
from quorate_simulation.actions import ACTIONS
from quorate_simulation.cluster import Cluster, Node
from quorate_simulation.history import InvariantViolation
from quorate_simulation.swarm import draw_swarm
from quorate_simulation.walk import Walker, link_all

SECOND = 1_000_000_000
WHOLE_WITHIN_NS = 20 * SECOND
FOUNDED_WITHIN = 6
"""Requests of the operator."""
ROUNDS_MAX = 400
MESSAGES_MAX = 100_000
FOREVER = 10**12
"""Nanoseconds: nobody waits for so long."""


def walk_and_heal(seed: int, steps: int) -> bool:
    """Make the walk of this seed, then heal; tell whether the cluster could become whole.

    Raises:
        InvariantViolation: It could and has not (I25), or any other invariant broke.

    """
    swarm = draw_swarm(seed)
    cluster = Cluster(seed, swarm)
    walker = Walker(seed, swarm, cluster)
    if seed % 4:
        for choice in link_all(swarm):
            ACTIONS[choice[0]](cluster, *choice[1:])  # type: ignore[index]
    for _ in range(steps):
        choice = walker.choose()
        ACTIONS[choice[0]](cluster, *choice[1:])  # type: ignore[index]
    return heal(cluster)


def heal(cluster: Cluster) -> bool:
    """End all that fails and wait; tell whether the cluster could become whole."""
    actions.heal(cluster)
    cluster.bag_max = MESSAGES_MAX  # A burst that loses its first message each time never ends.
    for node in cluster.nodes:
        actions.restart(cluster, node.seat)
        actions.stall(cluster, node.seat, 0)
        actions.room(cluster, node.seat, 0)
    for _ in range(2):
        _relink(cluster)
        _settle(cluster)
    for _ in range(FOUNDED_WITHIN):
        if cluster.history.founding is None:
            _found(cluster)
    _require(cluster, cluster.history.founding is not None, "is not founded")
    if not _can_be_whole(cluster):
        return False
    _become_whole(cluster)
    return True


def _become_whole(cluster: Cluster) -> None:
    passed, proposed = 0, False
    while not (proposed and _is_whole(cluster)):
        _require(cluster, passed < WHOLE_WITHIN_NS, "is not whole")
        passed += _pass_time(cluster)
        for node in cluster.nodes:
            idle = node.member.commit == node.member.log.end.position
            if node.member.leading and idle and not proposed:
                actions.empty(cluster, node.seat)
                _settle(cluster)
                proposed = True


def _can_be_whole(cluster: Cluster) -> bool:
    """Tell whether enough is left: else only waiting for a human is right."""
    history, present = cluster.history, _present(cluster)
    sound = sum(not node.member.recovering for node in present)
    if sound >= history.quorum:
        return True
    # Together all voters may elect the greatest log, if each has one.
    everybody = len(present) == len(history.voters)
    return everybody and cluster.swarm.replicated and all(n.member.disk.frames for n in present)


def _present(cluster: Cluster) -> list[Node]:
    """Return those whose directories the cluster knows."""
    return [n for n in cluster.nodes if n.member.member_id in cluster.history.voters]


def _is_whole(cluster: Cluster) -> bool:
    """Tell whether one leads, all follow it, and all have all there is, and know it committed."""
    leading = [node for node in cluster.nodes if node.member.leading]
    if len(leading) != 1:
        return False
    leader = leading[0]
    end = leader.member.log.end
    return all(
        node.member.state.founded
        and not node.member.state.recovering.reason
        and node.member.disk.end == node.member.log.end == end
        and node.member.commit == end.position
        and _module(node).leader == leader.seat
        for node in _present(cluster)
    )


def _module(node: Node) -> ConsensusModule:
    assert node.module is not None, "everybody runs"
    return node.module


def _require(cluster: Cluster, holds: object, detail: str) -> None:
    if holds:
        return
    state = [
        (
            f"seat {node.seat} {_module(node).role.name.lower()} in {_module(node).term}",
            f"of {_module(node).leader}",
            _module(node).founding_state.name.lower(),
            _module(node).founding_broken,
            _module(node).election.state.value,
            f"end {node.member.log.end.position} commit {node.member.commit}",
            node.member.state.recovering.reason.name,
        )
        for node in cluster.nodes
    ]
    raise InvariantViolation("I25", f"healed, and the cluster {detail}: {state}")


def _found(cluster: Cluster) -> None:
    """Ask for the founding, and for a discard where that is refused or breaks it."""
    node = cluster.nodes[0]
    refusal = _module(node).request_found(node.now)
    cluster.settle(node, _module(node))
    _settle(cluster)
    broken = any(_module(other).founding_broken for other in cluster.nodes)
    if refusal is not None or broken:
        actions.found(cluster, 0, 1)
        _settle(cluster)


def _relink(cluster: Cluster) -> None:
    """Make anew what is not a link on both sides; a link begins with both greetings."""
    for a in range(cluster.count):
        for b in range(a):
            one, other = cluster.nodes[a], cluster.nodes[b]
            is_link = one.links.get(b) == other.peer and other.links.get(a) == one.peer
            greeted = b in _module(one).core.hellos and a in _module(other).core.hellos
            if not is_link or not greeted:
                actions.down(cluster, a, b)
                actions.down(cluster, b, a)
                actions.up(cluster, a, b)


def _settle(cluster: Cluster) -> None:
    """Let everything arrive, be written, read and applied until nobody has anything to do."""
    for _ in range(ROUNDS_MAX):
        busy = [node.seat for node in cluster.nodes if _work(cluster, node)]
        if not busy:
            return
    _require(cluster, False, "finds no rest")


def _work(cluster: Cluster, node: Node) -> bool:
    seat, done = node.seat, False
    while True:
        bag = cluster.bags[seat]
        fits = (i for i, packet in enumerate(bag) if cluster.can_arrive(seat, packet))
        index = next(fits, None)
        if index is None:
            bag.clear()  # of links that are gone
            break
        done = actions.deliver(cluster, seat, index, 0) or done
    actions.sync(cluster, seat)
    for work in (actions.persist, actions.read, actions.answer, actions.apply):
        while work(cluster, seat, *((1,) if work is actions.persist else ())):
            done = True
    return done


def _pass_time(cluster: Cluster) -> int:
    """Move all clocks to the next deadline of anybody, and let it act; return nanoseconds."""
    nodes = cluster.nodes
    passed = max(0, min(_module(node).next_deadline - node.now.loop for node in nodes))
    _require(cluster, passed < FOREVER, "waits for nothing")
    for node in nodes:
        loop, boottime, wall = node.now
        node.now = Instant(loop + passed, boottime + passed, wall + passed)
        _module(node).on_tick(node.now)
        cluster.settle(node, _module(node))
    _settle(cluster)
    _relink(cluster)
    _settle(cluster)
    return passed
