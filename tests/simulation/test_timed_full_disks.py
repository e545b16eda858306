"""Disks fill up under whole members with clients, and are freed again.

Each ends with the judgement of every timed run: what was acknowledged is there once, all
members hold and have applied the same, and every pending answer comes.
"""

from __future__ import annotations

import pytest

from quorate.archive.segment import FRAMES_OFFSET
from quorate.config import Durability
from quorate.consensus.types import ROOM_UNBOUNDED
from quorate_simulation.timed import World
from quorate_simulation.timed_clock import SECOND
from quorate_simulation.timed_member import TimedMember

SEEDS = (2, 11, 29)
"""Clusters with small segments, which fill soon."""


def full_world(seed: int) -> World:
    world = World(seed, seats=3, durability=Durability.FSYNC)
    assert world.constants.segment_length <= 16384, "another seed, please"
    return world


def fill(member: TimedMember, segments: int = 0) -> None:
    """Leave a disk space for so many segments more, besides the spares that are there."""
    length = FRAMES_OFFSET + member.setting.constants.segment_length
    member.disk.capacity = member.disk.used_bytes + segments * length


def free(member: TimedMember) -> None:
    member.disk.capacity = None


def is_nearly_full(member: TimedMember) -> bool:
    return member.module is not None and member.module.core.room_end != ROOM_UNBOUNDED


def refuses(member: TimedMember) -> bool:
    return member.module is not None and member.module.core.storage_full


def let(world: World, happen: object, seconds: int = 60) -> None:
    assert callable(happen)
    assert world.schedule.run_until(world.schedule.now + seconds * SECOND, happen), world._state()


@pytest.mark.parametrize("seed", SEEDS)
def test_leadership_goes_to_a_member_whose_disk_has_space(seed: int) -> None:
    world = full_world(seed)
    first = world.await_leader()
    fill(first)
    let(world, lambda: any(m.serving and m is not first for m in world.members))
    assert is_nearly_full(first)
    assert "transfer completed" in world.history.marks
    before = sum(client.answered for client in world.clients)
    world.pass_time(3000)
    assert sum(client.answered for client in world.clients) > before
    assert "log full" not in world.history.marks
    assert not first.serving
    world.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_full_members_refuse_elect_and_go_on_when_there_is_space(seed: int) -> None:
    world = full_world(seed)
    world.await_leader()
    for member in world.members:
        fill(member)
    let(world, lambda: any(refuses(member) for member in world.members))
    answered = sum(client.answered for client in world.clients)
    terms = {member.shadow.term for member in world.members}
    world.pass_time(3000)
    leader = next(member for member in world.members if member.serving)
    assert refuses(leader)
    assert sum(client.answered for client in world.clients) <= answered + 64
    assert {member.shadow.term for member in world.members} == terms, "no ping-pong"
    leader.kill(power=False)
    let(world, lambda: any(m.serving and m is not leader for m in world.members))
    successor = next(member for member in world.members if member.serving)
    let(world, lambda: refuses(successor))
    leader.start()
    world.pass_time(1000)
    for member in world.members:
        assert member.is_up
        free(member)
    let(world, lambda: not any(is_nearly_full(member) for member in world.members))
    world.finish()
    assert sum(client.answered for client in world.clients) > answered


@pytest.mark.parametrize("seed", SEEDS)
def test_one_full_follower_holds_up_nobody_and_catches_up(seed: int) -> None:
    world = full_world(seed)
    leader = world.await_leader()
    full = next(member for member in world.members if member is not leader)
    fill(full)
    let(world, lambda: is_nearly_full(full))
    room = full.archive.room_end
    let(world, lambda: leader.shadow.commit > room)
    assert full.shadow.log.end.position <= room
    assert leader.serving
    assert "log full" not in world.history.marks
    free(full)
    world.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quorum_of_full_followers_has_ingress_refused(seed: int) -> None:
    world = full_world(seed)
    leader = world.await_leader()
    followers = [member for member in world.members if member is not leader]
    for member in followers:
        fill(member)
    let(world, lambda: refuses(leader))
    assert not is_nearly_full(leader)
    free(followers[0])
    let(world, lambda: not refuses(leader))
    before = sum(client.answered for client in world.clients)
    world.pass_time(2000)
    assert sum(client.answered for client in world.clients) > before
    world.finish()
