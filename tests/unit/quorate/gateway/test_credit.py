import pytest

from quorate.gateway.credit import (
    BACKLOG_BYTES_FREE,
    BACKLOG_BYTES_MAX,
    CREDIT_BYTES_MIN,
    MIB,
    CreditAccount,
    credit_window,
)


@pytest.mark.parametrize(
    ("connections", "backlog", "expected"),
    [
        (1, 0, 4 * MIB),
        (64, BACKLOG_BYTES_FREE, 4 * MIB),
        (128, 0, 2 * MIB),
        (1_000_000, 0, CREDIT_BYTES_MIN),
        (1, (BACKLOG_BYTES_FREE + BACKLOG_BYTES_MAX) // 2, 2 * MIB),
        (1, BACKLOG_BYTES_MAX, 0),
        (1, BACKLOG_BYTES_MAX * 9, 0),
    ],
)
def test_the_window_shrinks_with_connections_and_backlog(
    connections: int, backlog: int, expected: int
) -> None:
    assert credit_window(4 * MIB, connections, backlog) == expected


def test_what_is_applied_is_granted_again_in_worthwhile_steps() -> None:
    account = CreditAccount(100)
    assert account.on_ingress(1, 20, 20)
    account.on_applied(1)
    assert account.grant(100) is None
    assert account.is_settled
    assert account.on_ingress(2, 20, 20)
    assert not account.is_settled
    account.on_applied(2)
    assert account.grant(100) == 140


def test_a_batch_that_begins_beyond_the_credit_is_an_overrun() -> None:
    account = CreditAccount(10)
    assert account.on_ingress(1, 30, 30)
    assert account.is_used_up
    assert not account.on_ingress(2, 1, 1)
    assert account.grant(10) is None
    account.on_applied(2)
    assert account.grant(10) == 41


def test_a_used_up_account_takes_the_smallest_grant() -> None:
    account = CreditAccount(100)
    account.on_ingress(1, 100, 100)
    account.on_ingress(2, 0, 0)
    assert account.grant(101) == 101


def test_what_is_dropped_or_behind_a_gap_is_not_under_way() -> None:
    account = CreditAccount(100)
    account.on_dropped(50)
    assert account.applied_bytes == 50
    account.on_ingress(9, 10, 10)
    account.on_dropped(10)
    assert account.applied_bytes == 50
    account.on_gap()
    assert account.applied_bytes == 70
    assert account.is_settled


def test_batches_taken_together_overrun_when_the_last_of_them_begins_beyond_the_credit() -> None:
    account = CreditAccount(100)
    assert account.on_ingress(3, 120, 30)
    account = CreditAccount(100)
    assert not account.on_ingress(3, 120, 20)
