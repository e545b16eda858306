from quorate.gateway.session_clocks import SessionClocks


def test_sessions_without_a_connection_expire_from_when_they_were_heard() -> None:
    clocks = SessionClocks()
    clocks.start([1, 2], 0)
    clocks.heard(2, 50)
    assert clocks.silent([1, 2], {}, 100, 100) == []
    assert clocks.silent([1, 2], {}, 101, 100) == [1]
    assert clocks.silent([1, 2], {}, 151, 100) == [1, 2]


def test_a_new_leader_gives_everybody_the_whole_time_again() -> None:
    clocks = SessionClocks()
    clocks.start([1], 0)
    clocks.start([1], 90)
    assert clocks.silent([1], {}, 190, 100) == []
    assert clocks.silent([1], {}, 191, 100) == [1]


def test_a_session_seen_for_the_first_time_is_heard_then() -> None:
    clocks = SessionClocks()
    clocks.start([], 0)
    assert clocks.silent([7], {}, 500, 100) == []
    assert clocks.silent([7], {}, 601, 100) == [7]
    clocks.forget(7)
    assert clocks.silent([7], {}, 700, 100) == []


def test_of_sessions_that_have_ended_nothing_is_kept() -> None:
    clocks = SessionClocks()
    clocks.start([1, 2, 3], 0)
    clocks.keep([1, 3])
    assert clocks.silent([1], {}, 101, 100) == [1]
    assert clocks.silent([2], {}, 101, 100) == [], "seen for the first time"
