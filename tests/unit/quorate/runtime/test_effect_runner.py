"""Effects are carried out in order, once, and not at all after a halt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from quorate.archive.reading import NoBoundary
from quorate.consensus.effects import (
    Alarm,
    AppendToLog,
    CloseLink,
    Effect,
    FoundingEnded,
    Halt,
    HaltCode,
    IngressChanged,
    IngressState,
    ReadLog,
    RoleChanged,
    Send,
    ServiceDiverged,
    StoreNodeState,
    Trace,
    TransferEnded,
)
from quorate.consensus.messages import FoundingDiscard
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    Role,
    Seat,
)
from quorate.errors import CorruptRecord
from quorate.runtime import effect_runner
from quorate.service.api import ClientSession, ClusteredService
from quorate_runtime.bench import AgentBench, ingress

TERM = LeadershipTermId(1)


class Roles(ClusteredService):
    """Notes its roles."""

    def __init__(self) -> None:
        self.roles: list[Role] = []

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Take no notice."""

    def on_role_change(self, role: Role) -> None:
        """Note it."""
        self.roles.append(role)


def run(scenario: Callable[[AgentBench, Roles], Awaitable[None]], *, leads: bool = False) -> None:
    """Play a scenario."""

    async def play() -> None:
        service = Roles()
        bench = AgentBench(service)
        if leads:
            await bench.lead()
        else:
            bench.attach()
        await scenario(bench, service)

    asyncio.run(play())


def is_serving(bench: AgentBench) -> bool:
    """Ask the agent anew."""
    return bench.agent.serving


def test_persist_effects_of_a_call_are_one_batch_in_order() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        store, append = StoreNodeState(1, BLANK_NODE_STATE), AppendToLog(2, ())
        send = Send(Seat(1), FoundingDiscard(0))
        bench.effects.carry_out([store, send, append])
        assert bench.recorder.batches == [[store, append]]
        assert bench.links.sent == [(Seat(1), FoundingDiscard(0))]

    run(scenario)


@pytest.mark.parametrize("behind", [[], [Send(Seat(1), FoundingDiscard(0))]])
def test_what_comes_before_a_halt_is_not_written_and_nothing_after_it_is_done(
    behind: list[Effect],
) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        store = StoreNodeState(1, BLANK_NODE_STATE)
        bench.effects.carry_out([store, Halt(HaltCode.DAMAGED, "bad"), *behind])
        assert bench.recorder.batches == []
        assert bench.links.sent == []
        assert bench.halts == [(HaltCode.DAMAGED, "bad")]

    run(scenario)


def test_every_frame_that_goes_to_the_disk_is_counted_whoever_made_it() -> None:
    """A follower's too, and those of terms and timers: what is told is what this disk does."""

    async def scenario(bench: AgentBench, _: Roles) -> None:
        bench.agent.append_entry(ingress(64, 1, [b"x"]))
        await bench.persist_all()
        bench.module.propose_empty(bench.agent.begin_turn())
        await bench.persist_all()
        written = sum(
            len(effect.frames)
            for batch in bench.recorder.batches
            for effect in batch
            if isinstance(effect, AppendToLog)
        )
        assert written == len(bench.recorder.frames) == bench.metrics.log_frames == 4

    run(scenario, leads=True)


def test_a_link_is_closed_and_left_to_the_links_to_count() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        bench.effects.carry_out([CloseLink(Seat(2), "frames out of order")])
        assert bench.links.closed == [(Seat(2), "frames out of order")]
        assert not bench.metrics.refusals(), "once is enough: the reason `consensus` is theirs"

    run(scenario)


def test_the_service_hears_of_a_role_once() -> None:
    async def scenario(bench: AgentBench, service: Roles) -> None:
        leader = RoleChanged(Role.LEADER, TERM, Seat(0), "elected")
        bench.effects.carry_out([leader, leader])
        bench.effects.carry_out([RoleChanged(Role.FOLLOWER, TERM, None, "stepped down")])
        assert service.roles == [Role.LEADER, Role.FOLLOWER]
        assert bench.links.role == (Role.FOLLOWER, TERM), "handshakes say so"

    run(scenario)


