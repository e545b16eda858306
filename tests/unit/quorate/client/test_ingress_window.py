import pytest

from quorate.client.ingress_window import IngressWindow, OutgoingBatch
from quorate.errors import (
    IngressBackPressure,
    MessageTooLarge,
    RemoteProtocolError,
    SessionClosed,
)
from quorate.protocol.batch import encode_ingress_batch


def window(bytes_max: int = 1000) -> IngressWindow:
    return IngressWindow(bytes_max, lambda: None)


def opened(
    credit: int = 1000, *, bytes_max: int = 1000, message: int = 100, batch: int = 200
) -> IngressWindow:
    ingress = window(bytes_max)
    ingress.resume(applied=0, credit=credit, message_bytes_max=message, batch_bytes_max=batch)
    return ingress


def resume(ingress: IngressWindow, applied: int, credit: int = 1000) -> None:
    ingress.suspend()
    ingress.resume(applied=applied, credit=credit, message_bytes_max=100, batch_bytes_max=200)


def gathering(batches: int = 1) -> IngressWindow:
    ingress = IngressWindow(1000, lambda: None, unacknowledged_batches_max=batches, gather_bytes=50)
    ingress.resume(applied=0, credit=1000, message_bytes_max=100, batch_bytes_max=200)
    return ingress


def taken(ingress: IngressWindow) -> list[OutgoingBatch]:
    return list(ingress.take_batches())


def sequences(ingress: IngressWindow) -> list[tuple[int, int]]:
    return [(batch.first_sequence, batch.message_count) for batch in taken(ingress)]


def test_nothing_can_be_offered_before_the_session_is_open() -> None:
    with pytest.raises(IngressBackPressure):
        window().offer(b"x")


def test_what_is_offered_between_two_sendings_goes_into_one_batch() -> None:
    ingress = opened()
    assert [ingress.offer(b"8"), ingress.offer(b""), ingress.offer(b"x5")] == [1, 2, 3]
    assert taken(ingress) == [OutgoingBatch(1, 3, encode_ingress_batch([b"8", b"", b"x5"]))]
    ingress.offer(b"=")
    assert taken(ingress) == [OutgoingBatch(4, 1, encode_ingress_batch([b"="]))]
    assert taken(ingress) == []


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_messages_gather_behind_so_many_unacknowledged_batches(batches: int) -> None:
    ingress = gathering(batches)
    for number in range(1, batches + 1):
        ingress.offer(b"a")
        assert sequences(ingress) == [(number, 1)]
    ingress.offer(b"b")
    ingress.offer(bytes(40))
    assert sequences(ingress) == []
    assert not ingress.is_sent
    ingress.acknowledge(1)
    assert sequences(ingress) == [(batches + 1, 2)]


def test_what_has_gathered_to_a_large_batch_waits_for_nobody() -> None:
    ingress = gathering()
    ingress.offer(b"a")
    taken(ingress)
    ingress.offer(bytes(45))
    assert sequences(ingress) == [], "one byte below, with its length"
    ingress.offer(b"")
    assert sequences(ingress) == [(2, 2)]


def test_a_resume_sends_again_what_is_unacknowledged_however_much_gathers() -> None:
    ingress = gathering()
    ingress.offer(b"a")
    taken(ingress)
    ingress.offer(b"b")
    resume(ingress, applied=0)
    assert sequences(ingress) == [(1, 1)]
    resume(ingress, applied=1)
    ingress.acknowledge(1)
    assert sequences(ingress) == [(2, 1)]


def test_the_owner_is_told_of_the_first_unsent_message_only() -> None:
    told: list[int] = []
    ingress = IngressWindow(1000, lambda: told.append(1))
    ingress.resume(applied=0, credit=1000, message_bytes_max=100, batch_bytes_max=200)
    ingress.offer(b"1")
    ingress.offer(b"2")
    taken(ingress)
    ingress.offer(b"3")
    assert len(told) == 2


def test_batches_are_split_at_their_limit() -> None:
    ingress = opened(batch=200)
    for length in (100, 92, 0, 100, 100, 50):
        ingress.offer(bytes(length))
    assert sequences(ingress) == [(1, 2), (3, 2), (5, 2)]


def test_a_message_is_refused_where_it_is_offered() -> None:
    ingress = opened(message=100, batch=60)
    with pytest.raises(MessageTooLarge, match="56"):
        ingress.offer(bytes(57))
    ingress.offer(bytes(56))
    with pytest.raises(TypeError):
        ingress.offer(bytearray(b"x"))  # type: ignore[arg-type]
    assert ingress.last_sequence == 1


def test_credit_bounds_what_is_offered_and_sent() -> None:
    ingress = opened(credit=20)
    ingress.offer(bytes(6))
    ingress.offer(bytes(6))
    with pytest.raises(IngressBackPressure):
        ingress.offer(b"")
    assert not ingress.can_offer
    assert sequences(ingress) == [(1, 2)]
    ingress.grant(30)
    ingress.offer(bytes(6))
    with pytest.raises(IngressBackPressure):
        ingress.offer(b"")
    ingress.grant(25)
    assert sequences(ingress) == [(3, 1)]


