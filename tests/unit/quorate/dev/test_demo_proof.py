"""The proof must find every way in which a run can be wrong, and nothing in one that is right."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.archive.archive import Archive
from quorate.archive.files import SystemFiles
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog
from quorate.consensus.types import (
    Chain,
    ClusterId,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    MemberId,
)
from quorate.dev import demo_proof
from quorate.dev.demo_proof import (
    Evidence,
    SessionIngress,
    Verdict,
    answers_without_cluster,
    examine,
)
from quorate.examples.calculator import Calculator
from quorate.examples.calculator_keys import keys
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.log_codec import EntryType, encode_frame, frame_body
from quorate.testing import HarnessSession, ServiceHarness

SENT = [b"8", b"x5", b"+2", b"=", *keys(7, 300)]
SEATS = (0, 1, 2)
FIRST_BATCH, LAST_BATCH = 4, 5
"""Frames of a log: the founding, the stranger's session and message, ours, then our messages."""


def send(session: HarnessSession, first: int, messages: list[bytes]) -> None:
    """Append a batch with a sequence of the test's choice, as clients do after a reconnect."""
    session.harness.append_entry(
        EntryType.SESSION_INGRESS,
        session,
        encode_ingress_batch(messages),
        first_sequence=first,
        message_count=len(messages),
    )


def under_another_leader(frames: list[LogFrame], first: int) -> list[LogFrame]:
    """Return a log whose frames from this one on are of the next leadership term."""
    made: list[LogFrame] = []
    for index, frame in enumerate(frames):
        encoded = encode_frame(
            frame.position,
            LeadershipTermId(frame.leadership_term_id + (index >= first)),
            frame.timestamp,
            made[-1].chain if made else Chain(0),
            frame.frame_type,
            frame_body(frame),
            frame.entry_count,
        )
        made.append(encoded)
    return made


def record(directory: Path, harness: ServiceHarness, *, change: int = LAST_BATCH) -> Path:
    """Record the log; the leader changes before the frame of this index."""
    frames = under_another_leader([row.frame for row in harness.applied], change)
    constants = ClusterConstants(segment_length=1024 * 1024)
    archive = Archive.open(
        SystemFiles(str(directory), create=True),
        cluster_id=ClusterId(b"quorate.testing."),
        constants=constants,
        durability=Durability.REPLICATED,
        boot_id=bytes(16),
        new_member_id=MemberId(b"m" * 16),
        spares=0,
    )
    archive.persist([AppendToLog(1, tuple(frames))])
    archive.close_clean()
    return directory


def run(tmp_path: Path, play: Callable[[HarnessSession], None]) -> Evidence:
    """Return the evidence of a session with another one beside it."""
    harness = ServiceHarness(Calculator)
    harness.open_session("a stranger").send(b"1", b"=")
    session = harness.open_session("demo")
    play(session)
    return Evidence(
        messages=SENT,
        answers=[(row.ingress_sequence, row.payload) for row in session.egress],
        session_id=session.session_id,
        acknowledged=len(SENT),
        position=harness.container.position,
        digests=dict.fromkeys(SEATS, harness.digest.hex()),
        recordings={seat: record(tmp_path / str(seat), harness) for seat in SEATS},
    )


def in_two_batches(session: HarnessSession, messages: list[bytes]) -> None:
    send(session, 1, messages[:100])
    send(session, 101, messages[100:])


def whole(session: HarnessSession) -> None:
    in_two_batches(session, SENT)


def member_that_recorded(
    messages: list[bytes], *, later_by: int = 0
) -> tuple[ServiceHarness, HarnessSession]:
    """Return what a member did whose log holds other messages, or those at another time."""
    harness = ServiceHarness(Calculator)
    harness.open_session("a stranger").send(b"1", b"=")
    session = harness.open_session("demo")
    harness.time += later_by
    in_two_batches(session, messages)
    return harness, session


def with_doubles(session: HarnessSession) -> None:
    send(session, 1, SENT[:100])
    send(session, 1, SENT[:100])
    send(session, 51, SENT[50:200])
    send(session, 202, SENT[201:])
    send(session, 201, SENT[200:])


def problems(verdict: Verdict) -> str:
    return "\n".join(verdict.problems)


def told(evidence: Evidence) -> Verdict:
    return examine(evidence, lambda _text: None)