@pytest.mark.parametrize("role", Role)
def test_clients_that_wait_and_who_watches_are_told_of_each_change_of_leader(role: Role) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        news: list[None] = []
        bench.agent.on_news = lambda: news.append(None)
        for leader in (Seat(2), None, Seat(1)):
            before = bench.gateway.calls.count("serving changed"), len(news)
            bench.effects.carry_out([RoleChanged(role, TERM, leader, "as told")])
            told = bench.gateway.calls.count("serving changed"), len(news)
            assert told == (before[0] + 1, before[1] + 1)

    run(scenario)


def test_what_is_carried_out_is_logged_with_who_when_and_where(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        caplog.clear()
        caplog.set_level("INFO", "quorate")
        bench.effects.carry_out([RoleChanged(Role.FOLLOWER, TERM, Seat(2), "heard of it")])
        (record,) = caplog.records
        assert vars(record)["event"] == "role_changed"
        assert vars(record)["fields"] == {
            "seat": 0,
            "leadership_term_id": bench.module.term,
            "log_position": bench.module.core.log.end.position,
            "role": "follower",
            "leader": 2,
            "reason": "heard of it",
        }

    run(scenario, leads=True)


@pytest.mark.parametrize(
    ("effect", "lines"),
    [
        (
            CloseLink(Seat(2), "frames out of order"),
            [("frame_refused", {"seat": 2, "reason": "frames out of order"})],
        ),
        (
            IngressChanged(IngressState.STORAGE_FULL),
            [("ingress_changed", {"state": "storage_full"})],
        ),
        (Alarm("a", "told"), [("alarm_raised", {"alarm": "a", "detail": "told"})]),
        (Alarm("a", "", raised=False), [("alarm_cleared", {"alarm": "a"})]),
        (
            TransferEnded(completed=False, target=Seat(1), reason="nobody"),
            [("transfer_ended", {"completed": False, "reason": "nobody"})],
        ),
        (
            FoundingEnded(completed=True, reason="founded"),
            [("founding_ended", {"completed": True, "reason": "founded"})],
        ),
        (
            Halt(HaltCode.DAMAGED, "bad"),
            [("member_halted", {"exit_code": int(HaltCode.DAMAGED), "detail": "bad"})],
        ),
        (Trace("canvass", (("round", 3),)), [("canvass", {"round": 3})]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_done_is_one_line_with_its_fields_and_where_the_log_was(
    caplog: pytest.LogCaptureFixture, effect: Effect, lines: list[tuple[str, dict[str, object]]]
) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        caplog.clear()
        caplog.set_level("INFO", "quorate")
        core = bench.module.core
        place = {
            "seat": 0,
            "leadership_term_id": bench.module.term,
            "log_position": core.log.end.position,
        }
        bench.effects.carry_out([effect])
        found = [(vars(record)["event"], vars(record)["fields"]) for record in caplog.records]
        assert found == [(event, place | fields) for event, fields in lines]

    run(scenario, leads=True)


def test_standing_is_counted_as_an_election() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        bench.effects.carry_out([RoleChanged(Role.CANDIDATE, TERM, None, "stands")])
        assert bench.metrics.elections == 1

    run(scenario)


def test_ingress_is_paused_and_taken_as_the_module_says() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        told = {
            IngressState.PAUSED: ["pause"],
            IngressState.OPEN: ["take ingress", "resume"],
            IngressState.STORAGE_FULL: ["refuse ingress", "resume"],
            IngressState.CLOSED: ["take ingress", "resume", "serving changed"],
        }
        for state, calls in told.items():
            bench.gateway.calls.clear()
            bench.effects.carry_out([IngressChanged(state)])
            assert bench.gateway.calls == calls

    run(scenario)


def test_an_alarm_is_kept_until_it_is_taken_back() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        bench.effects.carry_out([Alarm("clocks_apart", "11 s")])
        assert bench.effects.alarms == {"clocks_apart": "11 s"}
        bench.effects.carry_out([Alarm("clocks_apart", "12 s"), Alarm("other", "x")])
        assert bench.effects.alarms == {"clocks_apart": "12 s", "other": "x"}
        bench.effects.carry_out([Alarm("other", "", raised=False)])
        bench.effects.carry_out([Alarm("clocks_apart", "", raised=False)])
        assert bench.effects.alarms == {}

    run(scenario)


def test_a_known_leader_ends_the_wait_for_a_quorum() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        bench.effects.carry_out([Alarm("waiting_for_quorum", "seat 1")])
        bench.effects.carry_out([RoleChanged(Role.FOLLOWER, TERM, Seat(2), "follows")])
        assert bench.effects.alarms == {}

    run(scenario)


def test_outcomes_reach_those_who_asked_for_that_action_only() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        told: list[tuple[str, bool, str]] = []
        bench.effects.transfer_outcomes.append(lambda done, why: told.append(("t", done, why)))
        bench.effects.founding_outcomes.append(lambda done, why: told.append(("f", done, why)))
        bench.effects.carry_out([TransferEnded(False, Seat(1), "no time")])
        assert told == [("t", False, "no time")]
        bench.effects.carry_out([FoundingEnded(True, "founded")] * 2)
        assert told[1:] == [("f", True, "founded")]

    run(scenario)


@pytest.mark.parametrize(
    ("ended", "found", "discard"),
    [
        (FoundingEnded(True, "founded"), True, False),
        (FoundingEnded(True, "dropped", discarded=True), False, True),
        (FoundingEnded(False, "broken"), False, None),
    ],
)
def test_a_founding_that_another_discards_has_failed_and_the_reverse(
    ended: FoundingEnded,
    found: bool,
    discard: bool | None,
) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        told: dict[str, bool] = {}
        bench.effects.founding_outcomes.append(lambda done, _: told.update(found=done))
        bench.effects.discard_outcomes.append(lambda done, _: told.update(discard=done))
        bench.effects.carry_out([ended])
        assert (told.get("found"), told.get("discard")) == (found, discard)

    run(scenario)


def test_frames_read_for_a_follower_go_back_to_the_module_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        got: list[tuple[Seat, tuple[LogFrame, ...], bool]] = []

        def take(seat: Seat, frames: tuple[LogFrame, ...], *, more: bool = False) -> None:
            got.append((seat, frames, more))

        bench.agent.on_log_read = take  # type: ignore[method-assign]
        bench.effects.carry_out([ReadLog(Seat(1), LogPosition(0), 1 << 20)])
        await asyncio.gather(*bench.tasks)
        ((seat, frames, more),) = got
        assert (seat, more) == (1, False)
        assert [frame.position for frame in frames] == sorted(bench.recorder.frames)
        assert frames[-1].end == bench.module.core.log.end.position
        got.clear()
        bench.tasks.clear()
        for size in range(64, sum(len(frame.data) for frame in frames) + 64, 64):
            monkeypatch.setattr(effect_runner, "READ_PART_BYTES", size)
            bench.effects.carry_out([ReadLog(Seat(1), LogPosition(0), 1 << 20)])
            await asyncio.gather(*bench.tasks)
            assert tuple(frame for _, part, _ in got for frame in part) == frames
            assert [more for _, _, more in got] == [True] * (len(got) - 1) + [False]
            assert size > 64 or [part for _, part, _ in got] == [(frame,) for frame in frames]
            got.clear()
            bench.tasks.clear()
        bench.effects.carry_out([ReadLog(Seat(1), frames[-1].end, 1 << 20)])
        await asyncio.gather(*bench.tasks)
        assert got == [(1, (), False)]

    run(scenario, leads=True)


def test_a_read_for_a_term_that_is_over_may_find_nothing() -> None:
    """Its position may have been cut off since; the same in the present term is damage."""

    async def scenario(bench: AgentBench, _: Roles) -> None:
        async def fail(position: LogPosition, bytes_max: int) -> bytes:
            if bytes_max == 1:
                bench.module._leader = None  # the term ends meanwhile
            raise CorruptRecord(f"no frame at {position}, {bytes_max}")

        bench.recorder.read = fail  # type: ignore[method-assign]
        bench.effects.carry_out([ReadLog(Seat(1), LogPosition(0), 1)])
        (outcome,) = await asyncio.gather(*bench.tasks, return_exceptions=True)
        assert outcome is None
        bench.tasks.clear()
        bench.effects.carry_out([ReadLog(Seat(1), LogPosition(0), 2)])
        (outcome,) = await asyncio.gather(*bench.tasks, return_exceptions=True)
        assert isinstance(outcome, CorruptRecord)

    run(scenario, leads=True)


def test_a_boundary_that_is_none_is_told_to_the_module_and_ends_nobody() -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        told: list[tuple[Seat, LogPosition]] = []

        async def fail(position: LogPosition, _bytes_max: int) -> bytes:
            raise NoBoundary(f"{position} lies within the log frame at 0")

        bench.recorder.read = fail  # type: ignore[method-assign]
        bench.agent.on_no_boundary = lambda *claim: told.append(claim)  # type: ignore[method-assign]
        bench.effects.carry_out([ReadLog(Seat(1), LogPosition(64), 1)])
        await asyncio.gather(*bench.tasks)
        assert told == [(1, 64)]
        bench.tasks.clear()
        bench.effects.carry_out([ReadLog(Seat(1), LogPosition(64), 1)])
        bench.module._leader = None
        await asyncio.gather(*bench.tasks)
        assert told == [(1, 64)], "whoever asked does not lead any more"

    run(scenario, leads=True)


def test_a_read_that_begins_when_its_office_is_over_ends_nobody() -> None:
    """Between the effect and the task's first step a message may have ended the term."""

    async def scenario(bench: AgentBench, _: Roles) -> None:
        async def fail(position: LogPosition, _bytes_max: int) -> bytes:
            raise CorruptRecord(f"no frame at {position}: it was cut off")

        bench.recorder.read = fail  # type: ignore[method-assign]
        bench.effects.carry_out([ReadLog(Seat(1), LogPosition(0), 1)])
        bench.module._leader = None
        (outcome,) = await asyncio.gather(*bench.tasks, return_exceptions=True)
        assert outcome is None

    run(scenario, leads=True)


def test_messages_leave_before_this_member_writes() -> None:
    """The others work meanwhile, and a write may end at once."""

    async def scenario(bench: AgentBench, _: Roles) -> None:
        order: list[str] = []
        bench.links.flush = lambda: order.append("sent")  # type: ignore[method-assign]
        bench.recorder.submit = lambda _: order.append("written")  # type: ignore[method-assign]
        send = Send(Seat(1), FoundingDiscard(0))
        bench.effects.carry_out([StoreNodeState(1, BLANK_NODE_STATE), send])
        assert order == ["sent", "written"]

    run(scenario)


@pytest.mark.parametrize("leads", [False, True])
def test_a_leader_whose_service_has_diverged_hands_over(leads: bool) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        asked: list[Seat | None] = []
        bench.agent.request_transfer = asked.append  # type: ignore[method-assign,assignment]
        bench.effects.carry_out([ServiceDiverged(LogPosition(64), b"own", b"their")])
        assert asked == [None] * leads

    run(scenario, leads=leads)


def test_a_leader_that_cannot_tell_whose_service_is_right_does_not_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(bench: AgentBench, _: Roles) -> None:
        assert is_serving(bench)
        monkeypatch.setattr(ConsensusModule, "is_undecided", property(lambda _: True))
        assert not is_serving(bench)

    run(scenario, leads=True)


def test_a_member_whose_service_has_diverged_applies_and_serves_no_more() -> None:
    async def scenario(bench: AgentBench, service: Roles) -> None:
        assert is_serving(bench)
        position = LogPosition(64)
        bench.effects.carry_out([ServiceDiverged(position, b"own", b"their")])
        bench.effects.carry_out([ServiceDiverged(LogPosition(128), b"own", b"their")])
        assert bench.agent.diverged_at == position
        assert not is_serving(bench)
        assert "64" in bench.effects.alarms["service_diverged"]
        applied = bench.applier.position
        bench.module.propose_empty(bench.agent.begin_turn())
        await bench.turns()
        await bench.persist_all()
        assert bench.module.commit_position > applied, "its log goes on"
        assert bench.applier.position == applied
        roles = list(service.roles)
        bench.effects.carry_out([RoleChanged(Role.FOLLOWER, TERM, None, "stepped down")])
        assert service.roles == roles, "its service is not called any more"

    run(scenario, leads=True)
