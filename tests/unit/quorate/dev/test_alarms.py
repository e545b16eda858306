"""What a person in front of ``quorate dev`` reads of the members' alarms."""

from __future__ import annotations

from dataclasses import replace

from quorate.consensus.types import Seat
from quorate.control.status import AlarmRow, MemberState, MemberStatus
from quorate.dev.alarms import ToldAlarms
from quorate_processes.stand_ins import says as status_of


def says(seat: int, **alarms: str) -> dict[Seat, MemberStatus | None]:
    rows = tuple(AlarmRow(name, detail) for name, detail in alarms.items())
    return {Seat(seat): replace(status_of(seat, MemberState.FOLLOWER), alarms=rows)}


def test_an_alarm_is_told_when_it_begins_and_when_it_ends() -> None:
    told = ToldAlarms()
    assert told.news(says(1)) == []
    assert told.news(says(1, full="no room", slow="70 ms") | says(2, slow="9 ms")) == [
        (1, "member 1: ALARM full: no room"),
        (1, "member 1: ALARM slow: 70 ms"),
        (2, "member 2: ALARM slow: 9 ms"),
    ]
    assert told.news(says(1, full="no room", slow="80 ms")) == []
    assert told.news(says(1, slow="80 ms") | says(2)) == [
        (1, "member 1: alarm full has ended"),
        (2, "member 2: alarm slow has ended"),
    ]
    assert told.news(says(1, full="again", slow="80 ms")) == [(1, "member 1: ALARM full: again")]


def test_a_member_that_does_not_answer_ends_no_alarm_and_repeats_none() -> None:
    told = ToldAlarms()
    assert len(told.news(says(1, full="no room"))) == 1
    assert told.news({Seat(1): None}) == []
    assert told.news(says(1, full="no room")) == []
