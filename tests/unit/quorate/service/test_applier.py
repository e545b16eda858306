"""What each kind of frame and entry means."""

from __future__ import annotations

from itertools import pairwise

import pytest

from quorate.config import ClusterSettings
from quorate.consensus.types import (
    FrameType,
    LeadershipTermId,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Seat,
)
from quorate.errors import InvariantBroken
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.entry_bodies import (
    CloseReason,
    SessionOpenBody,
    encode_session_close,
    encode_session_open,
)
from quorate.protocol.log_codec import EntryType, UnknownFormat, encode_entry
from quorate.protocol.term_codec import TermBody, encode_settings, encode_term
from quorate.service.applier import JUDGED_EVERY
from quorate.service.container import ServiceContainer
from quorate.service.outbox import (
    EgressBatch,
    Outbound,
    SequenceGap,
    SessionClosed,
    SessionOpened,
)
from quorate.testing import HarnessSession, ServiceHarness
from quorate.testing.determinism import apply_whole
from quorate_services import Scripted


def journal(harness: ServiceHarness) -> list[str]:
    assert isinstance(harness.service, Scripted)
    return harness.service.journal


def last_outbox(harness: ServiceHarness) -> tuple[Outbound, ...]:
    return harness.applied[-1].outbox


def opening(key: int, session_id: int = 0) -> bytes:
    body = encode_session_open(SessionOpenBody(key.to_bytes(16, "big"), b"bob", "a name"))
    return encode_entry(EntryType.SESSION_OPEN, session_id, body)


def apply(harness: ServiceHarness, *entries: bytes) -> tuple[Outbound, ...]:
    body = b"".join(entries)
    harness.append_frame(FrameType.ENTRIES, body, len(entries), timestamp=harness.time)
    return last_outbox(harness)


def ingress(
    client: HarnessSession, first: int, *messages: bytes, count: int | None = None, ack: int = 0
) -> bytes:
    return encode_entry(
        EntryType.SESSION_INGRESS,
        client.session_id,
        encode_ingress_batch(messages),
        first_sequence=first,
        message_count=len(messages) if count is None else count,
        egress_acknowledged=ack,
    )


def test_a_session_is_named_after_the_position_of_its_open_entry() -> None:
    harness = ServiceHarness(Scripted)
    apply(harness, opening(1), opening(2))
    frame = harness.applied[-1].frame
    first = frame.position + 64
    second = first + len(opening(1))
    assert last_outbox(harness)[:1] == (SessionOpened(first, (1).to_bytes(16, "big")),)
    assert [view.session_id for view in harness.container.sessions()] == [first, second]
    assert [(view.principal, view.name) for view in harness.container.sessions()] == [
        (b"bob", "a name")
    ] * 2


def test_an_open_with_the_key_of_a_live_session_is_a_resume() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a")
    for named in (0, client.session_id):
        resumed = SessionOpened(client.session_id, (1).to_bytes(16, "big"))
        assert apply(harness, opening(1, named)) == (resumed,)
    assert len(harness.container.sessions()) == 1
    assert sum(line.startswith("open") for line in journal(harness)) == 1
    view = harness.container.session(client.session_id)
    assert view is not None
    assert view.last_ingress_sequence == 1


@pytest.mark.parametrize("key", [1, 7])
def test_an_open_that_names_a_session_never_makes_one(key: int) -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    gone = harness.open_session()
    gone.close()
    apply(harness, opening(key, gone.session_id))
    expected = SessionClosed(gone.session_id, CloseReason.EXPIRED, key.to_bytes(16, "big"))
    assert last_outbox(harness) == (expected,)
    assert [view.session_id for view in harness.container.sessions()] == [client.session_id]


def test_the_session_beyond_the_limit_is_refused_and_one_that_ends_makes_room() -> None:
    harness = ServiceHarness(Scripted, settings=ClusterSettings(sessions_max=1))
    client = harness.open_session()
    refused = harness.open_session()
    assert refused.closed is CloseReason.SESSIONS
    (closed,) = last_outbox(harness)
    assert isinstance(closed, SessionClosed)
    assert closed.key_hash == (2).to_bytes(16, "big")
    assert closed.session_id == harness.applied[-1].frame.position + 64, "that of the entry"
    assert harness.container.counters["sessions_refused"] == 1
    client.close()
    assert harness.open_session().closed is None
    assert journal(harness)[1:2] == [f"close {client.session_id} {harness.time} CLIENT"]


