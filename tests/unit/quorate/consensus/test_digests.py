"""Comparing what the services of members produced."""

from __future__ import annotations

import pytest

from quorate.consensus.core import Deadline
from quorate.consensus.digests import POSITIONS_KEPT, DigestLedger
from quorate.consensus.effects import Alarm, ServiceDiverged
from quorate.consensus.messages import DigestReport, DigestVerdict
from quorate.consensus.module import Rejection
from quorate.consensus.types import LogPosition, Role, Seat
from quorate_consensus.driven import Driven, append, report
from quorate_consensus.logs import HandLog

AT = LogPosition(640)
A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def ledger_with(*digests: bytes) -> DigestLedger:
    ledger = DigestLedger()
    for seat, digest in enumerate(digests):
        ledger.report(Seat(seat), AT, digest)
    return ledger


@pytest.mark.parametrize(
    ("digests", "majority", "odd", "undecidable"),
    [
        ((), None, [], False),
        ((A,), None, [], False),
        ((A, A), A, [], False),
        ((A, B), None, [], False),
        ((A, B, A), A, [1], False),
        ((B, A, A), A, [0], False),
        ((A, B, C), None, [], True),
    ],
)
def test_a_strict_majority_of_all_three_decides(
    digests: tuple[bytes, ...], majority: bytes | None, odd: list[int], undecidable: bool
) -> None:
    voters = [Seat(0), Seat(1), Seat(2)]
    assert ledger_with(*digests).verdict(AT, voters) == (majority, odd, undecidable)


def test_half_of_four_decides_nothing() -> None:
    voters = [Seat(seat) for seat in range(4)]
    assert ledger_with(A, A, B, B).verdict(AT, voters) == (None, [], True)
    assert ledger_with(A, A, B).verdict(AT, voters) == (None, [], False)


def test_a_learner_has_no_voice_but_is_told() -> None:
    voters = [Seat(0), Seat(1), Seat(2)]
    assert ledger_with(A, B, C, A).verdict(AT, voters) == (None, [], True)
    assert ledger_with(A, A, A, B).verdict(AT, voters) == (A, [3], False)


def test_old_positions_are_forgotten() -> None:
    ledger = DigestLedger()
    for position in range(POSITIONS_KEPT + 1):
        ledger.report(Seat(0), LogPosition(position), A)
    assert ledger.verdict(LogPosition(0), [Seat(0)]) == (None, [], False)
    assert ledger.verdict(LogPosition(1), [Seat(0)]) == (A, [], False)


def leading() -> Driven:
    leader = Driven()
    leader.be_elected(1, 2)
    leader.clear()
    return leader


def test_the_leader_tells_the_odd_member() -> None:
    leader = leading()
    leader.module.on_digest(leader.now, AT, A)
    leader.receive(1, DigestReport(AT, B))
    assert not leader.sent(DigestVerdict)
    leader.receive(2, DigestReport(AT, A))
    assert leader.sent(DigestVerdict) == leader.sent(DigestVerdict, 1) == [DigestVerdict(AT, A)]
    assert not leader.of(ServiceDiverged)


def test_the_leader_has_no_more_weight_than_any() -> None:
    leader = leading()
    leader.module.on_digest(leader.now, AT, A)
    leader.receive(1, DigestReport(AT, B))
    leader.receive(2, DigestReport(AT, B))
    assert leader.of(ServiceDiverged) == [ServiceDiverged(AT, A, B)]


def test_without_a_majority_nobody_stops_and_ingress_is_refused() -> None:
    leader = leading()
    for position in (AT, LogPosition(AT + 64)):
        for seat, digest in ((1, B), (2, C)):
            leader.receive(seat, DigestReport(position, digest))
        leader.module.on_digest(leader.now, position, A)
    leader.drain()
    assert [alarm.name for alarm in leader.of(Alarm)] == ["services_disagree"]
    assert leader.module.is_undecided
    assert not leader.of(ServiceDiverged)
    assert leader.module.propose(leader.now, b"", 0) is Rejection.DIVERGED
    assert isinstance(leader.module.propose_empty(leader.now), int)