def test_a_sound_run_has_no_problems(tmp_path: Path) -> None:
    evidence = run(tmp_path, whole)
    verdict = told(evidence)
    assert not verdict.problems
    assert verdict.answers_equal
    assert verdict.applied == dict.fromkeys(SEATS, len(SENT))
    assert verdict.replayed == evidence.digests
    assert verdict.doubles == 0


def test_the_proof_is_the_same_in_small_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame of a cluster may hold more messages than are applied in one step."""
    monkeypatch.setattr(demo_proof, "MESSAGES_PER_STEP", 7)
    monkeypatch.setattr(demo_proof, "REFERENCE_BATCH", 11)
    assert not told(run(tmp_path, whole)).problems


def test_doubles_and_holes_in_the_log_are_what_apply_makes_of_them(tmp_path: Path) -> None:
    verdict = told(run(tmp_path, with_doubles))
    assert not verdict.problems
    assert verdict.doubles == 150


def test_a_lost_message_is_found(tmp_path: Path) -> None:
    verdict = told(run(tmp_path, lambda session: send(session, 1, SENT[:-1])))
    assert "does not hold exactly what was sent: 303 of them, not 304" in problems(verdict)
    assert "not given every message once" in problems(verdict)


def test_messages_in_another_order_are_found(tmp_path: Path) -> None:
    swapped = [SENT[1], SENT[0], *SENT[2:]]
    verdict = told(run(tmp_path, lambda session: send(session, 1, swapped)))
    assert "not given every message once, in order: number 1 is b'x5', not b'8'" in problems(
        verdict
    )


ONE_LIE: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "lost": lambda sent, at: [*sent[:at], *sent[at + 1 :]],
    "doubled": lambda sent, at: [*sent[: at + 1], *sent[at:]],
    "altered": lambda sent, at: [*sent[:at], sent[at] + b"0", *sent[at + 1 :]],
    "swapped": lambda sent, at: [*sent[:at], sent[at + 1], sent[at], *sent[at + 2 :]],
}


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("at", [0, 99, 150, len(SENT) - 2])
@pytest.mark.parametrize("lie", ONE_LIE)
def test_one_member_whose_log_holds_something_else_is_found(
    tmp_path: Path, lie: str, at: int, seat: int
) -> None:
    """It tells the digest that its own log leads to, and the client has heard from others."""
    evidence = run(tmp_path, whole)
    messages = ONE_LIE[lie](SENT, at)
    assert messages != SENT, "this place cannot show the lie"
    harness, _ = member_that_recorded(messages)
    liar = record(tmp_path / "liar", harness)
    found = told(
        replace(
            evidence,
            recordings={**evidence.recordings, seat: liar},
            digests={**evidence.digests, seat: harness.digest.hex()},
        )
    )
    assert f"member {seat}: its recording does not hold exactly what was sent" in problems(found)
    assert f"member {seat}: its service was not given every message once" in problems(found)
    assert "the recordings differ below position" in problems(found)
    others = [problem for problem in found.problems if problem.startswith("member")]
    assert all(problem.startswith(f"member {seat}: ") for problem in others)


@pytest.mark.parametrize("lie", ONE_LIE)
def test_members_that_all_recorded_the_same_wrong_thing_are_found(tmp_path: Path, lie: str) -> None:
    """All agree with each other, and the client was answered by what they recorded."""
    evidence = run(tmp_path, lambda session: in_two_batches(session, ONE_LIE[lie](SENT, 1)))
    text = problems(told(evidence))
    assert "the answers differ from those without a cluster" in text
    for seat in SEATS:
        assert f"member {seat}: its recording does not hold exactly what was sent" in text
        assert f"member {seat}: its service answered differently" in text


def test_logs_that_differ_and_lead_to_the_same_are_found(tmp_path: Path) -> None:
    """Such as of two leaders that both took the session's messages."""
    evidence = run(tmp_path, whole)
    harness, _ = member_that_recorded(SENT, later_by=1)
    other = record(tmp_path / "other", harness)
    found = told(
        replace(
            evidence,
            recordings={**evidence.recordings, 1: other},
            digests={**evidence.digests, 1: harness.digest.hex()},
        )
    )
    assert f"the recordings differ below position {evidence.position}" in problems(found)