def test_an_open_with_a_bad_body_is_a_broken_log() -> None:
    harness = ServiceHarness(Scripted)
    with pytest.raises(InvariantBroken):
        apply(harness, encode_entry(EntryType.SESSION_OPEN, 0, b"short"))


def test_a_close_of_a_session_that_has_ended_says_nothing() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.close()
    client.close()
    assert last_outbox(harness) == ()
    assert len(journal(harness)) == 2


def test_a_reason_of_a_later_release_halts() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    with pytest.raises(UnknownFormat):
        apply(harness, encode_entry(EntryType.SESSION_CLOSE, client.session_id, b"\xfe"))


def test_ingress_of_a_session_that_has_ended_is_counted_and_ignored() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.close()
    client.send(b"say a")
    assert last_outbox(harness) == ()
    assert harness.container.counters["ingress_of_ended_sessions"] == 1
    assert harness.container.counters["ingress_messages"] == 0


def test_a_batch_beyond_the_next_sequence_is_ignored_whole_but_acknowledges() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a", b"say b")
    outbox = apply(harness, ingress(client, 4, b"say d", ack=2))
    assert outbox == (SequenceGap(client.session_id, 3),)
    assert harness.container.counters["ingress_gaps"] == 1
    view = harness.container.session(client.session_id)
    assert view is not None
    assert (view.last_ingress_sequence, view.egress_acknowledged) == (2, 2)
    assert view.kept_egress_bytes == 0


def test_what_a_gap_holds_is_not_even_looked_at() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    apply(harness, ingress(client, 9, b"x", count=77))
    assert client.closed is None


def test_a_batch_applied_before_is_skipped_but_acknowledges() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a", b"say b")
    assert apply(harness, ingress(client, 1, b"say a", b"say b", ack=1)) == ()
    assert harness.container.counters["ingress_duplicates"] == 2
    view = harness.container.session(client.session_id)
    assert view is not None
    assert view.egress_acknowledged == 1


def test_of_an_overlap_only_the_new_part_is_applied() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a", b"say b")
    (batch,) = apply(harness, ingress(client, 2, b"say b", b"say c"))
    assert isinstance(batch, EgressBatch)
    assert (batch.last_ingress_sequence, batch.first_egress_sequence) == (3, 3)
    assert client.receive() == [b"c"]
    assert harness.container.counters["ingress_duplicates"] == 1


def test_of_an_old_batch_no_more_is_counted_than_it_holds() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(*[b"quiet"] * 9)
    apply(harness, ingress(client, 1, b"quiet", b"quiet"))
    assert harness.container.counters["ingress_duplicates"] == 2
    assert harness.container.counters["sessions_opened"] == 1


def test_a_batch_without_messages_changes_nothing() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    assert apply(harness, ingress(client, 1)) == ()
    assert client.closed is None


@pytest.mark.parametrize("count", [1, 3, 2**32 - 1])
def test_a_batch_that_does_not_split_into_its_count_ends_the_session(count: int) -> None:
    harness = ServiceHarness(Scripted)
    client, other = harness.open_session(principal=b"tell 0 it left"), harness.open_session()
    apply(harness, ingress(client, 1, b"say a", b"say b", count=count))
    assert client.closed is CloseReason.BAD_BATCH
    assert not client.egress, "not applied at all"
    assert other.receive() == [b"it left"]


def test_a_message_beyond_the_limit_ends_the_session() -> None:
    harness = ServiceHarness(Scripted, settings=ClusterSettings(message_bytes_max=20))
    client, greedy = harness.open_session(), harness.open_session()
    assert client.send(b"say " + b"x" * 16) == [b"x" * 16]
    greedy.send(b"say a", b"say " + b"x" * 17)
    assert greedy.closed is CloseReason.MESSAGE_BYTES
    assert not greedy.egress
    assert client.closed is None


