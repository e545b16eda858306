import pytest

from quorate.client.session import NEVER, Session, SessionSettings, SessionState
from quorate.client.session_events import (
    Acknowledged,
    EgressReceived,
    Ended,
    Established,
    Event,
    Granted,
    MemberLeaderless,
    MemberSilent,
    Redirected,
    Refused,
)
from quorate.errors import IngressBackPressure, RemoteProtocolError, SessionClosed
from quorate.protocol.batch import EgressKind, EgressMessage, encode_egress_batch
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    CLIENT_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Close,
    Closed,
    Credit,
    Egress,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    LinkError,
    Open,
    Opened,
    Redirect,
    Rewind,
)

KEY = b"k" * 16
MS = 1_000_000
OPENED = Opened(1, 0, 4096, 0, 1 << 20, 30_000 * MS, 1000, 2000, ("a:1", "b:1"))
SETTINGS = SessionSettings(unacknowledged_batches_max=1 << 30)
"""Every sending sends: gathering has its own tests."""


def said(session: Session, now: int = 0) -> list[ClientLinkMessage]:
    data = b"".join(session.data_to_send(now))
    return [decode_message(raw) for raw in MessageSplitter(CLIENT_MESSAGE_BYTES_MAX).feed(data)]


def hear(session: Session, *messages: ClientLinkMessage, now: int = 0) -> list[Event]:
    return session.receive(b"".join(encode_message(message) for message in messages), now)


def egress(first: int, *payloads: bytes, applied: int = 0, cause: int = 0) -> Egress:
    batch = encode_egress_batch(
        [EgressMessage(EgressKind.MESSAGE, 0, cause, payload) for payload in payloads]
    )
    return Egress(applied, first, len(payloads), batch)


def asking(settings: SessionSettings = SETTINGS) -> Session:
    session = Session(session_key=KEY, name="till", settings=settings)
    session.on_connected(0)
    return session


def opened(settings: SessionSettings = SETTINGS) -> Session:
    session = asking(settings)
    said(session)
    hear(session, OPENED)
    return session


def reconnect(session: Session, applied: int = 0) -> list[ClientLinkMessage]:
    session.on_disconnected()
    session.on_connected(0)
    asked = said(session)
    hear(session, OPENED._replace(ingress_applied=applied))
    return asked


def test_small_messages_gather_while_a_batch_is_unacknowledged() -> None:
    session = opened(SessionSettings())
    session.ingress.offer(b"1")
    assert len(said(session)) == 1
    for message in (b"2", b"3"):
        session.ingress.offer(message)
        assert said(session) == []
    assert session.wants_to_send, "the next acknowledgement sends them"
    hear(session, Egress(1, 0, 0, b""))
    (gathered,) = said(session)
    assert isinstance(gathered, Ingress)
    assert (gathered.first_sequence, gathered.message_count) == (2, 2)


def test_what_gathers_leaves_after_a_time_without_an_acknowledgement() -> None:
    session = opened(SessionSettings())
    wait = session.settings.gather_ns
    for begin in (10 * MS, 30 * MS):
        session.ingress.offer(b"sent")
        assert len(said(session, now=begin)) == 1
        session.ingress.offer(b"gathers")
        assert said(session, now=begin + 1) == []
        assert session.next_deadline == begin + 1 + wait
        session.ingress.offer(b"gathers too")
        assert said(session, now=begin + wait) == [], "the time counts from the first"
        (gathered,) = said(session, now=begin + 1 + wait)
        assert isinstance(gathered, Ingress)
        assert gathered.message_count == 2
        assert session.next_deadline > begin + 1 + wait
        hear(session, Egress(session.ingress.sent_sequence, 0, 0, b""))


@pytest.mark.parametrize("hindrance", ["leadership", "socket"])
def test_what_has_gathered_is_due_once_and_leaves_when_it_can(hindrance: str) -> None:
    session = opened(SessionSettings())
    session.ingress.offer(b"sent")
    said(session)
    session.ingress.offer(b"gathers")
    assert said(session) == []
    if hindrance == "leadership":
        hear(session, Redirect(""))
        said(session)
    due = session.settings.gather_ns
    assert session.next_deadline == due
    session.on_tick(due)
    assert session.next_deadline > due, "or a timer would fire again and again"
    if hindrance == "leadership":
        hear(session, OPENED, now=due)
    assert 2 in [m.first_sequence for m in said(session, now=due) if isinstance(m, Ingress)]


