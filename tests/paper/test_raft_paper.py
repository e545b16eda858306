"""The claims of the Raft paper that apply here, one test each, with the section it stands in.

"Raft" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", extended
version; "thesis" is Ongaro's dissertation. Words differ: see the glossary (a canvass is a
pre-vote, a leadership term is a term, a log position takes the place of an index).
"""

from __future__ import annotations

import pytest

from quorate.consensus.core import Deadline
from quorate.consensus.types import Role
from quorate_simulation.scenario import Scenario

FOUNDED = """
cluster 3
link all
"""
LED = """
cluster 3
link all
elect 0 with 1 2
settle
"""


def run(*scripts: str) -> Scenario:
    scenario = Scenario()
    for script in scripts:
        scenario.run(script)
    return scenario


def logs(scenario: Scenario) -> list[list[tuple[int, int]]]:
    """Return (term, position) of every frame on every disk."""
    return [
        [(frame.leadership_term_id, frame.position) for frame in node.member.disk.frames]
        for node in scenario.cluster.nodes
    ]


# -- section 5.1: basics -------------------------------------------------------------------------


def test_5_1_a_server_starts_as_follower() -> None:
    scenario = run("cluster 3")
    assert {node.module.role for node in scenario.cluster.nodes if node.module} == {Role.FOLLOWER}


def test_5_1_a_larger_term_is_adopted_and_ends_leadership() -> None:
    run(
        LED,
        """
        cut 0 | 1 2
        elect 1 with 2
        heal
        beat 1
        deliver 1->0 AppendFrames
        expect role 0 follower
        expect term 0 2
        """,
    )


def test_5_1_a_message_with_a_stale_term_is_refused_with_the_present_term() -> None:
    run(
        LED,
        """
        cut 0 | 1 2
        propose 0 100
        elect 1 with 2
        settle 1 2
        mark log 2
        heal
        deliver 0->2 AppendFrames
        expect end 2 log
        expect waiting 2->0 AppendReport leadership_term_id=2
        """,
    )


# -- section 5.2: leader election ----------------------------------------------------------------


def test_5_2_heartbeats_keep_a_follower_quiet() -> None:
    scenario = run(LED, "beat 0", "deliver 0->1 AppendFrames")
    node = scenario.cluster.nodes[1]
    assert node.module is not None
    deadlines = node.module.deadlines()
    assert set(deadlines) == {Deadline.ELECTION}
    assert deadlines[Deadline.ELECTION] >= node.now.loop + 500_000_000


def test_5_2_silence_leads_to_an_election_in_the_next_term_with_a_vote_for_oneself() -> None:
    scenario = run(
        LED,
        """
        crash 0
        fire 2 election
        tick 1
        tick 1
        deliver 1->2 Canvass
        deliver 2->1 CanvassAnswer
        persist 1
        expect role 1 candidate
        expect term 1 2
        expect waiting 1->2 RequestVote candidate_term_id=2
        """,
    )
    member = scenario.cluster.nodes[1].member
    assert member.state.vote == member.member_id


def test_5_2_a_candidate_wins_with_a_majority_and_tells_everyone() -> None:
    run(
        FOUNDED,
        """
        elect 0 with 1
        expect leader 0
        expect waiting 0->1 AppendFrames
        expect waiting 0->2 AppendFrames
        """,
    )


def test_5_2_half_of_the_votes_are_not_a_majority() -> None:
    run(
        """
        cluster 4
        link all
        fire 0 election
        fire 1 election
        fire 0 stand
        deliver 0->1 Canvass
        deliver 1->0 CanvassAnswer
        settle 0 1
        expect role 0 follower
        expect term 0 0
        """
    )


def test_5_2_at_most_one_vote_a_term_first_come_first_served() -> None:
    run(
        FOUNDED,
        """
        fire 0 election
        fire 1 election
        fire 2 election
        fire 0 stand
        fire 2 stand
        deliver 0->1 Canvass
        deliver 2->1 Canvass
        deliver 1->0 CanvassAnswer
        deliver 1->2 CanvassAnswer
        persist 0
        persist 2
        deliver 2->1 RequestVote
        deliver 0->1 RequestVote
        persist 1
        expect waiting 1->2 Vote granted=True
        expect waiting 1->0 Vote granted=False
        """,
    )


