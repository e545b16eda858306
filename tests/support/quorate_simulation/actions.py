"""What can happen in the untimed walk: one function for each kind of choice.

A choice is a tuple of its name and small integers, so that a run is a list of choices that
can be repeated, shortened and written into a regression test. Numbers that are out of range
wrap around, and a choice that is not possible at its turn does nothing: deleting choices from
a list always leaves a list that can be run.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.consensus.types import ROOM_UNBOUNDED, Instant, LogPosition, Role, Seat
from quorate_simulation.cluster import Cluster, Node

Choice = tuple[object, ...]
LOOP_JUMP_MAX = 10**12


def deliver(cluster: Cluster, receiver: int, index: int, keep: int) -> bool:
    """Hand one waiting message to its receiver, and keep a copy if asked to."""
    bag = cluster.bags[receiver]
    node = cluster.nodes[receiver]
    module = node.module
    if not bag or module is None:
        return False
    index %= len(bag)
    packet = bag[index]
    if not cluster.can_arrive(receiver, packet):
        if packet[0] != cluster.nodes[packet[0].seat].peer:
            del bag[index]
        return False
    if not keep:
        del bag[index]
    module.on_message(node.now, packet[0], packet[2])
    cluster.settle(node, module)
    return True


def drop(cluster: Cluster, receiver: int, index: int) -> bool:
    """Lose one waiting message."""
    bag = cluster.bags[receiver]
    if not bag:
        return False
    del bag[index % len(bag)]
    return True


def persist(cluster: Cluster, seat: int, count: int) -> bool:
    """Complete the oldest pending writes and tell the module."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None or not node.member.pending:
        return False
    checker, member = cluster.checker, node.member
    sequence = checker.complete(member)
    while count > 1 and member.pending:
        sequence = checker.complete(member)
        count -= 1
    if not cluster.swarm.replicated:
        member.synced_count = len(member.disk.frames)
    module.on_persisted(node.now, sequence)
    cluster.settle(node, module)
    return True


def sync(cluster: Cluster, seat: int) -> bool:
    """``replicated``: the background sync of a member returns."""
    member = cluster.nodes[seat].member
    if member.synced_count == len(member.disk.frames):
        return False
    member.synced_count = len(member.disk.frames)
    return True


def crash(cluster: Cluster, seat: int, effects: int, frames: int) -> bool:
    """Kill a process."""
    node = cluster.nodes[seat]
    if node.module is None:
        return False
    cluster.crash(node, effects, frames)
    return True


def power(cluster: Cluster, seat: int, effects: int, frames: int, unsynced: int) -> bool:
    """Cut the power of one machine."""
    node = cluster.nodes[seat]
    if node.module is None:
        return False
    cluster.power_cut(node, effects, frames, unsynced)
    return True


def power_all(cluster: Cluster, effects: int, frames: int, unsynced: int) -> bool:
    """Cut the power of all machines at once; each keeps another part of what was on its way."""
    for node in cluster.nodes:
        if node.module is not None:
            cluster.power_cut(node, effects, frames, unsynced)
        effects, frames, unsynced = frames, unsynced, effects
    return True


def stop(cluster: Cluster, seat: int) -> bool:
    """Stop a process in good order: all writes complete, and the mark says so."""
    node = cluster.nodes[seat]
    if node.module is None:
        return False
    cluster.crash(node, len(node.member.pending), 0)
    node.member.synced_count = len(node.member.disk.frames)
    return True


def restart(cluster: Cluster, seat: int) -> bool:
    """Start a member that is down."""
    node = cluster.nodes[seat]
    if node.module is not None:
        return False
    cluster.start(node)
    return True


def wipe(cluster: Cluster, seat: int) -> bool:
    """Empty the directory of a member that is down, where a quorum remains without it."""
    node = cluster.nodes[seat]
    if node.module is not None or not _may_lose(cluster, node):
        return False
    cluster.wipe(node)
    cluster.history.marks.add("wiped")
    return True