def test_asks_for_a_session_once_connected() -> None:
    session = asking()
    assert said(session) == [Open(1, 1, ANY_CLUSTER, KEY, 0, 0, 0, "till")]
    assert session.state is SessionState.OPENING
    assert hear(session, OPENED) == [Established(4096, False, 0, ("a:1", "b:1"))]
    assert session.cluster_session_id == 4096


def test_names_its_session_and_what_it_has_received_when_it_resumes() -> None:
    session = opened()
    hear(session, egress(1, b"a", b"b"))
    assert reconnect(session) == [Open(1, 1, ANY_CLUSTER, KEY, 4096, 2, 0, "till")]


def test_asks_with_id_zero_again_while_no_open_was_answered() -> None:
    session = asking()
    session.on_disconnected()
    session.on_connected(0)
    (message,) = said(session)
    assert isinstance(message, Open)
    assert message.cluster_session_id == 0


def test_sends_what_is_offered_and_tells_when_it_is_acknowledged() -> None:
    session = opened()
    session.ingress.offer(b"8")
    session.ingress.offer(b"x5")
    assert said(session) == [Ingress(4096, 1, 0, 2, b"\x01\0\0\x008\x02\0\0\0x5")]
    assert hear(session, Egress(2, 0, 0, b"")) == [Acknowledged(2)]
    assert hear(session, Egress(2, 0, 0, b"")) == []


def test_answers_come_before_the_acknowledgement_of_their_message() -> None:
    session = opened()
    session.ingress.offer(b"8")
    said(session)
    events = hear(session, egress(1, b"eight", applied=1, cause=1))
    assert events == [EgressReceived([(5, 1, b"eight")]), Acknowledged(1)]


def test_drops_egress_that_it_has() -> None:
    session = opened()
    hear(session, egress(1, b"a", b"b"))
    assert hear(session, egress(1, b"a", b"b")) == []
    (event,) = hear(session, egress(2, b"b", b"c"))
    assert event == EgressReceived([(1, 0, b"c")])
    assert session.egress_doubles == 3
    assert session.egress_received == 3


def test_refuses_a_gap_in_egress() -> None:
    session = opened()
    with pytest.raises(RemoteProtocolError, match="egress 2 where 1"):
        hear(session, egress(2, b"b"))


def test_acknowledges_egress_in_the_next_ingress() -> None:
    session = opened()
    hear(session, egress(1, b"a"))
    session.ingress.offer(b"8")
    (message,) = said(session)
    assert isinstance(message, Ingress)
    assert message.egress_acknowledged == 1
    assert session.on_tick(SETTINGS.acknowledge_after_ns) == []
    assert said(session) == []


def test_acknowledges_egress_by_itself_when_it_only_listens() -> None:
    session = opened()
    hear(session, egress(1, b"a"))
    assert session.next_deadline == SETTINGS.acknowledge_after_ns
    session.on_tick(SETTINGS.acknowledge_after_ns)
    assert said(session) == [EgressAcknowledge(4096, 1)]


def test_acknowledges_much_egress_at_once() -> None:
    session = opened()
    payload = bytes(SETTINGS.acknowledge_after_bytes)
    hear(session, egress(1, payload))
    assert said(session) == [EgressAcknowledge(4096, 1)]


def test_acknowledges_again_after_a_resume_because_the_first_may_be_lost() -> None:
    session = opened()
    hear(session, egress(1, b"a"))
    session.on_tick(SETTINGS.acknowledge_after_ns)
    said(session)
    reconnect(session)
    session.on_tick(SETTINGS.acknowledge_after_ns)
    assert said(session) == [EgressAcknowledge(4096, 1)]


def test_sends_again_behind_what_is_applied_after_a_resume() -> None:
    session = opened()
    for message in (b"1", b"2"):
        session.ingress.offer(message)
        said(session)
    reconnect(session, applied=1)
    (message,) = said(session)
    assert isinstance(message, Ingress)
    assert message.first_sequence == 2