def test_a_follower_tells_each_new_leader_its_latest_digests() -> None:
    follower = Driven()
    for number in range(6):
        follower.module.on_digest(follower.now, LogPosition(64 * number), A)
    follower.drain()
    assert not follower.sent(DigestReport)
    log = HandLog()
    log.begin_term(1)
    follower.link(1, 2)
    follower.receive(1, append(1), append(1))
    assert [told.position for told in follower.sent(DigestReport, 1)] == [128, 192, 256, 320]
    follower.clear()
    follower.module.on_digest(follower.now, LogPosition(384), B)
    follower.receive(2, append(2))
    assert follower.sent(DigestReport, 1) == [DigestReport(LogPosition(384), B)]
    assert len(follower.sent(DigestReport, 2)) == 4
    follower.clear()
    follower.receive(2, append(3), append(3))
    assert len(follower.sent(DigestReport, 2)) == 4, "the same member begins each term with none"


def test_a_new_leader_begins_with_its_own_digests() -> None:
    leader = Driven()
    leader.module.on_digest(leader.now, AT, A)
    leader.be_elected(1)
    leader.receive(1, DigestReport(AT, B))
    leader.receive(2, DigestReport(AT, B))
    assert leader.of(ServiceDiverged) == [ServiceDiverged(AT, A, B)]


def test_only_the_leaders_verdict_counts_and_only_on_another_digest() -> None:
    follower = Driven()
    follower.module.on_digest(follower.now, AT, A)
    follower.link(1, 2)
    follower.receive(1, append(1))
    follower.receive(2, DigestVerdict(AT, B), DigestReport(AT, B))
    follower.receive(1, DigestVerdict(AT, A), DigestVerdict(LogPosition(0), B))
    assert not follower.of(ServiceDiverged)
    follower.receive(1, DigestVerdict(AT, B))
    assert follower.of(ServiceDiverged) == [ServiceDiverged(AT, A, B)]


def test_a_report_of_a_later_term_ends_the_comparison() -> None:
    leader = leading()
    leader.receive(1, report(leader, term=9))
    leader.receive(1, DigestReport(AT, B))
    leader.module.on_digest(leader.now, AT, A)
    leader.drain()
    assert not leader.sent(DigestVerdict)
    assert not leader.sent(DigestReport)


def elected_again(leader: Driven) -> None:
    leader.wait(2000)
    leader.fire(Deadline.CHECK_QUORUM)
    assert not leader.has_role(Role.LEADER)
    leader.be_elected(1, 2)
    leader.clear()


def test_a_new_term_of_the_same_leader_decides_for_itself() -> None:
    """Members may have been restarted meanwhile, and their services be well again."""
    leader = leading()
    for seat, digest in ((1, B), (2, C)):
        leader.receive(seat, DigestReport(AT, digest))
    leader.module.on_digest(leader.now, AT, A)
    assert leader.module.is_undecided
    elected_again(leader)
    assert not leader.module.is_undecided
    assert isinstance(leader.module.propose(leader.now, b"", 0), int)


def test_who_judges_no_more_takes_its_alarm_back_and_raises_it_again_as_judge() -> None:
    leader = leading()
    for _ in range(2):
        leader.clear()
        leader.module.on_digest(leader.now, AT, A)
        for seat, digest in ((1, B), (2, C)):
            leader.receive(seat, DigestReport(AT, digest))
        assert leader.module.is_undecided
        leader.receive(1, append(leader.module.term + 1))
        assert [alarm.raised for alarm in leader.of(Alarm)] == [True, False]
        assert not leader.module.is_undecided
        leader.be_elected(1, 2)


def test_what_was_reported_in_an_earlier_term_counts_no_more() -> None:
    leader = leading()
    leader.receive(1, DigestReport(AT, B))
    elected_again(leader)
    leader.receive(2, DigestReport(AT, A))
    leader.module.on_digest(leader.now, AT, A)
    leader.drain()
    assert not leader.sent(DigestVerdict)