def damage(cluster: Cluster, seat: int, kept: int) -> bool:
    """Rot a frame on the disk of a member that is down, where a quorum remains sound."""
    node = cluster.nodes[seat]
    frames = len(node.member.disk.frames)
    if node.module is not None or not frames or not _may_lose(cluster, node):
        return False
    cluster.damage(node, kept % frames)
    return True


def _may_lose(cluster: Cluster, node: Node) -> bool:
    """Keep an intact copy of everything on a quorum: else only waiting would be right."""
    voters = cluster.history.voters
    if not voters:
        return True
    present = {other.member.member_id for other in cluster.nodes if other is not node}
    members = cluster.history.members
    sound = sum(v in present and not members[v].recovering for v in voters)
    return sound >= cluster.history.quorum


def up(cluster: Cluster, a: int, b: int) -> bool:
    """Connect two members anew, whatever each believed of the link before."""
    if a == b or not cluster.connected(a, b):
        return False
    first, second = cluster.nodes[a], cluster.nodes[b]
    done = _learn_up(cluster, first, second)
    if second.module is not None and first.module is not None:
        done = _learn_up(cluster, second, first) or done
    return done


def _learn_up(cluster: Cluster, node: Node, other: Node) -> bool:
    known = node.links.get(other.seat)
    module = node.module
    if known == other.peer or module is None:
        return False
    if known is not None:
        _learn_down(cluster, node, other.seat)
    node.links[other.seat] = other.peer
    module.on_link_up(node.now, other.peer)
    cluster.settle(node, module)
    return True


def down(cluster: Cluster, a: int, b: int) -> bool:
    """Let one side learn that its link is gone."""
    node = cluster.nodes[a]
    if node.module is None or b not in node.links:
        return False
    _learn_down(cluster, node, Seat(b))
    return True


def _learn_down(cluster: Cluster, node: Node, seat: Seat) -> None:
    peer = node.links.pop(seat)
    module = node.module
    assert module is not None
    module.on_link_down(node.now, peer)
    cluster.settle(node, module)


def refused(cluster: Cluster, a: int, b: int) -> bool:
    """Tell a member that the address of another one refused a connection."""
    node = cluster.nodes[a]
    module = node.module
    if a == b or module is None or b in node.links:
        return False
    module.on_reconnect_refused(node.now, Seat(b))
    cluster.settle(node, module)
    return True


def cut(cluster: Cluster, mask: int) -> bool:
    """Part the network in two; what is on its way across waits for the healing."""
    cluster.group = [mask >> seat & 1 for seat in range(cluster.count)]
    return True


def heal(cluster: Cluster) -> bool:
    """End the partition."""
    if not any(cluster.group):
        return False
    cluster.group = [0] * cluster.count
    return True


def tick(cluster: Cluster, seat: int) -> bool:
    """Let a member's loop time reach its next deadline, and let it act."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    deadline = module.next_deadline
    now = node.now
    if deadline > now.loop + LOOP_JUMP_MAX:
        return False
    if deadline > now.loop:
        passed = deadline - now.loop
        node.now = Instant(deadline, now.boottime + passed, now.wall + passed)
    module.on_tick(node.now)
    cluster.settle(node, module)
    return True


def fire(cluster: Cluster, seat: int, which: int) -> bool:
    """Fire one internal deadline of a member by itself, now."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    deadlines = sorted(module.deadlines(), key=lambda deadline: deadline.value)
    if not deadlines:
        return False
    deadline = deadlines[which % len(deadlines)]
    cluster.history.marks.add(f"fired {deadline.value}")
    module.on_deadline(node.now, deadline)
    cluster.settle(node, module)
    return True


def advance(cluster: Cluster, seat: int, loop_ms: int, wall_ms: int) -> bool:
    """Move the clocks of one member: loop time and boot time forward, the wall clock anywhere."""
    node = cluster.nodes[seat]
    loop, boottime, wall = node.now
    passed = loop_ms * 1_000_000
    node.now = Instant(loop + passed, boottime + passed, wall + wall_ms * 1_000_000)
    return True