def test_resumes_on_the_same_connection_when_the_member_has_lost_leadership() -> None:
    session = opened()
    session.ingress.offer(b"1")
    said(session)
    assert hear(session, Redirect("")) == [Redirected("")]
    assert said(session) == [Open(1, 1, ANY_CLUSTER, KEY, 4096, 0, 0, "till")]
    session.ingress.offer(b"2")
    assert said(session) == [], "nothing is taken there before the session has resumed"
    assert hear(session, Redirect("")) == [Redirected("")]
    assert said(session) == [], "one open is under way"
    hear(session, OPENED)
    assert [m.first_sequence for m in said(session) if isinstance(m, Ingress)] == [1, 2]


def test_gives_a_leaderless_member_up_after_a_while() -> None:
    session = asking()
    said(session)
    hear(session, Redirect(""))
    hear(session, Redirect(""), now=100 * MS)
    assert session.on_tick(SETTINGS.leaderless_max_ns - 1) == []
    assert session.on_tick(SETTINGS.leaderless_max_ns) == [MemberLeaderless()]


def test_a_named_leader_ends_the_wait_for_one() -> None:
    session = asking()
    said(session)
    hear(session, Redirect(""))
    assert hear(session, Redirect("b:1")) == [Redirected("b:1")]
    assert session.on_tick(SETTINGS.leaderless_max_ns) == []


def test_rewinds_when_told_so() -> None:
    session = opened()
    for message in (b"1", b"2"):
        session.ingress.offer(message)
        said(session)
    hear(session, Rewind(2))
    assert [m.first_sequence for m in said(session) if isinstance(m, Ingress)] == [2]


def test_credit_lets_more_through() -> None:
    session = asking()
    said(session)
    hear(session, OPENED._replace(credit=5))
    session.ingress.offer(b"1")
    with pytest.raises(IngressBackPressure):
        session.ingress.offer(b"2")
    assert hear(session, Credit(10)) == [Granted()], "or nobody who waits would look again"
    session.ingress.offer(b"2")


def test_asks_a_silent_member_for_a_sign_of_life_then_gives_it_up() -> None:
    session = opened()
    session.ingress.offer(b"1")
    said(session, now=5_000 * MS)
    sent_at = 5_000 * MS
    assert session.next_deadline == sent_at + SETTINGS.ping_after_ns
    assert session.on_tick(session.next_deadline) == []
    assert said(session, now=session.next_deadline) == [KeepAlive()]
    assert session.next_deadline == sent_at + SETTINGS.silence_max_ns
    assert session.on_tick(session.next_deadline) == [MemberSilent()]


def test_a_member_that_gives_signs_of_life_is_not_silent() -> None:
    session = opened()
    session.ingress.offer(b"1")
    said(session)
    now = 0
    for _ in range(20):
        now = session.next_deadline
        assert session.on_tick(now) == []
        assert said(session, now) == [KeepAlive()]
        hear(session, Credit(1 << 20), now=now)


def test_silence_means_nothing_while_nothing_is_owed_or_nobody_reads() -> None:
    session = opened()
    assert session.on_tick(9_000 * MS) == []
    session.ingress.offer(b"1")
    said(session, now=9_000 * MS)
    assert session.on_tick(12_000 * MS, is_reading=False) == []
    assert session.on_tick(12_100 * MS) == []


def test_keeps_the_session_alive_and_expects_an_answer() -> None:
    session = opened()
    assert session.next_deadline == 10_000 * MS
    session.on_tick(10_000 * MS)
    assert said(session, now=10_000 * MS) == [KeepAlive()]
    assert session.on_tick(11_000 * MS) == [MemberSilent()]


def test_an_ended_session_tells_what_may_have_been_applied() -> None:
    session = opened()
    session.ingress.offer(b"1")
    said(session)
    session.ingress.offer(b"2")
    events = hear(session, Closed(4096, CloseReason.EXPIRED), egress(1, b"late"))
    assert events == [Ended("expired", False, 1)]
    assert session.state is SessionState.CLOSED
    with pytest.raises(SessionClosed):
        session.ingress.offer(b"3")
    assert said(session) == []
    assert session.next_deadline == NEVER