def test_the_limit_may_be_the_clients_own() -> None:
    harness = ServiceHarness(Scripted)
    body = encode_session_open(SessionOpenBody(b"k" * 16, b"", "", 4))
    apply(harness, encode_entry(EntryType.SESSION_OPEN, 0, body))
    session_id = harness.container.sessions()[0].session_id
    client = HarnessSession(harness, session_id)
    harness._sessions[session_id] = client
    assert client.send(b"quie") == []
    client.send(b"quiet")
    assert client.closed is CloseReason.MESSAGE_BYTES


def test_an_acknowledgement_is_a_maximum_clamped_to_what_was_produced() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a", b"say b", b"say c")
    seen = []
    for acknowledged in (2, 1, 99, 0):
        harness.append_entry(
            EntryType.EGRESS_ACKNOWLEDGEMENT, client, egress_acknowledged=acknowledged
        )
        view = harness.container.session(client.session_id)
        assert view is not None
        seen.append((view.egress_acknowledged, view.kept_egress_bytes > 0))
    assert seen == [(2, True), (2, True), (3, False), (3, False)]
    client.close()
    client.acknowledge()


def test_a_later_settings_entry_counts_from_there_on() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    settings = ClusterSettings(message_bytes_max=9)
    harness.append_entry(EntryType.SETTINGS, None, encode_settings(settings))
    assert harness.container.settings == settings
    assert client.send(b"say 12345") == [b"12345"]
    client.send(b"say 123456")
    assert client.closed is CloseReason.MESSAGE_BYTES


def test_a_lower_limit_of_kept_egress_counts_at_once() -> None:
    harness = ServiceHarness(Scripted)
    client, other = harness.open_session(), harness.open_session()
    client.send(b"say " + bytes(100).hex().encode())
    settings = ClusterSettings(kept_egress_bytes_max=100)
    harness.append_entry(EntryType.SETTINGS, None, encode_settings(settings))
    assert client.closed is CloseReason.KEPT_EGRESS
    assert other.closed is None


@pytest.mark.parametrize("entry_type", [EntryType.MEMBERSHIP, EntryType.ACTION])
def test_an_entry_that_this_release_cannot_apply_halts(entry_type: EntryType) -> None:
    harness = ServiceHarness(Scripted)
    with pytest.raises(UnknownFormat, match=f"{entry_type.name} at "):
        harness.append_entry(entry_type, None)


def test_a_frame_with_fewer_entries_than_it_says_is_a_broken_log() -> None:
    harness = ServiceHarness(Scripted)
    with pytest.raises(InvariantBroken):
        harness.append_frame(FrameType.ENTRIES, b"", 1, timestamp=harness.time)


def test_settings_that_cannot_be_read_are_a_broken_log() -> None:
    harness = ServiceHarness(Scripted)
    with pytest.raises(InvariantBroken):
        harness.append_entry(EntryType.SETTINGS, None, b"")


@pytest.mark.parametrize("frame_type", [FrameType.EMPTY, FrameType.PADDING])
def test_empty_and_padding_frames_move_time_and_position_only(frame_type: FrameType) -> None:
    harness = ServiceHarness(Scripted)
    digest = harness.digest
    harness.append_frame(frame_type, bytes(64), 0, timestamp=harness.time + 5)
    assert harness.container.time == harness.time + 5
    assert harness.container.position == harness.applied[-1].frame.end
    assert harness.digest == digest


def term_body(harness: ServiceHarness, **changes: object) -> bytes:
    container = harness.container
    fields: dict[str, object] = {
        "epoch": 0,
        "leadership_term_id": LeadershipTermId(1),
        "base": container.position,
        "leader": container.membership.voters[0].member_id,
        "log_time": harness.time,
        "format_version": 1,
        "feature_activated": 0,
        "feature_supported": 0,
        "possible_loss": True,
        "membership": container.membership,
        "settings": container.settings,
    }
    return encode_term(TermBody(**{**fields, **changes}))  # type: ignore[arg-type]


