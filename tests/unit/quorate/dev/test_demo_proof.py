"""The proof must find every way in which a run can be wrong, and nothing in one that is right."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.archive.archive import Archive
from quorate.archive.files import SystemFiles
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog
from quorate.consensus.types import ClusterId, LogPosition, MemberId
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
from quorate.protocol.log_codec import EntryType
from quorate.testing import HarnessSession, ServiceHarness

SENT = [b"8", b"x5", b"+2", b"=", *keys(7, 300)]
SEATS = (0, 1, 2)


def send(session: HarnessSession, first: int, messages: list[bytes]) -> None:
    """Append a batch with a sequence of the test's choice, as clients do after a reconnect."""
    session.harness.append_entry(
        EntryType.SESSION_INGRESS,
        session,
        encode_ingress_batch(messages),
        first_sequence=first,
        message_count=len(messages),
    )


def record(directory: Path, harness: ServiceHarness) -> Path:
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
    archive.persist([AppendToLog(1, tuple(row.frame for row in harness.applied))])
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


def whole(session: HarnessSession) -> None:
    send(session, 1, SENT[:100])
    send(session, 101, SENT[100:])


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


def test_what_was_not_acknowledged_is_found(tmp_path: Path) -> None:
    verdict = told(replace(run(tmp_path, whole), acknowledged=len(SENT) - 1))
    assert "303 of 304 messages acknowledged" in problems(verdict)


@pytest.mark.parametrize("damage", ["changed", "missing", "double"])
def test_answers_that_differ_are_found(tmp_path: Path, damage: str) -> None:
    evidence = run(tmp_path, whole)
    answers = list(evidence.answers)
    if damage == "changed":
        answers[3] = (answers[3][0], b"nonsense")
    elif damage == "missing":
        del answers[-1]
    else:
        answers.insert(2, answers[2])
    verdict = told(replace(evidence, answers=answers))
    assert not verdict.answers_equal
    assert "the answers differ from those without a cluster" in problems(verdict)


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
    assert ingress.messages == [b"a", b"b", b"c"]
    assert (ingress.doubles, ingress.gaps) == (1, 1)
