from quorate.gateway.credit import CreditAccount


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


def test_what_is_dropped_behind_what_is_under_way_is_freed_with_it() -> None:
    """Or a client whose ingress was refused would go on with less credit for ever."""
    account = CreditAccount(100)
    account.on_ingress(2, 40, 40)
    account.on_dropped(30)
    assert account.on_applied(1) == 20
    assert account.applied_bytes == 20
    assert account.on_applied(2) == 50
    assert account.applied_bytes == account.received_bytes == 70
    assert account.is_settled


def test_batches_taken_together_overrun_when_the_last_of_them_begins_beyond_the_credit() -> None:
    account = CreditAccount(100)
    assert account.on_ingress(3, 120, 30)
    account = CreditAccount(100)
    assert not account.on_ingress(3, 120, 20)


def applied_in_rounds(account: CreditAccount, share: int, rounds: int) -> list[int]:
    """Send all that is granted and apply it, again and again; return each limit granted."""
    limits = []
    for sequence in range(1, rounds + 1):
        account.on_ingress(sequence, account.granted_bytes - account.received_bytes, 1)
        account.on_applied(sequence)
        limit = account.grant(share)
        assert limit is not None
        limits.append(limit - account.received_bytes)
    return limits


def test_the_window_doubles_while_it_is_used_up_to_the_share() -> None:
    assert applied_in_rounds(CreditAccount(100), 1000, 5) == [200, 400, 800, 1000, 1000]


def test_who_asks_for_little_is_not_given_more() -> None:
    account = CreditAccount(100)
    for sequence in range(1, 50):
        account.on_ingress(sequence, 20, 20)
        account.on_applied(sequence)
        account.grant(1000)
        assert account.granted_bytes - account.received_bytes <= 100


def test_the_window_doubles_once_for_each_window_applied() -> None:
    account = CreditAccount(100)
    account.on_ingress(1, 90, 90)
    account.on_ingress(2, 10, 10)
    account.on_applied(1)
    assert account.grant(1000) == 290
    account.on_ingress(3, 180, 180)
    assert account.grant(1000) is None, "nothing more was applied"


def test_a_share_that_shrinks_takes_nothing_back_and_grants_less() -> None:
    account = CreditAccount(100)
    account.on_ingress(1, 100, 100)
    account.on_applied(1)
    assert account.grant(50) == 150
    account.on_ingress(2, 50, 50)
    assert account.grant(0) is None
    account.on_applied(2)
    assert account.grant(0) is None
    assert account.is_used_up


def test_who_begins_without_credit_gets_some_as_soon_as_there_is_a_share() -> None:
    account = CreditAccount(0)
    assert account.grant(0) is None
    limit = account.grant(4096)
    assert limit is not None
    account.on_ingress(1, limit, limit)
    account.on_applied(1)
    assert account.grant(4096) == 3 * limit, "and grows from there as everybody does"


def test_a_batch_that_is_applied_in_part_is_freed_in_part() -> None:
    account = CreditAccount(1000, applied_sequence=100)
    account.on_ingress(110, 200, 200)
    account.on_ingress(120, 100, 100)
    assert account.on_applied(101) == 20
    assert account.on_applied(105) == 80
    assert account.on_applied(105) == 0
    assert account.on_applied(115) == 150
    assert account.on_applied(120) == 50
    assert account.is_settled


def test_what_was_applied_before_is_freed_when_it_is_sent_again() -> None:
    account = CreditAccount(1000, applied_sequence=100)
    account.on_ingress(100, 50, 50)
    account.on_ingress(104, 40, 40)
    assert account.on_applied(100) == 50
    assert account.on_applied(102) == 20
