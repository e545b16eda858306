import pytest

from quorate.client.member_rotation import BACKOFF_MAX_NS, BACKOFF_MIN_NS, MemberRotation


def test_dials_the_members_in_turn() -> None:
    rotation = MemberRotation(["a:1", "b:1", "a:1"])
    assert [rotation.next() for _ in range(4)] == ["a:1", "b:1", "a:1", "b:1"]


def test_dials_the_address_of_a_redirect_next_and_goes_on_behind_it() -> None:
    rotation = MemberRotation(["a:1", "b:1", "c:1"])
    rotation.next()
    rotation.prefer("c:1")
    assert [rotation.next() for _ in range(3)] == ["c:1", "a:1", "b:1"]


def test_follows_a_redirect_to_an_address_that_it_did_not_know() -> None:
    rotation = MemberRotation(["a:1"])
    rotation.prefer("z:9")
    assert [rotation.next() for _ in range(2)] == ["z:9", "a:1"]


def test_learns_the_members_and_keeps_the_given_addresses_in_reserve() -> None:
    rotation = MemberRotation(["service:1"])
    rotation.learn(("a:1", "b:1"))
    assert rotation.addresses == ("a:1", "b:1", "service:1")
    rotation.learn(())
    assert rotation.addresses == ("a:1", "b:1", "service:1")


def test_waits_longer_after_each_failure_up_to_a_bound() -> None:
    rotation = MemberRotation(["a:1"])
    assert rotation.delay_ns == 0
    delays = []
    for _ in range(8):
        rotation.on_failure()
        delays.append(rotation.delay_ns)
    assert delays[:3] == [BACKOFF_MIN_NS, 2 * BACKOFF_MIN_NS, 4 * BACKOFF_MIN_NS]
    assert delays[-1] == BACKOFF_MAX_NS
    rotation.on_success()
    assert rotation.delay_ns == 0


def test_a_suspect_is_one_until_its_time_or_a_success() -> None:
    rotation = MemberRotation(["a:1"])
    rotation.suspect("a:1", 100)
    assert rotation.suspect_until("a:1", 99) == 100
    assert rotation.suspect_until("a:1", 100) is None
    assert rotation.suspect_until("b:1", 0) is None
    rotation.on_success()
    assert rotation.suspect_until("a:1", 0) is None


def test_needs_an_address() -> None:
    with pytest.raises(AssertionError):
        MemberRotation([])


def test_members_that_are_none_any_more_are_forgotten_and_given_ones_are_not() -> None:
    rotation = MemberRotation(["given:1", "a:1"])
    rotation.learn(["a:1", "b:1"])
    assert rotation.addresses == ("a:1", "b:1", "given:1")
    rotation.learn(["c:1", "given:1", "c:1"])
    assert rotation.addresses == ("c:1", "given:1", "a:1")