def test_5_2_a_candidate_follows_a_leader_of_its_own_term() -> None:
    run(
        FOUNDED,
        """
        fire 0 election
        fire 1 election
        fire 2 election
        fire 0 stand
        fire 2 stand
        deliver 0->1 Canvass
        deliver 2->1 Canvass
        deliver 1->0 CanvassAnswer
        deliver 1->2 CanvassAnswer
        persist 0
        persist 2
        deliver 0->1 RequestVote
        persist 1
        deliver 1->0 Vote
        expect leader 0
        expect role 2 candidate
        deliver 0->2 AppendFrames
        expect role 2 follower
        expect term 2 1
        """,
    )


def test_5_2_a_split_vote_is_tried_again_in_a_new_term() -> None:
    run(
        FOUNDED,
        """
        fire 0 election
        fire 1 election
        fire 2 election
        fire 0 stand
        fire 1 stand
        deliver 0->2 Canvass
        deliver 1->2 Canvass
        deliver 2->0 CanvassAnswer
        deliver 2->1 CanvassAnswer
        persist 0
        persist 1
        settle 0 1
        expect no leader
        fire 0 campaign
        fire 1 campaign
        fire 0 stand
        settle 0 1
        expect leader 0
        expect term 0 2
        """,
    )


def test_5_2_election_timeouts_are_spread_at_random() -> None:
    scenario = run("cluster 5")
    drawn = set()
    for node in scenario.cluster.nodes:
        assert node.module is not None
        drawn.add(node.module.deadlines()[Deadline.ELECTION] - node.now.loop)
    assert len(drawn) == 5
    assert all(500_000_000 <= timeout <= 800_000_000 for timeout in drawn)


# -- section 5.3: log replication ----------------------------------------------------------------


def test_5_3_a_leader_commits_what_a_majority_holds_and_followers_learn_it() -> None:
    run(
        LED,
        """
        propose 0 100
        mark frame 0
        persist 0
        expect commit 0 832
        deliver 0->1 AppendFrames
        persist 1
        deliver 1->0 AppendReport
        expect commit 0 frame
        expect commit 1 832
        fire 0 publish
        deliver 0->1 AppendFrames
        expect commit 1 frame
        """,
    )


def test_5_3_two_followers_commit_while_the_leader_still_writes() -> None:
    run(
        LED,
        """
        propose 0 100
        mark frame 0
        deliver 0->1 AppendFrames
        deliver 0->2 AppendFrames
        persist 1
        persist 2
        deliver 1->0 AppendReport
        deliver 2->0 AppendReport
        expect commit 0 frame
        """,
    )


def test_5_3_frames_are_refused_behind_a_boundary_that_is_not_held() -> None:
    run(
        LED,
        """
        propose 0 100
        drop 0->1 AppendFrames
        propose 0 100
        deliver 0->1 AppendFrames
        expect waiting 1->0 AppendReport matched=False
        expect frames 1 2
        settle
        beat 0
        settle
        expect same 0 1
        """,
    )


@pytest.mark.parametrize("extra", [0, 1, 3])
@pytest.mark.parametrize("missing", [0, 1, 3])
def test_5_3_a_leader_makes_every_log_like_its_own(extra: int, missing: int) -> None:
    """Figure 7: followers that lack frames, that have others, and both."""
    script = [LED, "cut 0 | 1 2", *["propose 0 100"] * extra]
    script += ["elect 1 with 2", *["propose 1 50"] * missing, "settle 1 2", "heal", "persist 0"]
    if not extra:
        script.remove("persist 0")
    scenario = run(*script, "beat 1", "settle", "beat 1", "settle", "expect leader 1")
    assert logs(scenario)[0] == logs(scenario)[1] == logs(scenario)[2]


def test_5_3_equal_term_and_position_mean_equal_logs() -> None:
    scenario = run(
        LED,
        """
        propose 0 100
        settle
        crash 0
        elect 2 with 1
        propose 2 70
        settle 1 2
        """,
    )
    first, second = (scenario.cluster.nodes[seat].member.disk.frames for seat in (1, 2))
    assert [frame.data for frame in first] == [frame.data for frame in second]


# -- section 5.4: safety -------------------------------------------------------------------------