@pytest.mark.parametrize(
    ("code", "is_final"),
    [
        (LinkError.CLUSTER_ID, True),
        (LinkError.AUTHENTICATION, True),
        (LinkError.VERSION, True),
        (LinkError.OVERLOADED, False),
        (LinkError.REPLACED, False),
        (999, False),
    ],
)
def test_some_errors_end_the_session_and_others_the_connection(code: int, is_final: bool) -> None:
    session = asking()
    said(session)
    (event,) = hear(session, Error(code))
    if is_final:
        assert isinstance(event, Ended)
        assert event.is_refused
    else:
        assert event == Refused(code)


def test_closes_when_everything_that_was_offered_is_answered() -> None:
    """With the session the cluster drops the answers that it has not sent yet."""
    session = opened()
    session.ingress.offer(b"1")
    session.close("closed here")
    (first,) = said(session)
    assert isinstance(first, Ingress)
    hear(session, egress(1, b"a part of the answers", cause=1))
    assert said(session) == []
    hear(session, egress(2, b"the rest", applied=1, cause=1))
    assert said(session) == [Close(4096)]
    assert said(session) == []
    with pytest.raises(SessionClosed, match="closed here"):
        session.ingress.offer(b"2")
    assert hear(session, Closed(4096, CloseReason.CLIENT)) == [Ended("client", False, 1)]


def test_asks_for_the_close_again_after_a_reconnect() -> None:
    session = opened()
    session.close("closed here")
    said(session)
    reconnect(session)
    assert said(session) == [Close(4096)]


def test_asks_for_the_close_again_behind_what_was_asked_for_again() -> None:
    session = opened()
    session.ingress.offer(b"1")
    session.close("closed here")
    said(session)
    hear(session, Rewind(1))
    assert [type(message) for message in said(session)] == [Ingress]
    hear(session, Egress(1, 0, 0, b""))
    assert said(session) == [Close(4096)]
    hear(session, Rewind(2))
    assert said(session) == [Close(4096)], "it was not taken either"
    assert said(session) == []


def test_a_session_that_may_have_been_told_what_was_lost_ends_and_says_so() -> None:
    session = opened()
    (event,) = hear(session, Closed(4096, CloseReason.LOST))
    assert event == Ended("the cluster may have lost what it had acknowledged", False, 0)


def test_a_cluster_that_lost_what_it_acknowledged_ends_the_session() -> None:
    session = opened()
    session.ingress.offer(b"1")
    said(session)
    hear(session, Egress(1, 0, 0, b""))
    session.on_disconnected()
    session.on_connected(0)
    (event,) = hear(session, OPENED)
    assert isinstance(event, Ended)
    assert "lost" in event.reason


@pytest.mark.parametrize(
    "message",
    [
        OPENED,
        Rewind(9),
        Egress(1, 0, 0, b""),
        KeepAlive(),
        Open(1, 1, ANY_CLUSTER, KEY, 0, 0, 0, ""),
    ],
)
def test_a_member_that_says_what_cannot_be_is_refused(message: ClientLinkMessage) -> None:
    with pytest.raises(RemoteProtocolError):
        hear(opened(), message)


@pytest.mark.parametrize(
    "message",
    [
        Egress(0, 0, 0, b""),
        Rewind(1),
        OPENED._replace(version=2),
        OPENED._replace(ingress_applied=1),
    ],
)
def test_a_member_that_says_it_too_early_is_refused(message: ClientLinkMessage) -> None:
    session = asking()
    said(session)
    with pytest.raises(RemoteProtocolError):
        hear(session, message)


def test_another_session_than_the_one_named_is_refused() -> None:
    session = opened()
    session.on_disconnected()
    session.on_connected(0)
    with pytest.raises(RemoteProtocolError, match="4097 instead of 4096"):
        hear(session, OPENED._replace(cluster_session_id=4097))


def test_nothing_happens_without_a_connection() -> None:
    session = Session(session_key=KEY)
    assert session.next_deadline == NEVER
    assert session.on_tick(10**18) == []
    assert session.data_to_send(0) == []
    session.on_disconnected()
    assert session.state is SessionState.DETACHED


def test_a_member_that_has_opened_the_session_is_not_leaderless_any_more() -> None:
    session = asking()
    said(session)
    hear(session, Redirect(""), OPENED)
    assert session.on_tick(SETTINGS.leaderless_max_ns) == []


