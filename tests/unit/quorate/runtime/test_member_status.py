"""The status says what the member is, and every change of it is noticed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.archive.archive import Archive
from quorate.config import ControlConfig, MemberConfig, NodeConfig, SeatAddress
from quorate.consensus.config import Identity
from quorate.consensus.core import Core
from quorate.consensus.effects import Alarm, FoundingEnded, ServiceDiverged
from quorate.consensus.messages import Hello, Refusal
from quorate.consensus.progress import Progress
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
    StartNonce,
)
from quorate.control.status import MemberState, MemberStatus
from quorate.errors import StorageError
from quorate.examples.echo import Echo
from quorate.gateway.gateway import Gateway
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.control_port import MemberControl
from quorate.runtime.effect_runner import EffectRunner
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
        watched.bench.module.core.links[Seat(1)] = life(1)
        assert [row.state for row in watched.report.read(5).members] == ["", "", ""], (
            "before the founding nobody is a stranger"
        )
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


def test_a_leader_tells_of_the_others_as_it_heard_them() -> None:
    async def scenario(watched: Watched) -> None:
        module, bound = watched.bench.module, watched.report._lag_bound()
        leading, core = module.leading, module.core
        assert leading is not None
        await watched.bench.pass_time(2000)
        heard = core.now.loop - 1_500_000_000
        end = core.log.end
        heard_one = Progress(StartNonce(1), end, match=end.position, heard_at=heard, heard=True)
        heard_one.service_position = LogPosition(64)
        silent = Progress(StartNonce(1), end, match=end.position, heard_at=heard)
        leading.progress.update({Seat(1): heard_one, Seat(2): silent})
        _, one, two = watched.report.read(1).members
        assert (one.append_position, one.service_position) == (end.position, 64)
        assert (one.last_contact_ms, two.last_contact_ms) == (1500, -1)
        assert (one.state, two.state) == ("", "")
        heard_one.match = LogPosition(end.position - bound - 1)
        silent.match = LogPosition(end.position - bound)
        _, one, two = watched.report.read(1).members
        assert (one.state, two.state) == ("catching-up", "")

    run(scenario)


def test_what_is_written_is_not_yet_durable() -> None:
    async def scenario(watched: Watched) -> None:
        before = watched.report.read(1)
        watched.bench.module.propose_empty(watched.bench.agent.begin_turn())
        await watched.bench.turns()
        after = watched.report.read(1)
        assert after.append_position == before.append_position < after.written_position
        assert after.members[0].append_position == before.append_position

    run(scenario)


def test_digests_that_were_compared_come_before_the_present_one() -> None:
    async def scenario(watched: Watched) -> None:
        agent = watched.bench.agent
        crossed = [(LogPosition(n), bytes([n])) for n in range(12)]
        agent.applier.container.take_digests = lambda: crossed  # type: ignore[method-assign]
        watched.bench.module.propose_empty(agent.begin_turn())
        await watched.bench.persist_all()
        rows = watched.report.read(1).digests
        assert [row.digest for row in rows[:-1]] == [f"{n:02x}" for n in range(4, 12)]
        assert rows[-1].digest == agent.applier.container.digest.hex()

    run(scenario)


_NOBODY, _NO_EFFECTS = cast("Identity", None), cast("EffectRunner", None)


@pytest.mark.parametrize("leads", [False, True])
@given(st.tuples(*[st.integers(0, 4)] * 4), st.booleans(), st.integers(0, 3))
def test_caught_up_is_to_know_the_leader_and_to_be_within_a_bound_of_it(
    leads: bool, numbers: tuple[int, int, int, int], serves: bool, bound: int
) -> None:
    written, committed, checked, applied = numbers
    module = SimpleNamespace(
        leader=Seat(1),
        role=Role.LEADER if leads else Role.FOLLOWER,
        core=SimpleNamespace(log=SimpleNamespace(end=SimpleNamespace(position=written))),
        commit_position=committed,
        following=SimpleNamespace(checked=checked, caught_up_lag=max(0, written - checked)),
    )
    applier = SimpleNamespace(position=applied)
    agent = SimpleNamespace(module=module, applier=applier, serving=serves)
    report = StatusReport(make_config(3), _NOBODY, cast("ConsensusAgent", agent), _NO_EFFECTS)
    is_near = written - applied <= bound
    if not leads:
        is_near = checked > 0 and written - checked <= bound and committed - applied <= bound
    assert report.is_caught_up(bound) == (is_near or (leads and serves))
    module.leader = None
    assert not report.is_caught_up(bound)


def test_each_gauge_is_read_where_it_is_counted() -> None:
    async def scenario(watched: Watched) -> None:
        names = ("ingress_messages", "ingress_bytes", "egress_messages", "egress_bytes")
        counts = {name: 100 + index for index, name in enumerate(names)}
        member = watched.control._member
        member.gateway = cast("Gateway", SimpleNamespace(**counts, connections={1, 2, 3}))
        member.metrics = watched.bench.metrics
        archive = SimpleNamespace(
            spares_run_out_count=7,
            spares=SimpleNamespace(ready_count=5),
            free_bytes=lambda: 1 << 40,
            space_low=True,
        )
        member.archive = cast("Archive", archive)
        gauges = watched.control.gauges()
        assert {name: getattr(member.metrics, name) for name in names} == counts
        assert member.metrics.spares_exhausted == 7
        assert (gauges.client_connections, gauges.spares) == (3, 5)
        assert (gauges.disk_free_bytes, gauges.storage_low) == (1 << 40, True)
        assert (gauges.sessions, gauges.timers, gauges.kept_egress_bytes) == (0, 0, 0)

        def sick() -> int:
            raise StorageError("asking for the free space: Input/output error")

        archive.free_bytes = sick
        assert math.isnan(watched.control.gauges().disk_free_bytes)

    run(scenario)


def test_a_member_that_ends_is_not_ready_though_it_is_caught_up() -> None:
    async def scenario(watched: Watched) -> None:
        assert watched.control.ready().ok
        watched.bench.agent.is_stopping = True
        assert watched.control.ready() == (False, "stopping")
        watched.bench.agent.is_stopping = False
        watched.bench.agent.diverged_at = LogPosition(64)
        assert not watched.control.ready().ok

    run(scenario)


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("founding_state", FoundingState.BROKEN, MemberState.FOUNDING_BROKEN),
        ("founding_state", FoundingState.FOUNDING, MemberState.FOUNDING),
        ("is_voter", False, MemberState.LEARNER),
        ("is_voter", True, MemberState.LEADER),
    ],
)
def test_a_state_has_its_word(
    name: str, value: object, state: MemberState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(watched: Watched) -> None:
        monkeypatch.setattr(Core, name, property(lambda _: value))
        assert watched.report.read(1).state is state

    run(scenario)


def test_a_life_is_named_by_sixteen_digits() -> None:
    async def scenario(watched: Watched) -> None:
        assert watched.report.read(1).start_nonce == f"{1:016x}"

    run(scenario)


@pytest.mark.parametrize("after", [0, 1 << 40])
def test_who_knows_another_version_is_answered_at_once(after: int) -> None:
    """Also a later one, which it has from an earlier life of the member."""

    async def scenario(watched: Watched) -> None:
        async with asyncio.timeout(20):
            await watched.control.wait_status(after)

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


@pytest.mark.parametrize("reason", [RecoveringReason.DAMAGED, RecoveringReason.LOSS_ACCEPTED])
def test_who_lost_the_whole_log_says_what_it_waits_for(
    reason: RecoveringReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No alarm does: without a log it knows no voters, and never comes to stand."""

    async def scenario(watched: Watched) -> None:
        core = watched.bench.module.core
        monkeypatch.setattr(Core, "founding_state", FoundingState.FOUNDED)
        lost = Recovering(reason, LeadershipTermId(1), LogPosition(64))
        core.node_state = core.node_state._replace(recovering=lost)
        assert core.log.end.position == 0
        status = watched.report.read(1)
        assert status.state in (MemberState.RECOVERING, MemberState.LEARNER)
        assert "no vote before a leader has sent it one" in status.reason

    run(scenario, leads=False)