def test_5_4_1_no_vote_for_a_log_that_is_behind_in_length() -> None:
    run(
        LED,
        """
        cut 0 1 | 2
        propose 0 100
        settle 0 1
        mark committed 0
        expect commit 0 committed
        crash 0
        heal
        fire 1 election
        fire 2 election
        drop 0->2 all
        fire 2 stand
        deliver 2->1 Canvass
        expect waiting 1->2 CanvassAnswer granted=False
        """,
    )


def test_5_4_1_a_later_last_term_beats_a_longer_log() -> None:
    run(
        LED,
        """
        cut 0 | 1 2
        propose 0 900
        propose 0 900
        persist 0
        elect 1 with 2
        settle 1 2
        crash 1
        advance 0 900
        fire 0 check_quorum
        heal
        fire 0 election
        fire 2 election
        fire 0 stand
        deliver 0->2 Canvass
        expect waiting 2->0 CanvassAnswer granted=False
        elect 2 with 0
        settle
        expect same 0 2
        """,
    )


def test_5_4_2_only_frames_of_the_own_term_are_committed_by_counting() -> None:
    run(
        LED,
        """
        propose 0 100
        drop 0->1 all
        drop 0->2 all
        persist 0
        mark old 0
        crash 0
        restart 0
        forget 1 0
        forget 2 0
        link all
        elect 0 with 1
        expect term 0 2
        deliver 0->1 AppendFrames
        deliver 1->0 AppendReport
        deliver 0->1 AppendFrames
        deliver 1->0 AppendReport
        read 0
        answer 0
        deliver 0->1 AppendFrames
        persist 1
        deliver 1->0 AppendReport
        expect end 1 old
        expect commit 0 0
        settle
        beat 0
        settle
        mark new 0
        expect commit 0 new
        """,
    )


def test_5_4_3_a_new_leader_has_every_committed_frame() -> None:
    scenario = run(
        """
        cluster 5
        link all
        elect 0 with 1 2
        settle 0 1 2
        propose 0 100
        settle 0 1 2
        mark committed 0
        crash 0
        crash 1
        elect 2 with 3 4
        """
    )
    committed = scenario.cluster.history.committed.frames
    assert committed
    assert scenario.cluster.nodes[2].member.log.frames[: len(committed)] == committed


# -- section 5.5: crashes ------------------------------------------------------------------------


def test_5_5_a_message_that_arrives_twice_changes_nothing() -> None:
    run(
        LED,
        """
        propose 0 100
        deliver 0->1 AppendFrames keep
        persist 1
        mark log 1
        deliver 0->1 AppendFrames
        expect end 1 log
        settle
        expect same 0 1
        """,
    )


def test_5_5_a_follower_that_was_down_catches_up() -> None:
    run(
        LED,
        """
        crash 2
        propose 0 100
        propose 0 100
        settle
        restart 2
        forget 0 2
        forget 1 2
        link all
        settle
        beat 0
        settle
        expect same 0 2
        """,
    )


# -- section 8 and the thesis --------------------------------------------------------------------


def test_8_a_leader_begins_its_term_with_a_frame_that_commits_what_was_before() -> None:
    scenario = run(
        LED,
        """
        propose 0 100
        deliver 0->1 AppendFrames
        persist 1
        crash 0
        elect 1 with 2
        settle 1 2
        mark all 1
        expect commit 2 all
        """,
    )
    terms = [term for term, _ in logs(scenario)[1]]
    assert terms == [0, 1, 1, 2]


def test_thesis_3_10_a_transfer_waits_until_the_target_has_everything() -> None:
    run(
        LED,
        """
        cut 0 2 | 1
        propose 0 100
        settle 0 2
        transfer 0 1
        expect silent 0->1 StandNow
        heal
        settle
        beat 0
        settle
        expect leader 1
        expect term 1 2
        expect reached transfer completed
        """,
    )


def test_thesis_4_2_3_a_member_that_hears_its_leader_is_not_disrupted() -> None:
    run(
        LED,
        """
        cut 0 1 | 2
        fire 2 election
        fire 2 stand
        heal
        deliver 2->1 Canvass
        expect waiting 1->2 CanvassAnswer granted=False
        settle
        expect leader 0
        expect term 2 1
        """,
    )


def test_thesis_9_6_a_pre_vote_raises_no_term() -> None:
    run(
        FOUNDED,
        """
        cut 0 1 | 2
        fire 2 election
        fire 2 stand
        fire 2 campaign
        fire 2 stand
        fire 2 campaign
        expect term 2 0
        """,
    )