def propose(cluster: Cluster, seat: int, size: int) -> bool:
    """Offer a frame of entries to a member."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    outcome = module.propose(node.now, bytes(size), 1)
    if isinstance(outcome, int):
        cluster.history.marks.add("proposed")
    cluster.settle(node, module)
    return True


def empty(cluster: Cluster, seat: int) -> bool:
    """Ask a member for a frame that only carries the time."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    module.propose_empty(node.now)
    cluster.settle(node, module)
    return True


def transfer(cluster: Cluster, seat: int, target: int) -> bool:
    """Ask a member to hand over to another one, or to whomever it finds best."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None or module.role is not Role.LEADER:
        return False
    to = Seat(target) if target < cluster.count else None
    if module.request_transfer(node.now, to) is None:
        cluster.history.marks.add("transfer begun")
    cluster.settle(node, module)
    return True


def found(cluster: Cluster, seat: int, discard: int) -> bool:
    """Ask a member to found the cluster."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    module.request_found(node.now, discard=bool(discard))
    cluster.settle(node, module)
    return True


def read(cluster: Cluster, seat: int) -> bool:
    """Read from the recording what a member has asked for first; the answer is on its way."""
    node = cluster.nodes[seat]
    if node.module is None or not node.reads:
        return False
    term, request = node.reads.pop(0)
    node.answers.append((request.seat, cluster.read_frames(node, term, request)))
    return True


def answer(cluster: Cluster, seat: int, index: int = 0) -> bool:
    """Hand a member frames that were read from its recording, maybe long ago."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None or not node.answers:
        return False
    asked_for, frames = node.answers.pop(index % len(node.answers))
    cluster.history.marks.add("read from the recording")
    half = len(frames) // 2 if index % 2 else 0
    if half:
        module.on_log_read(node.now, asked_for, frames[:half], more=True)
        cluster.settle(node, module)
    module.on_log_read(node.now, asked_for, frames[half:])
    cluster.settle(node, module)
    return True


def stall(cluster: Cluster, seat: int, stalled: int) -> bool:
    """Tell a member that its disk does not move, or that it moves again."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    module.on_storage_stalled(node.now, stalled=bool(stalled))
    cluster.settle(node, module)
    return True


def room(cluster: Cluster, seat: int, bytes_left: int) -> bool:
    """Tell a member that its disk is nearly full, or (0) that there is space again."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None:
        return False
    end = LogPosition(node.member.log.end.position + 64 * bytes_left)
    node.member.room_end = end if bytes_left else ROOM_UNBOUNDED
    module.on_room(node.now, node.member.room_end)
    cluster.settle(node, module)
    return True


def apply(cluster: Cluster, seat: int) -> bool:
    """Let the service of a member apply what is committed there."""
    node = cluster.nodes[seat]
    member, module = node.member, node.module
    if module is None or node.applied >= member.commit:
        return False
    node.applied = member.commit
    cluster.checker.on_applied(member, node.applied)
    module.on_service_position(node.now, LogPosition(node.applied))
    cluster.settle(node, module)
    return True


def digest(cluster: Cluster, seat: int) -> bool:
    """Let the service of a member report its digest where it stands."""
    node = cluster.nodes[seat]
    module = node.module
    if module is None or not node.applied:
        return False
    odd = cluster.swarm.disagree and seat == 0
    position = LogPosition(node.applied)
    module.on_digest(node.now, position, node.applied.to_bytes(15, "little") + bytes([odd]))
    cluster.settle(node, module)
    return True


ACTIONS: dict[str, Callable[..., bool]] = {
    action.__name__: action
    for action in (
        deliver, drop, persist, sync, crash, power, power_all, stop, restart, wipe, damage,
        up, down, refused, cut, heal, tick, fire, advance, propose, empty, transfer, found,
        read, answer, stall, room, apply, digest,
    )
}  # fmt: skip
