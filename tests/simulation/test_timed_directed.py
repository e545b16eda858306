"""Directed schedules of whole members with clients: the killers between consensus and service.

Each ends with the judgement of every timed run: what was acknowledged is there once, in the
order of its session, timers fired once and not early, registers are linearizable, all members
hold and have applied the same.
"""

from __future__ import annotations

import pytest

from quorate.config import Durability
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.entry_bodies import SessionOpenBody, encode_session_open
from quorate.protocol.log_codec import EntryType, encode_entry
from quorate_simulation.timed import World
from quorate_simulation.timed_client import Connection
from quorate_simulation.timed_clock import MS, SECOND
from quorate_simulation.timed_messages import Ingress, Open

SEEDS = (1, 2, 3)


def calm_world(seed: int, seats: int = 3) -> World:
    return World(seed, seats=seats, durability=Durability.FSYNC)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_sent_again_over_a_change_of_leader_is_applied_once(seed: int) -> None:
    world = calm_world(seed)
    for _ in range(4):
        leader = world.await_leader()
        world.pass_time(400)
        # What it has applied is committed; its answers die with it.
        leader.kill(power=False)
        world.pass_time(700)
        leader.start()
    world.finish()
    assert any(client.operations for client in world.clients)


@pytest.mark.parametrize("seed", range(12))
def test_a_killed_leader_is_replaced_long_before_an_election_timeout(seed: int) -> None:
    """Its links break, and no attempt of the two that are left waits for the dead one's vote."""
    world = calm_world(seed)
    for _ in range(6):
        leader = world.await_leader()
        leader.kill(power=False)
        world.pass_time(200)
        assert any(member.serving for member in world.members if member is not leader)
        leader.start()
        world.pass_time(700)
    world.finish()


