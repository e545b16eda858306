"""The status says what the member is, and every change of it is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest

from quorate.config import MemberConfig, NodeConfig, SeatAddress
from quorate.consensus.effects import Alarm, ServiceDiverged
from quorate.consensus.messages import Hello, Refusal
from quorate.consensus.types import (
    LOG_START,
    NOT_RECOVERING,
    ROOM_UNBOUNDED,
    FoundingState,
    LeadershipTermId,
    LogPosition,
    Recovering,
    RecoveringReason,
    Role,
    Seat,
)
from quorate.control.status import MemberState, MemberStatus
from quorate.examples.echo import Echo
from quorate.runtime.control_port import MemberControl
from quorate.runtime.member import Member
from quorate.runtime.member_status import StatusReport
from quorate_runtime.bench import CLUSTER, AgentBench, life


def make_config(size: int) -> NodeConfig:
    """Return a configuration for the member in seat 0."""
    seats = tuple(SeatAddress(Seat(seat), f"member-{seat}") for seat in range(size))
    return NodeConfig(member=MemberConfig(CLUSTER, Seat(0), seats, input_hash="i"))


class Watched:
    """An agent with its report and its control port."""

    def __init__(self, bench: AgentBench, size: int) -> None:
        config = make_config(size)
        seats = ((Seat(0), "a"), (Seat(1), "b"), (Seat(2), "c"))
        identity = replace(bench.module.core.identity, seats=seats)
        self.bench = bench
        self.report = StatusReport(config, identity, bench.agent, bench.effects)
        bench.agent.on_digest = self.report.on_digest
        # The port reads only these parts for status and probes.
        member = cast("Member", _Parts(config, bench, self.report))
        self.control = MemberControl(member)


class _Parts:
    def __init__(self, config: NodeConfig, bench: AgentBench, report: StatusReport) -> None:
        self.config, self.agent, self.report = config, bench.agent, report
        self.effects = bench.effects
        self.constants = config.constants


def run(scenario: Callable[[Watched], Awaitable[None]], *, leads: bool = True) -> None:
    """Play a scenario with a member that leads a cluster of one, or waits in one of three."""

    async def play() -> None:
        size = 1 if leads else 3
        bench = AgentBench(Echo(), size)
        watched = Watched(bench, size)
        if leads:
            await bench.lead()
        else:
            bench.attach()
        await scenario(watched)

    asyncio.run(play())


def test_a_disk_that_fills_up() -> None:
    async def scenario(watched: Watched) -> None:
        bench = watched.bench
        assert watched.report.read(1).storage == "space"
        end = bench.module.core.log.end.position
        for room, word in ((1 << 30, "low"), (64, "full"), (1 << 40, "low")):
            position = LogPosition(end + room)
            bench.agent.room_end = lambda position=position: position  # type: ignore[misc]
            await bench.pass_time(50)
            assert watched.report.read(1).storage == word
        bench.agent.room_end = lambda: ROOM_UNBOUNDED
        await bench.pass_time(50)
        status = watched.report.read(1)
        assert (status.storage, status.alarms) == ("space", ())

    run(scenario)


def test_a_blank_member() -> None:
    async def scenario(watched: Watched) -> None:
        status = watched.report.read(5)
        assert (status.state, status.status_version) == (MemberState.BLANK, 5)
        assert (status.founded, status.leader, status.voters) == (False, None, ())
        assert [row.connected for row in status.members] == [True, False, False]
        assert not watched.control.ready().ok
        assert watched.control.alive().ok
        assert watched.control.started().ok

    run(scenario, leads=False)


def test_a_leader() -> None:
    async def scenario(watched: Watched) -> None:
        status = watched.report.read(1)
        module = watched.bench.module
        assert (status.state, status.role, status.leader) == (MemberState.LEADER, "leader", 0)
        assert status.leadership_term_id == 1
        positions = (status.written_position, status.append_position, status.commit_position)
        assert positions == (module.core.log.end.position,) * 3
        assert status.service_position == watched.bench.applier.position
        assert status.caught_up
        assert [row.member_id for row in status.voters] == [module.core.identity.member_id.hex()]
        assert status.digests[-1].position == status.service_position
        assert status.input_hash == "i"
        assert watched.control.ready().ok

    run(scenario)


def test_states_come_in_their_order() -> None:
    async def scenario(watched: Watched) -> None:
        core, agent = watched.bench.module.core, watched.bench.agent
        recovering = Recovering(RecoveringReason.UNSYNCED, LeadershipTermId(1), LogPosition(64))
        core.node_state = core.node_state._replace(recovering=recovering)
        status = watched.report.read(1)
        assert (status.state, status.recovering) == (MemberState.RECOVERING, "unsynced")
        core.refused_by[Seat(1)] = Refusal.VOLUME_LOST
        assert watched.report.read(1).state is MemberState.VOLUME_LOST
        core.refused_by[Seat(1)] = Refusal.NOT_A_MEMBER
        assert watched.report.read(1).state is MemberState.NOT_A_MEMBER
        watched.bench.effects.carry_out([ServiceDiverged(LogPosition(64), b"a", b"b")])
        status = watched.report.read(1)
        assert (status.state, "64" in status.reason) == (MemberState.DIVERGED, True)
        agent.is_stopping = True
        assert watched.report.read(1).state is MemberState.STOPPING
        assert not watched.control.ready().ok

    run(scenario)


def test_a_blank_directory_in_a_known_seat_is_reported_by_the_others() -> None:
    async def scenario(watched: Watched) -> None:
        core = watched.bench.module.core
        peer = life(1)
        core.links[Seat(1)] = peer
        hello = Hello(
            founding=FoundingState.BLANK,
            configuration_hash=b"h" * 16,
            founding_frame=None,
            founding_chain=0,
            role=Role.FOLLOWER,
            leadership_term_id=LeadershipTermId(0),
            end=LOG_START,
            recovering=NOT_RECOVERING,
            refusal=Refusal.NONE,
        )
        core.hellos[Seat(1)] = hello
        rows = watched.report.read(1).members
        assert rows[1].state == "volume-lost"
        assert rows[1].connected

    run(scenario)


def test_every_change_wakes_who_waits_and_silence_does_not() -> None:
    async def scenario(watched: Watched) -> None:
        control, bench = watched.control, watched.bench
        await bench.pass_time(50)
        version = control.status().status_version
        waiting = asyncio.create_task(control.wait_status(version))
        await bench.pass_time(500)
        assert not waiting.done(), "nothing has changed"
        bench.module.core.refused_by[Seat(1)] = Refusal.VOLUME_LOST
        await bench.pass_time(50)
        assert waiting.done()
        version = control.status().status_version
        bench.effects.carry_out([Alarm("clocks_apart", "11 s")])
        await control.wait_status(version)
        status = control.status()
        assert [row.name for row in status.alarms] == ["clocks_apart"]

    run(scenario)


def _told(status: MemberStatus) -> MemberStatus:
    """What is told of a member, without what moves on by itself."""
    rows = tuple(replace(row, append_position=0, last_contact_ms=0) for row in status.members)
    return replace(
        status,
        members=rows,
        digests=(),
        written_position=0,
        append_position=0,
        commit_position=0,
        service_position=0,
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: setattr(bench.applier, "possible_loss", True),
        lambda bench: setattr(bench.agent, "room_end", lambda: LogPosition(1 << 40)),
        lambda bench: setattr(bench.agent, "room_end", lambda: LogPosition(64)),
        lambda bench: setattr(bench.agent, "is_stopping", True),
        lambda bench: bench.module.core.links.update({Seat(1): life(1)}),
        lambda bench: bench.module.core.links.update({Seat(2): life(1)}),
        lambda bench: bench.effects.alarms.update(one="a"),
    ],
)
def test_a_status_that_says_something_else_has_another_version(
    change: Callable[[AgentBench], None],
) -> None:
    async def scenario(watched: Watched) -> None:
        await watched.bench.pass_time(50)
        before = watched.control.status()
        change(watched.bench)
        await watched.bench.pass_time(50)
        after = watched.control.status()
        assert _told(after) != _told(before)
        assert after.status_version > before.status_version

    run(scenario)


def test_refused_actions_say_why_and_call_nobody() -> None:
    async def scenario(watched: Watched) -> None:
        told: list[tuple[bool, str]] = []
        control, effects = watched.control, watched.bench.effects
        refused = control.transfer(Seat(0), lambda done, why: told.append((done, why)))
        assert refused is not None
        assert "leads already" in refused
        assert effects.transfer_outcomes == []
        assert control.found(discard=False, on_outcome=lambda d, w: told.append((d, w))) is None
        await watched.bench.turns()
        assert told == [(True, "the cluster is founded already")]
        refused = control.found(discard=True, on_outcome=lambda d, w: told.append((d, w)))
        assert refused is not None
        assert effects.founding_outcomes == []

    run(scenario)


def test_other_settings_in_the_file_than_in_the_log_are_reported_once() -> None:
    async def scenario(watched: Watched) -> None:
        config = watched.control._member.config
        settings = replace(config.settings, sessions_max=5)
        watched.control._member.config = replace(config, settings=settings)
        await watched.bench.pass_time(100)
        (alarm,) = watched.control.status().alarms
        assert alarm.name == "settings_differ"
        assert "sessions_max 10000" in alarm.detail

    run(scenario)


def test_equal_settings_raise_no_alarm() -> None:
    async def scenario(watched: Watched) -> None:
        await watched.bench.pass_time(100)
        assert watched.control.status().alarms == ()

    run(scenario)