@pytest.mark.parametrize("change", [FIRST_BATCH, LAST_BATCH + 1], ids=["before all", "after all"])
def test_a_leader_that_did_not_change_meanwhile_is_found(tmp_path: Path, change: int) -> None:
    """Whatever members tell of their terms: the kill may have hit another, or nobody."""
    evidence = run(tmp_path, whole)
    harness, _ = member_that_recorded(SENT)
    steady = {seat: record(tmp_path / f"steady-{seat}", harness, change=change) for seat in SEATS}
    found = told(replace(evidence, recordings=steady))
    assert found.problems == [
        f"member {seat}: its recording holds no change of leader between the first message "
        "and the last"
        for seat in SEATS
    ]


def test_what_members_recorded_behind_the_position_is_not_looked_at(tmp_path: Path) -> None:
    """They go on while the client leaves."""
    evidence = run(tmp_path, whole)
    harness, session = member_that_recorded(SENT)
    session.close()
    harness.open_session("somebody else")
    longer = {seat: record(tmp_path / f"longer-{seat}", harness) for seat in SEATS}
    assert not told(replace(evidence, recordings=longer)).problems


def test_what_was_not_acknowledged_is_found(tmp_path: Path) -> None:
    verdict = told(replace(run(tmp_path, whole), acknowledged=len(SENT) - 1))
    assert "303 of 304 messages acknowledged" in problems(verdict)


@pytest.mark.parametrize("damage", ["changed", "missing", "double", "swapped", "of another"])
def test_answers_that_differ_are_found(tmp_path: Path, damage: str) -> None:
    evidence = run(tmp_path, whole)
    answers = list(evidence.answers)
    if damage == "changed":
        answers[3] = (answers[3][0], b"nonsense")
    elif damage == "missing":
        del answers[-1]
    elif damage == "swapped":
        answers[3], answers[4] = answers[4], answers[3]
    elif damage == "of another":
        answers[3] = (answers[3][0] + 1, answers[3][1])
    else:
        answers.insert(2, answers[2])
    verdict = told(replace(evidence, answers=answers))
    assert not verdict.answers_equal
    assert "the answers differ from those without a cluster" in problems(verdict)


def test_more_acknowledgements_than_messages_are_found(tmp_path: Path) -> None:
    verdict = told(replace(run(tmp_path, whole), acknowledged=len(SENT) + 1))
    assert "305 of 304 messages acknowledged" in problems(verdict)


def test_a_digest_that_does_not_follow_from_the_recording_is_found(tmp_path: Path) -> None:
    evidence = run(tmp_path, whole)
    verdict = told(replace(evidence, digests={**evidence.digests, 1: "00" * 16}))
    assert "member 1: it reported digest 0000" in problems(verdict)
    assert "the members' state digests differ" in problems(verdict)


def test_a_member_without_a_digest_is_found(tmp_path: Path) -> None:
    evidence = run(tmp_path, whole)
    verdict = told(replace(evidence, digests={0: evidence.digests[0]}))
    assert "member 2: it reported digest None" in problems(verdict)


def test_a_recording_that_ends_early_is_found(tmp_path: Path) -> None:
    evidence = run(tmp_path, whole)
    beyond = LogPosition(evidence.position + 64)
    verdict = told(replace(evidence, position=beyond))
    assert f"its recording ends at {evidence.position}, before {beyond}" in problems(verdict)


def test_a_recording_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    evidence = run(tmp_path, whole)
    missing = {**evidence.recordings, 2: tmp_path / "nowhere"}
    verdict = told(replace(evidence, recordings=missing))
    assert "member 2: its recording cannot be applied" in problems(verdict)


def test_the_reference_answers_the_first_keys_with_42() -> None:
    assert answers_without_cluster([b"8", b"x5", b"+2", b"="]) == [(4, b"42")]


def test_ingress_skips_doubles_and_ignores_what_lies_behind_a_hole() -> None:
    ingress = SessionIngress()
    ingress.add(1, [b"a", b"b"])
    ingress.add(4, [b"d"])
    ingress.add(2, [b"b", b"c"])
    ingress.add(1, [b"a"])
    assert ingress.messages == [b"a", b"b", b"c"]
    assert (ingress.doubles, ingress.gaps) == (2, 1)