def test_a_new_term_is_told_to_the_service() -> None:
    harness = ServiceHarness(Scripted)
    body = term_body(harness)
    harness.append_frame(FrameType.NEW_LEADERSHIP_TERM, body, 0, timestamp=harness.time)
    assert journal(harness) == ["term 1 True"]


def begin_term(harness: ServiceHarness, *, possible_loss: bool) -> None:
    body = term_body(harness, possible_loss=possible_loss)
    harness.append_frame(FrameType.NEW_LEADERSHIP_TERM, body, 0, timestamp=harness.time)


@pytest.mark.parametrize("terms_behind", [0, 1, 2])
def test_no_session_is_resumed_over_a_possible_loss(terms_behind: int) -> None:
    """Its client may have received egress that the log does not hold any more."""
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"say a")
    begin_term(harness, possible_loss=True)
    for _ in range(terms_behind):
        begin_term(harness, possible_loss=False)
    key = (1).to_bytes(16, "big")
    lost = SessionClosed(client.session_id, CloseReason.LOST, key)
    assert apply(harness, opening(1, client.session_id)) == (lost,)
    assert journal(harness)[-1] == f"close {client.session_id} {harness.time} LOST"
    assert harness.container.sessions() == []
    gone = SessionClosed(client.session_id, CloseReason.EXPIRED, key)
    assert apply(harness, opening(1, client.session_id)) == (gone,)


def test_a_client_that_was_told_nothing_opens_over_a_possible_loss() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    begin_term(harness, possible_loss=True)
    resumed = SessionOpened(client.session_id, (1).to_bytes(16, "big"))
    assert apply(harness, opening(1)) == (resumed,)


def test_a_session_that_began_after_a_possible_loss_is_resumed() -> None:
    harness = ServiceHarness(Scripted)
    begin_term(harness, possible_loss=True)
    client = harness.open_session()
    begin_term(harness, possible_loss=False)
    resumed = SessionOpened(client.session_id, (1).to_bytes(16, "big"))
    assert apply(harness, opening(1, client.session_id)) == (resumed,)


def test_a_snapshot_remembers_a_possible_loss() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    begin_term(harness, possible_loss=True)
    harness.load_snapshot(harness.take_snapshot())
    lost = SessionClosed(client.session_id, CloseReason.LOST, (1).to_bytes(16, "big"))
    assert apply(harness, opening(1, client.session_id)) == (lost,)


STRANGER = Member(MemberId(b"s" * 16), Seat(1), "elsewhere")


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": ClusterSettings(sessions_max=7)},
        {"membership": Membership(voter_sets=((STRANGER,),))},
    ],
)
def test_a_term_with_other_tables_than_the_log_is_a_broken_log(
    changes: dict[str, object],
) -> None:
    harness = ServiceHarness(Scripted)
    body = term_body(harness, **changes)
    with pytest.raises(InvariantBroken, match="other settings or members"):
        harness.append_frame(FrameType.NEW_LEADERSHIP_TERM, body, 0, timestamp=harness.time)


def test_there_is_one_founding() -> None:
    harness = ServiceHarness(Scripted)
    founding = harness.applied[0].frame
    body = founding.data[64:]
    with pytest.raises(InvariantBroken):
        harness.append_frame(FrameType.FOUNDING, body, 0, timestamp=harness.time)


def test_timers_fire_before_the_frame_that_reaches_them_in_their_order() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"timer 3 10", b"timer 2 20;timer 1 20", b"timer 4 21", b"timer 5 15;cancel 5")
    start = harness.time
    assert harness.next_timer_deadline == start + 10
    harness.time += 20
    client.send(b"now")
    assert journal(harness)[-4:] == [
        f"timer 3 {start + 20}",
        f"timer 1 {start + 20}",
        f"timer 2 {start + 20}",
        f"message {client.session_id} {start + 20} now",
    ]
    assert [message.ingress_sequence for message in client.egress] == [0, 0, 0]
    assert harness.next_timer_deadline == start + 21


def test_timers_that_fired_are_counted() -> None:
    harness = ServiceHarness(Scripted)
    harness.open_session().send(b"timer 1 0;timer 2 5;timer 3 9;cancel 2")
    harness.advance(5)
    assert harness.container.counters["timers_fired"] == 1
    harness.advance(5)
    assert harness.container.counters["timers_fired"] == 2