@pytest.mark.parametrize("seed", range(6))
def test_a_member_that_still_replays_its_log_takes_no_office_from_one_that_could_serve(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader is killed while the member that came back has its log, but not applied it."""
    world = calm_world(seed)
    leader = world.await_leader()
    world.pass_time(3000)
    late = [member for member in world.members if member is not leader][seed % 2]
    late.kill(power=False)
    world.pass_time(300)
    with monkeypatch.context() as replaying:
        replaying.setattr(late, "_can_apply", lambda: False)
        late.start()
        world.pass_time(1500)
        leader = world.await_leader()
        leader.kill(power=False)
        world.pass_time(200)
        assert any(member.serving for member in world.members if member is not leader)
    leader.start()
    world.pass_time(700)
    world.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_with_a_hole_is_ignored_whole_and_the_client_goes_back(seed: int) -> None:
    world = calm_world(seed)
    leader = world.await_leader()
    world.pass_time(1500)
    client = next(client for client in world.clients if client.session_id)
    beyond = Ingress(
        client.session_id, len(client.operations) + 3, 1, 0, encode_ingress_batch([b"w a 9.9"])
    )
    connection = client._connection
    assert isinstance(connection, Connection)
    world.deliver(connection, beyond)
    world.pass_time(500)
    world.finish()
    assert leader.service.registers.get(b"a") != b"9.9"


def test_an_open_repeated_after_its_answer_was_lost_finds_the_same_session() -> None:
    world = calm_world(4)
    leader = world.await_leader()
    world.pass_time(1500)
    client = next(client for client in world.clients if client.session_id)
    before = [view.session_id for view in leader.container.sessions()]
    body = encode_session_open(SessionOpenBody(client.key_hash, b"", "again"))
    for _ in range(3):
        leader.append_entry(encode_entry(EntryType.SESSION_OPEN, 0, body))
    world.pass_time(500)
    assert [view.session_id for view in leader.container.sessions()] == before
    world.finish()


def test_a_session_that_is_gone_is_never_made_again_under_its_id() -> None:
    world = calm_world(5)
    leader = world.await_leader()
    answers: list[object] = []

    class Silent(Connection):
        def answer(self, answer: object) -> None:  # type: ignore[override]
            answers.append(answer)

    connection = Silent(world.clients[0], leader.seat, leader.peer.start_nonce)
    world.deliver(connection, Open(bytes(16), 123_456, 0))
    world.pass_time(300)
    assert [type(answer).__name__ for answer in answers] == ["Closed"]
    world.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_timer_that_is_due_at_the_moment_of_failover_fires_once_everywhere(seed: int) -> None:
    world = calm_world(seed)
    for _ in range(3):
        leader = world.await_leader()
        waited = world.schedule.run_until(
            world.schedule.now + 10 * SECOND,
            lambda leader=leader: leader.container.next_timer_deadline is not None,  # type: ignore[misc]
        )
        if not waited:
            break
        leader.kill(power=True)
        world.pass_time(600)
        leader.start()
    world.finish()
    assert all(len(member.service.fired) > 0 for member in world.members)


def test_three_members_stalled_alike_hold_no_election() -> None:
    world = calm_world(6)
    world.await_leader()
    world.pass_time(1000)
    terms = [member.shadow.term for member in world.members]
    until = world.schedule.now + 5 * SECOND
    for member in world.members:
        member.pause.until = until
    world.pass_time(6000)
    assert [member.shadow.term for member in world.members] == terms
    world.finish()


def test_a_leader_that_alone_stalls_is_replaced() -> None:
    world = calm_world(7)
    leader = world.await_leader()
    world.pass_time(500)
    leader.pause.until = world.schedule.now + 4 * SECOND
    world.pass_time(2500)
    assert world.await_leader() is not leader
    world.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_leadership_lost_and_regained_while_clients_stay(seed: int) -> None:
    world = calm_world(seed)
    for _ in range(6):
        leader = world.await_leader()
        world.pass_time(200)
        if leader.module is not None:
            leader.module.request_transfer(leader.begin_turn(), None)
        world.pass_time(150)
    world.finish()
    assert "transfer completed" in world.history.marks


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_of_all_under_load_loses_nothing_that_was_acknowledged(seed: int) -> None:
    world = calm_world(seed)
    for _ in range(3):
        world.await_leader()
        world.pass_time(300 + 37 * seed)
        for member in world.members:
            member.kill(power=True)
        world.pass_time(100)
        for member in world.members:
            member.start()
    world.finish()


def test_a_killed_leader_is_replaced_in_tens_of_milliseconds() -> None:
    world = calm_world(8)
    gaps = []
    for _ in range(5):
        leader = world.await_leader()
        world.pass_time(700)
        leader.kill(power=False)
        killed = world.schedule.now
        world.await_leader()
        gaps.append((world.schedule.now - killed) // MS)
        leader.start()
        world.pass_time(500)
    world.finish()
    assert sorted(gaps)[len(gaps) // 2] < 300, gaps


def test_a_stalled_and_replaced_leader_does_not_answer_a_resume() -> None:
    world = calm_world(10)
    stale = world.await_leader()
    world.pass_time(800)
    client = next(client for client in world.clients if client.session_id)
    answers: list[object] = []

    class Late(Connection):
        def answer(self, answer: object) -> None:  # type: ignore[override]
            answers.append(answer)

    # Its sockets hold the resume of a client that has moved on meanwhile.
    stale.pause.until = world.schedule.now + 3 * SECOND
    connection = Late(client, stale.seat, stale.peer.start_nonce)
    world.deliver(connection, Open(client.key_hash, client.session_id, client.last_egress))
    world.pass_time(2500)
    assert world.await_leader() is not stale
    world.finish()
    assert {type(answer).__name__ for answer in answers} <= {"Redirect"}


def test_nobody_takes_over_from_a_leader_that_can_be_heard_over_one_link_only() -> None:
    world = calm_world(9)
    leader = world.await_leader()
    world.pass_time(500)
    term = leader.shadow.term
    other = next(member for member in world.members if member is not leader)
    world.network.cut.update({(leader.seat, other.seat), (other.seat, leader.seat)})
    world.pass_time(5000)
    assert leader.shadow.leading == term
    world.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_follower_with_a_slow_disk_slows_nobody(seed: int) -> None:
    """The same clients once with and once without it: as many answers, and no election."""
    answered = []
    for latency in (MS, 600 * MS):
        world = calm_world(seed)
        leader = world.await_leader()
        follower = next(member for member in world.members if member is not leader)
        follower.disk_latency = (latency, 2 * latency)
        terms = {member.shadow.term for member in world.members}
        before = sum(client.answered for client in world.clients)
        world.pass_time(8000)
        answered.append(sum(client.answered for client in world.clients) - before)
        assert leader.serving
        assert {member.shadow.term for member in world.members} == terms
        world.finish()
    assert answered[1] >= 0.9 * answered[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_paused_for_longer_than_planned_hears_of_its_links_in_order(seed: int) -> None:
    """The simulation's own: one link breaks before a pause is made longer, the next is up after."""
    world = calm_world(seed)
    world.await_leader()
    world.pass_time(500)
    member = world.members[0]
    began = world.schedule.now
    member.pause.until = began + 300 * MS
    for other in world.members[1:]:
        world.network.break_link(member.seat, other.seat)
    world.pass_time(1)
    member.pause.until = began + 900 * MS
    world.pass_time(1000)
    assert member.module is not None
    assert sorted(member.module.core.links) == [1, 2]
    world.finish()