def test_who_is_recovering_with_a_log_says_nothing_of_a_lost_one() -> None:
    async def scenario(watched: Watched) -> None:
        core = watched.bench.module.core
        lost = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(1), LogPosition(1 << 20))
        core.node_state = core.node_state._replace(recovering=lost)
        status = watched.report.read(1)
        assert (status.state, status.reason) == (MemberState.RECOVERING, "")

    run(scenario)


def test_a_blank_directory_in_a_known_seat_is_reported_by_the_others() -> None:
    async def scenario(watched: Watched) -> None:
        core = watched.bench.module.core
        peer = life(1)
        core.links[Seat(1)] = peer
        assert not watched.report.read(1).members[1].connected, "nothing can be founded over it yet"
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
        core._member_ids[Seat(1)] = peer.member_id
        assert watched.report.read(1).members[1].state == ""
        lost = Recovering(RecoveringReason.UNSYNCED, LeadershipTermId(1), LogPosition(64))
        core.hellos[Seat(1)] = replace(hello, recovering=lost)
        assert watched.report.read(1).members[1].state == "recovering"
        leading = watched.bench.module.leading
        assert leading is not None
        leading.progress[Seat(1)] = Progress(StartNonce(1), LOG_START)
        watched.report._config = replace(
            make_config(3), control=ControlConfig(ready_lag_bytes_max=0)
        )
        assert watched.report.read(1).members[1].state == "recovering", "more than to be behind"
        core.hellos[Seat(1)] = hello
        assert watched.report.read(1).members[1].state == "catching-up"

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


def test_an_alarm_in_the_place_of_another_is_news() -> None:
    async def scenario(watched: Watched) -> None:
        alarms = watched.bench.effects.alarms
        alarms.update(one="a")
        await watched.bench.pass_time(50)
        before = watched.control.status()
        del alarms["one"]
        alarms.update(two="b")
        await watched.bench.pass_time(50)
        assert watched.control.status().status_version > before.status_version

    run(scenario)


@pytest.mark.parametrize("discard", [False, True])
def test_a_request_to_found_waits_for_its_own_kind_of_outcome(
    monkeypatch: pytest.MonkeyPatch,
    *,
    discard: bool,
) -> None:
    async def scenario(watched: Watched) -> None:
        told: list[bool] = []
        monkeypatch.setattr(watched.bench.agent, "request_found", lambda **_: None)
        refused = watched.control.found(discard=discard, on_outcome=lambda d, _: told.append(d))
        assert refused is None
        watched.bench.effects.carry_out([FoundingEnded(True, "ended", discarded=True)])
        assert told == [discard]

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
        assert effects.founding_outcomes == effects.discard_outcomes == []

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
        version = watched.control.status().status_version
        await watched.bench.pass_time(200)
        assert watched.control.status().status_version == version

    run(scenario)


def test_equal_settings_raise_no_alarm() -> None:
    async def scenario(watched: Watched) -> None:
        await watched.bench.pass_time(100)
        assert watched.control.status().alarms == ()

    run(scenario)