def test_a_timer_set_in_the_past_fires_before_the_next_frame() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    assert client.send(b"timer 1 0;timer 2 -5", b"say first") == [b"first"]
    assert client.send(b"say second") == [b"timer 2", b"timer 1", b"second"]


def test_a_timer_that_sets_itself_fires_once_a_frame() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"at 1 timer 1 0", b"timer 1 0")
    for _ in range(3):
        assert client.send(b"quiet") == [b"timer 1"]


def test_a_timer_that_fires_may_cancel_or_move_those_that_are_due_with_it() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    client.send(b"at 1 cancel 2;timer 3 0", b"timer 1 0;timer 2 0;timer 3 0")
    assert client.send(b"quiet") == [b"timer 1"]
    assert client.send(b"quiet") == [b"timer 3"]


def test_kept_egress_is_judged_inside_a_long_batch() -> None:
    settings = ClusterSettings(kept_egress_bytes_max=JUDGED_EVERY * 17 - 1)
    harness = ServiceHarness(Scripted, settings=settings, messages_per_step=100)
    client = harness.open_session()
    client.send(*[b"say x"] * (JUDGED_EVERY * 3))
    assert client.closed is CloseReason.KEPT_EGRESS
    assert harness.container.counters["ingress_messages"] == JUDGED_EVERY


def test_a_step_applies_no_more_than_it_is_told() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    container = harness.container
    apply(harness, ingress(client, 1, *[b"timer 1 0"] * 10))
    other = ServiceHarness(Scripted)
    other.open_session()
    container = other.container
    container.begin(harness.applied[-1].frame)
    counts = []
    done = False
    while not done:
        done = container.step(4)
        counts.append(container.counters["ingress_messages"])
    assert counts[:3] == [4, 8, 10]
    with pytest.raises(AssertionError):
        container.step(4)


def test_a_session_that_ends_in_its_own_batch_gets_no_more_of_it_applied() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    assert client.send(b"say a", b"say b;close", b"say c") == [b"a", b"b"]
    assert client.closed is CloseReason.SERVICE
    farewell, closed = last_outbox(harness)
    assert isinstance(closed, SessionClosed)
    assert isinstance(farewell, EgressBatch)
    assert farewell.last_ingress_sequence == 2, "what it answers is applied, its end included"


def test_a_session_that_ends_as_it_opens_is_told_of_in_that_order() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session(name="say welcome;close")
    assert [type(event) for event in last_outbox(harness)] == [
        SessionOpened,
        EgressBatch,
        SessionClosed,
    ]
    assert client.closed is CloseReason.SERVICE


@pytest.mark.parametrize("messages_max", [1, 7, 30])
def test_a_step_ends_though_every_message_leads_to_others(messages_max: int) -> None:
    """A member that applied a whole batch with all that follows would be deaf for that long."""
    follow, count = 4, 20
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    container = ServiceContainer(Scripted(), lambda _: None)
    container.start(None)
    for row in harness.applied:
        apply_whole(container, row.frame, messages_max)
    apply(harness, ingress(client, 1, *[b"self self self self say x"] * count))
    container.begin(harness.applied[-1].frame)
    steps = [before := container.applied_messages]
    while not container.step(messages_max):
        steps.append(container.applied_messages)
    assert container.applied_messages - before == count
    longest = max(after - before for before, after in pairwise(steps))
    assert longest * (1 + follow) < messages_max + (1 + follow) or longest == 1


def test_the_position_of_the_log_is_a_number() -> None:
    harness = ServiceHarness(Scripted)
    assert harness.container.position == LogPosition(len(harness.applied[0].frame.data))


def test_a_close_carries_its_reason_to_service_and_client() -> None:
    harness = ServiceHarness(Scripted)
    client = harness.open_session()
    body = encode_session_close(CloseReason.ADMINISTRATOR)
    harness.append_entry(EntryType.SESSION_CLOSE, client, body)
    assert client.closed is CloseReason.ADMINISTRATOR
    assert journal(harness)[-1].endswith("ADMINISTRATOR")