def test_the_window_bounds_what_is_unacknowledged() -> None:
    ingress = opened(bytes_max=20)
    ingress.offer(bytes(6))
    taken(ingress)
    ingress.offer(bytes(6))
    taken(ingress)
    with pytest.raises(IngressBackPressure):
        ingress.offer(b"")
    assert ingress.acknowledge(1)
    assert not ingress.acknowledge(1)
    assert ingress.pending_bytes == 10
    ingress.offer(b"")


def test_a_window_is_open_while_there_is_no_connection() -> None:
    ingress = opened(credit=10)
    ingress.offer(bytes(6))
    taken(ingress)
    ingress.suspend()
    ingress.offer(bytes(6))
    assert taken(ingress) == []
    resume(ingress, applied=1)
    assert sequences(ingress) == [(2, 1)]


def test_resuming_sends_again_whole_batches_behind_what_is_applied() -> None:
    ingress = opened()
    for batch in ((b"1", b"2"), (b"3", b"4"), (b"5",)):
        for message in batch:
            ingress.offer(message)
        taken(ingress)
    resume(ingress, applied=3)
    assert sequences(ingress) == [(3, 2), (5, 1)]
    assert ingress.is_sent
    resume(ingress, applied=5)
    assert sequences(ingress) == []
    assert ingress.is_answer_owed, "applied is not acknowledged: answers may be outstanding"
    ingress.acknowledge(5)
    assert not ingress.is_answer_owed
    assert ingress.pending_bytes == 0


def test_what_is_sent_again_uses_credit_again() -> None:
    ingress = opened(credit=30)
    for _ in range(3):
        ingress.offer(bytes(6))
        taken(ingress)
    resume(ingress, applied=0, credit=15)
    assert sequences(ingress) == [(1, 1), (2, 1)]
    with pytest.raises(IngressBackPressure):
        ingress.offer(b"")
    ingress.grant(35)
    ingress.offer(b"")
    assert sequences(ingress) == [(3, 1), (4, 1)]


def test_a_rewind_sends_again_from_the_sequence_and_counts_against_credit() -> None:
    ingress = opened(credit=40)
    for _ in range(3):
        ingress.offer(bytes(6))
        taken(ingress)
    ingress.rewind(2)
    assert not ingress.can_offer, "30 bytes are sent, 20 wait to be sent again, 40 are allowed"
    assert sequences(ingress) == [(2, 1)]
    ingress.grant(60)
    assert sequences(ingress) == [(3, 1)]
    with pytest.raises(RemoteProtocolError):
        ingress.rewind(5)
    ingress.acknowledge(3)
    with pytest.raises(RemoteProtocolError):
        ingress.rewind(3)


def test_what_is_acknowledged_while_it_waits_to_be_sent_again_is_not() -> None:
    ingress = opened(credit=10)
    for message in (b"123456", b"1"):
        ingress.suspend()
        ingress.offer(message)
        resume(ingress, applied=0, credit=100)
        taken(ingress)
    resume(ingress, applied=0, credit=0)
    ingress.acknowledge(1)
    ingress.grant(1)
    assert sequences(ingress) == [(2, 1)]


def test_what_need_not_be_sent_again_takes_no_credit() -> None:
    """Or a client with credit left would wait for more, which a member has no reason to grant."""
    ingress = opened(bytes_max=10_000)
    for _ in range(3):
        ingress.offer(bytes(96))
        taken(ingress)
    resume(ingress, applied=0, credit=150)
    assert sequences(ingress) == [(1, 1), (2, 1)]
    ingress.acknowledge(3)
    assert sequences(ingress) == []
    ingress.grant(250)
    ingress.offer(bytes(45))
    with pytest.raises(IngressBackPressure):
        [ingress.offer(b"") for _ in range(2)]
    assert sequences(ingress) == [(4, 2)]


@pytest.mark.parametrize("applied", [0, 3])
def test_a_member_cannot_claim_what_was_not_sent_or_lose_what_it_acknowledged(
    applied: int,
) -> None:
    ingress = opened()
    ingress.offer(b"1")
    taken(ingress)
    ingress.offer(b"2")
    taken(ingress)
    ingress.acknowledge(1)
    ingress.offer(b"3")
    with pytest.raises(RemoteProtocolError):
        ingress.acknowledge(3)
    with pytest.raises(RemoteProtocolError):
        resume(ingress, applied=applied)


def test_after_stop_offers_are_refused_and_the_rest_is_still_sent() -> None:
    ingress = opened()
    ingress.offer(b"1")
    ingress.stop("expired")
    ingress.stop("closed by this client")
    assert ingress.is_stopped
    with pytest.raises(SessionClosed, match="expired"):
        ingress.offer(b"2")
    assert sequences(ingress) == [(1, 1)]
    ingress.grant(5000)
    with pytest.raises(SessionClosed):
        ingress.offer(b"2")


@pytest.mark.parametrize("applied", range(8))
def test_everything_that_is_not_acknowledged_is_held_and_sent_again(applied: int) -> None:
    """Of a batch that is applied in part as well."""
    ingress = opened()
    for _ in range(3):
        for _ in range(2):
            ingress.offer(b"x")
        taken(ingress)
    ingress.offer(b"x")
    taken(ingress)
    ingress.acknowledge(applied)
    resume(ingress, applied)
    held = {first + index for first, count in sequences(ingress) for index in range(count)}
    assert held >= set(range(applied + 1, 8))
