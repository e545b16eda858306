"""What surrounds a callback: what it leads to, what if it raises, what egress is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config import ClusterSettings, OnError
from quorate.config.validation import find_problems
from quorate.consensus.types import Role
from quorate.errors import ServiceFailed
from quorate.protocol.batch import (
    EGRESS_HEADER_LENGTH,
    EgressError,
    EgressKind,
    EgressMessage,
    decode_error_payload,
)
from quorate.protocol.entry_bodies import CloseReason
from quorate.service.api import ClientSession, ClusteredService, LimitExceeded
from quorate.service.outbox import EgressBatch
from quorate.service.sessions import KEPT_BATCH_BYTES
from quorate.testing import HarnessSession, ServiceHarness
from quorate_services import Scripted
from quorate_wire.configuration import VALID


def tolerant(**changes: int) -> ServiceHarness:
    settings = ClusterSettings(**changes)  # type: ignore[arg-type]
    return ServiceHarness(Scripted, settings=settings, tolerate_failures=True)


def journal(harness: ServiceHarness) -> list[str]:
    assert isinstance(harness.service, Scripted)
    return harness.service.journal


def errors(client: HarnessSession) -> list[EgressMessage]:
    return [message for message in client.egress if message.kind is EgressKind.ERROR]


def test_a_failing_callback_leaves_nothing_but_an_error_for_its_client() -> None:
    harness = tolerant()
    client, other = harness.open_session(), harness.open_session()
    client.send(b"timer 8 100")
    before = harness.container.sessions()
    answers = client.send(
        b"say a",
        b"say dropped;tell 1 dropped;timer 9 5;cancel 8;kick 1;close;fail",
        b"say c",
    )
    assert answers == [b"a", b"c"]
    assert other.egress == []
    assert other.send(b"quiet", b"say x") == [b"x"], "what was dropped does not come later"
    assert harness.container.next_timer_deadline == harness.time + 100
    assert [view.session_id for view in harness.container.sessions()] == [
        view.session_id for view in before
    ]
    (error,) = errors(client)
    assert error.error_code == EgressError.CALLBACK_FAILED
    assert error.ingress_sequence == 3
    position = harness.applied[-2].frame.position + 64
    assert decode_error_payload(error.payload) == position
    (failure,) = harness.failures
    assert failure.callback == "on_session_message"
    assert (failure.session_id, failure.ingress_sequence) == (client.session_id, 3)
    assert failure.log_position == position
    assert "the script says so" in str(failure.error)
    assert harness.container.counters["callback_failures"] == 1
    assert b"script says" not in b"".join(message.payload for message in client.egress)


def test_a_message_to_itself_is_dropped_with_the_callback_that_sent_it() -> None:
    class Sending(Scripted):
        def _run(self, session: object, script: bytes) -> None:
            if script == b"send and fail":
                self.cluster.offer(b"never")
                raise ValueError
            super()._run(session, script)  # type: ignore[arg-type]

    harness = ServiceHarness(Sending, tolerate_failures=True)
    harness.open_session().send(b"send and fail")
    assert not any("never" in line for line in journal(harness))


def test_a_callback_that_returns_something_has_failed() -> None:
    harness = tolerant()
    client = harness.open_session()
    assert client.send(b"answer") == []
    assert len(errors(client)) == 1
    assert isinstance(harness.failures[0].error, TypeError)


def test_an_open_that_fails_leaves_the_session_open_with_an_error() -> None:
    harness = tolerant()
    client = harness.open_session(name="say dropped;fail")
    assert client.closed is None
    (error,) = client.egress
    assert error.kind is EgressKind.ERROR
    assert error.ingress_sequence == 0
    assert client.send(b"say on") == [b"on"]


def test_a_close_that_fails_ends_the_session_all_the_same() -> None:
    harness = tolerant()
    client = harness.open_session(principal=b"tell 0 dropped;fail")
    other = harness.open_session()
    client.close()
    assert client.closed is CloseReason.CLIENT
    assert other.egress == []
    assert harness.failures[0].callback == "on_session_close"


def test_a_timer_that_fails_is_told_to_nobody_and_does_not_come_back() -> None:
    harness = tolerant()
    client = harness.open_session()
    client.send(b"at 1 timer 1 5;fail", b"timer 1 5")
    harness.advance(50)
    assert client.egress == []
    assert harness.next_timer_deadline is None
    assert harness.failures[0].callback == "on_timer"
    assert harness.failures[0].session_id == 0


@pytest.mark.parametrize(
    ("script", "callback"),
    [
        (b"fail", "on_session_message"),
        (b"self fail", "on_session_message"),
        (b"kick 1", "on_session_close"),
        (b"at 1 fail", "on_timer"),
        (b"quiet", "on_role_change"),
    ],
)
def test_the_policy_to_halt_halts_whatever_has_failed(script: bytes, callback: str) -> None:
    class Roles(Scripted):
        def on_role_change(self, role: Role) -> None:
            raise ValueError(role)

    harness = ServiceHarness(
        Roles, settings=ClusterSettings(on_error=OnError.HALT), tolerate_failures=True
    )
    client = harness.open_session()
    harness.open_session(principal=b"fail")
    client.send(b"timer 1 5")

    def go_on() -> None:
        client.send(script)
        harness.advance(5)
        harness.change_role(Role.LEADER)

    with pytest.raises(ServiceFailed, match=f"{callback} failed at log position"):
        go_on()
    assert len(harness.failures) == 1


def test_messages_to_itself_come_right_behind_what_sent_them_first_in_first_out() -> None:
    harness = tolerant()
    client = harness.open_session()
    client.send(b"say 1;self tell 0 2;self tell 0 3", b"say 4")
    assert client.egress == [
        EgressMessage(EgressKind.MESSAGE, 0, 1, b"1"),
        EgressMessage(EgressKind.MESSAGE, 0, 1, b"2"),
        EgressMessage(EgressKind.MESSAGE, 0, 1, b"3"),
        EgressMessage(EgressKind.MESSAGE, 0, 2, b"4"),
    ]
    assert [line.split(" ", 3)[1] for line in journal(harness)[1:]] == [
        str(client.session_id),
        "None",
        "None",
        str(client.session_id),
    ]


def test_two_messages_to_itself_are_applied_in_the_order_sent() -> None:
    class Twice(Scripted):
        def _run(self, session: object, script: bytes) -> None:
            if script == b"twice":
                self.cluster.offer(b"tell 0 a;self tell 0 c")
                self.cluster.offer(b"tell 0 b")
            else:
                super()._run(session, script)  # type: ignore[arg-type]

    harness = ServiceHarness(Twice)
    client = harness.open_session()
    assert client.send(b"twice") == [b"a", b"b", b"c"]


def test_a_timer_and_an_open_may_send_messages_to_itself_too() -> None:
    harness = tolerant()
    client = harness.open_session(name="self tell 0 welcome")
    assert client.receive() == [b"welcome"]
    client.send(b"at 1 self tell 0 tick", b"timer 1 5")
    harness.advance(5)
    assert client.receive() == [b"timer 1", b"tick"]
    assert [message.ingress_sequence for message in client.egress] == [0, 0, 0]


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_a_message_to_itself_that_loops_fails_at_the_limit(limit: int) -> None:
    harness = tolerant(self_messages_max=limit)
    client = harness.open_session()
    assert client.send(b"loop", b"say after") == [b"after"]
    (failure,) = harness.failures
    assert isinstance(failure.error, LimitExceeded)
    looped = [line for line in journal(harness) if "None" in line]
    assert len(looped) == limit
    (error,) = errors(client)
    assert error.ingress_sequence == 1


def test_every_root_has_the_whole_limit() -> None:
    harness = tolerant(self_messages_max=2)
    client = harness.open_session()
    scripts = [b"self self tell 0 x"] * 4
    assert client.send(*scripts) == [b"x"] * 4
    assert not harness.failures


def test_a_message_to_itself_is_bytes_within_the_limit() -> None:
    harness = tolerant(message_bytes_max=30)
    client = harness.open_session()

    class Wrong(Scripted):
        def _run(self, session: object, script: bytes) -> None:
            self.cluster.offer("text" if script == b"text" else bytes(31))  # type: ignore[arg-type]

    harness = ServiceHarness(
        Wrong, settings=ClusterSettings(message_bytes_max=30), tolerate_failures=True
    )
    client = harness.open_session()
    client.send(b"text", b"long")
    assert [type(failure.error) for failure in harness.failures[-2:]] == [TypeError, LimitExceeded]


def test_news_for_others_carry_no_sequence() -> None:
    harness = tolerant()
    client, other = harness.open_session(), harness.open_session()
    client.send(b"quiet", b"tell 1 news;say answer")
    assert other.egress == [EgressMessage(EgressKind.MESSAGE, 0, 0, b"news")]
    assert client.egress == [EgressMessage(EgressKind.MESSAGE, 0, 2, b"answer")]


def test_a_session_that_the_service_ends_hears_what_was_said_before() -> None:
    harness = tolerant()
    client = harness.open_session(principal=b"tell 0 one left")
    other = harness.open_session()
    assert client.send(b"kick 0;say farewell;self tell 0 too late") == [b"farewell"]
    assert client.closed is CloseReason.SERVICE
    assert other.receive() == [b"one left", b"too late"]
    assert [line.split(" ")[0] for line in journal(harness)] == [
        "open",
        "open",
        "message",
        "close",
        "message",
    ]


def test_sessions_that_end_may_end_others() -> None:
    harness = tolerant()
    sessions = [harness.open_session(principal=b"kick 0;tell 1 next") for _ in range(4)]
    sessions[0].send(b"close")
    assert [session.closed for session in sessions] == [CloseReason.SERVICE] * 4
    assert harness.container.sessions() == []


def test_sessions_end_in_the_order_in_which_that_was_asked() -> None:
    harness = tolerant()
    asking, *others = [harness.open_session() for _ in range(5)]
    asking.send(b"kick 3;kick 1;kick 4;kick 2")
    closed = [int(line.split()[1]) for line in journal(harness) if line.startswith("close")]
    assert closed == [others[index].session_id for index in (2, 0, 3, 1)]


def test_a_session_is_ended_once_however_often_asked() -> None:
    harness = tolerant()
    client = harness.open_session()
    client.send(b"close;kick 0;close")
    assert sum(line.startswith("close") for line in journal(harness)) == 1


def test_who_keeps_too_much_egress_is_ended_without_it() -> None:
    harness = tolerant(kept_egress_bytes_max=40)
    client, other = harness.open_session(principal=b"tell 0 it left"), harness.open_session()
    assert client.send(b"say " + b"x" * 24) == [b"x" * 24]
    client.send(b"say y")
    assert client.closed is CloseReason.KEPT_EGRESS
    assert harness.container.refusals["kept_egress"] == 1
    assert client.receive() == []
    assert other.receive() == [b"it left"]


@pytest.mark.parametrize("spare", [0, -1])
def test_the_least_limit_that_a_configuration_may_set_holds_one_longest_answer(spare: int) -> None:
    class EchoesLoud(ClusteredService):
        def on_session_message(
            self, session: ClientSession | None, timestamp: int, message: bytes
        ) -> None:
            if session is not None and message != b"quiet":
                session.offer(message)

    longest = 64
    limit = longest + EGRESS_HEADER_LENGTH + KEPT_BATCH_BYTES + spare
    settings = ClusterSettings(message_bytes_max=longest, kept_egress_bytes_max=limit)
    client = ServiceHarness(EchoesLoud, settings=settings).open_session()
    client.send(b"x" * longest)
    client.send(b"quiet")
    assert (client.closed is None) is (spare == 0)
    problems = list(find_problems(replace(VALID, settings=settings)))
    assert (problems == []) is (spare == 0)


def test_acknowledged_egress_does_not_count() -> None:
    harness = tolerant(kept_egress_bytes_max=40)
    client = harness.open_session()
    for _ in range(5):
        assert client.send(b"say " + b"x" * 24) == [b"x" * 24]
        client.acknowledge()


def test_of_all_together_who_keeps_most_is_ended_then_the_lowest_id() -> None:
    harness = tolerant(kept_egress_total_bytes_max=60 + 3 * KEPT_BATCH_BYTES)
    first, second, third = (harness.open_session() for _ in range(3))
    first.send(b"say 1234")
    second.send(b"say 1234")
    assert harness.container.sessions()[0].kept_egress_bytes == 20 + KEPT_BATCH_BYTES
    assert harness.container.kept_egress_bytes == 2 * (20 + KEPT_BATCH_BYTES)
    third.send(b"say 1234")
    assert [s.closed for s in (first, second, third)] == [None] * 3
    third.send(b"quiet;tell 0 x")
    assert first.closed is CloseReason.KEPT_EGRESS_TOTAL
    second.send(b"tell 1 " + b"y" * 140)
    assert third.closed is CloseReason.KEPT_EGRESS_TOTAL
    assert harness.container.refusals["kept_egress_total"] == 2
    assert second.closed is None


def test_news_that_tell_of_an_end_may_end_others() -> None:
    harness = tolerant(kept_egress_bytes_max=40)
    first = harness.open_session(principal=b"tell 0 " + b"x" * 30)
    second = harness.open_session(principal=b"tell 0 bye")
    third = harness.open_session()
    first.send(b"say " + b"x" * 30)
    assert first.closed is CloseReason.KEPT_EGRESS
    assert second.closed is CloseReason.KEPT_EGRESS
    assert third.receive() == [b"bye"]


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=5),
    st.integers(16, 28),
    st.integers(1, 5),
    st.integers(-1, 1),
)
def test_nobody_is_ended_for_kept_egress_who_need_not_be(
    lengths: list[int], each_max: int, together: int, near: int
) -> None:
    """First who is over the limit of one, then who keeps most until all are within theirs."""
    total_max = sum(sorted(EGRESS_HEADER_LENGTH + n for n in lengths)[:together]) + near
    limits = {"kept_egress_bytes_max": each_max, "kept_egress_total_bytes_max": total_max}
    harness = tolerant(**limits)
    clients = [harness.open_session() for _ in lengths]
    news = [b"tell %d %b" % (index, b"x" * length) for index, length in enumerate(lengths)]
    harness.open_session().send(b";".join(reversed(news)))
    kept = {index: EGRESS_HEADER_LENGTH + length for index, length in enumerate(lengths)}
    expected: dict[int, CloseReason] = {}
    for index, size in enumerate(list(kept.values())):
        if size > each_max:
            expected[index] = CloseReason.KEPT_EGRESS
            del kept[index]
    while sum(kept.values()) > total_max:
        index = max(kept, key=lambda index: (kept[index], -index))
        expected[index] = CloseReason.KEPT_EGRESS_TOTAL
        del kept[index]
    assert {i: client.closed for i, client in enumerate(clients) if client.closed} == expected
    assert [
        row.session_id for row in harness.applied[-1].outbox if isinstance(row, EgressBatch)
    ] == [clients[index].session_id for index in kept], "by session"


@pytest.mark.parametrize("how", [b"close", b"kick 0", b"timer 1 0"])
def test_whatever_is_offered_to_a_session_that_has_ended_is_dropped(how: bytes) -> None:
    class Late(Scripted):
        def on_session_close(self, session: ClientSession, timestamp: int, reason: object) -> None:
            session.offer(b"x" * 100)
            session.offer("not even bytes")  # type: ignore[arg-type]
            session.close()

        def on_timer(self, timer_id: int, timestamp: int) -> None:
            for session in list(self.cluster.sessions.values()):
                session.close()

    harness = ServiceHarness(Late, settings=ClusterSettings(message_bytes_max=60))
    client = harness.open_session()
    client.send(how)
    harness.advance(5)
    assert client.closed is CloseReason.SERVICE
    assert harness.failures == []
    assert client.receive() == []


@given(st.permutations([b"timer 1 7", b"timer 2 7", b"timer 3 5", b"cancel 4"]))
def test_the_order_in_which_one_callback_sets_timers_does_not_show(scripts: list[bytes]) -> None:
    digests = set()
    for ordered in (sorted(scripts), scripts):
        harness = tolerant()
        client = harness.open_session()
        client.send(b"timer 4 9")
        client.send(b";".join(ordered))
        digests.add(harness.digest)
    assert len(digests) == 1


def test_timers_are_limited() -> None:
    harness = tolerant(timers_max=2)
    client = harness.open_session()
    client.send(b"timer 1 5;timer 2 5", b"timer 1 6;timer 2 7", b"timer 3 1")
    assert [type(failure.error) for failure in harness.failures] == [LimitExceeded]
    client.send(b"cancel 1;timer 3 1", b"timer 1 4", b"cancel 3;cancel 3;cancel 9;timer 1 4")
    assert [type(failure.error) for failure in harness.failures] == [LimitExceeded] * 2
    harness.advance(10)
    assert client.receive() == [b"timer 1", b"timer 2"]


def test_only_timers_that_are_pending_count() -> None:
    harness = tolerant(timers_max=2)
    client = harness.open_session()
    for _ in range(4):
        client.send(b"timer 1 1;timer 2 1;cancel 2;timer 3 1")
        harness.advance(1)
    assert not harness.failures
    assert [message.payload for message in client.egress] == [b"timer 1", b"timer 3"] * 4


@pytest.mark.parametrize(("timer_id", "error"), [(-1, ValueError), (2**63, ValueError)])
def test_timer_ids_are_numbers_that_a_snapshot_can_hold(
    timer_id: int, error: type[Exception]
) -> None:
    harness = tolerant()
    client = harness.open_session()
    client.send(b"timer %d 5" % timer_id, b"timer %d 5" % (2**63 - 1))
    assert [type(failure.error) for failure in harness.failures] == [error]


@pytest.mark.parametrize("wrong", ["1", 1.0, True, None])
def test_timers_take_integers(wrong: object) -> None:
    class Wrong(Scripted):
        def _run(self, session: object, script: bytes) -> None:
            if script == b"id":
                self.cluster.schedule_timer(wrong, 1)  # type: ignore[arg-type]
            elif script == b"deadline":
                self.cluster.schedule_timer(1, wrong)  # type: ignore[arg-type]
            elif script == b"cancel":
                self.cluster.cancel_timer(wrong)  # type: ignore[arg-type]

    harness = ServiceHarness(Wrong, tolerate_failures=True)
    harness.open_session().send(b"id", b"deadline", b"cancel")
    assert [type(failure.error) for failure in harness.failures] == [TypeError] * 3


def test_cancelling_tells_whether_there_was_a_timer() -> None:
    told: list[bool] = []

    class Telling(Scripted):
        def _run(self, session: object, script: bytes) -> None:
            if script == b"tell":
                told.append(self.cluster.cancel_timer(1))
                self.cluster.schedule_timer(1, 2**60)
                told.append(self.cluster.cancel_timer(1))
                told.append(self.cluster.cancel_timer(1))
                self.cluster.schedule_timer(1, 2**60)

    harness = ServiceHarness(Telling)
    harness.open_session().send(b"tell", b"tell")
    assert told == [False, True, False, True, True, False]


def test_a_session_whose_end_was_asked_for_twice_ends_once() -> None:
    harness = tolerant()
    first = harness.open_session(principal=b"kick 0")
    second = harness.open_session()
    first.send(b"close;kick 1")
    assert second.closed is CloseReason.SERVICE
    assert sum(line.startswith("close") for line in journal(harness)) == 2


def test_of_several_that_keep_too_much_the_oldest_ends_first() -> None:
    harness = tolerant(kept_egress_bytes_max=40)
    first, second, third = (harness.open_session() for _ in range(3))
    long = b"x" * 30
    third.send(b"tell 1 %b;tell 0 %b" % (long, long))
    closes = [line.split(" ")[1] for line in journal(harness) if line.startswith("close")]
    assert closes == [str(first.session_id), str(second.session_id)]