def test_each_connection_has_the_whole_time_to_find_a_leader() -> None:
    session = asking()
    said(session)
    hear(session, Redirect(""))
    session.on_disconnected()
    later = SETTINGS.leaderless_max_ns - MS
    session.on_connected(later)
    assert session.next_deadline == later + SETTINGS.ping_after_ns
    hear(session, Redirect(""), now=later)
    assert session.on_tick(later + SETTINGS.leaderless_max_ns - 1) == []
    assert session.on_tick(later + SETTINGS.leaderless_max_ns) == [MemberLeaderless()]


def test_what_a_connection_has_brought_in_part_is_lost_with_it() -> None:
    session = opened()
    whole = encode_message(egress(1, b"a"))
    assert session.receive(whole[:-1], 0) == []
    reconnect(session)
    (event,) = hear(session, egress(1, b"a"))
    assert isinstance(event, EgressReceived)


def test_what_is_acknowledged_is_not_acknowledged_again() -> None:
    session = opened()
    hear(session, egress(1, b"a"))
    session.on_tick(SETTINGS.acknowledge_after_ns)
    assert said(session) == [EgressAcknowledge(4096, 1)]
    hear(session, egress(1, b"a"), now=SETTINGS.acknowledge_after_ns)
    session.on_tick(2 * SETTINGS.acknowledge_after_ns)
    assert said(session) == []
    hear(session, egress(2, b"b"), now=0)
    assert said(session) == [], "the time until the next begins anew"


def test_bytes_that_are_acknowledged_do_not_hurry_the_next_acknowledgement() -> None:
    session = opened()
    half = bytes(SETTINGS.acknowledge_after_bytes * 2 // 3)
    for sequence in (1, 2):
        hear(session, egress(sequence, half))
        session.on_tick(sequence * SETTINGS.acknowledge_after_ns)
    assert len(said(session)) == 2
    hear(session, egress(3, half), now=3 * SETTINGS.acknowledge_after_ns)
    assert said(session) == []


def test_a_sign_of_life_asked_for_on_a_former_connection_is_not_owed_on_the_next() -> None:
    session = opened()
    session.on_tick(10_000 * MS)
    assert said(session, now=10_000 * MS) == [KeepAlive()]
    session.on_disconnected()
    now = 10_500 * MS
    session.on_connected(now)
    said(session, now)
    hear(session, OPENED, now=now)
    assert session.on_tick(now + 2 * SETTINGS.silence_max_ns) == []


@pytest.mark.parametrize("lost", ["connection", "leadership"])
def test_without_a_session_the_window_alone_limits_what_is_offered(lost: str) -> None:
    session = asking()
    said(session)
    hear(session, OPENED._replace(credit=5))
    session.ingress.offer(b"1")
    with pytest.raises(IngressBackPressure):
        session.ingress.offer(b"2")
    if lost == "connection":
        session.on_disconnected()
    else:
        hear(session, Redirect(""))
    assert session.ingress.offer(b"2") == 2


@pytest.mark.parametrize("lost", ["connection", "leadership"])
def test_nothing_is_acknowledged_before_the_session_is_open_again(lost: str) -> None:
    """A member takes nothing of a session on a connection that has none: it ends it."""
    session = opened()
    hear(session, egress(1, b"a"))
    if lost == "connection":
        session.on_disconnected()
        session.on_connected(0)
    else:
        hear(session, Redirect(""))
    session.on_tick(2 * SETTINGS.acknowledge_after_ns)
    assert [type(message) for message in said(session)] == [Open]


def test_credit_never_shrinks() -> None:
    session = asking()
    said(session)
    hear(session, OPENED._replace(credit=5), Credit(15), Credit(10))
    for message in (b"1", b"2", b"3"):
        session.ingress.offer(message)
    (sent,) = said(session)
    assert isinstance(sent, Ingress)
    assert sent.message_count == 3


def test_what_was_sent_once_may_be_applied_however_little_of_it_was_sent_again() -> None:
    session = opened()
    for number in range(5):
        session.ingress.offer(b"%d" % number)
        said(session)
    session.on_disconnected()
    session.on_connected(0)
    said(session)
    hear(session, OPENED._replace(credit=1))
    assert [m.first_sequence for m in said(session) if isinstance(m, Ingress)] == [1]
    reconnect(session, applied=5)
    assert session.ingress.acknowledged <= 5
    assert said(session) == []
