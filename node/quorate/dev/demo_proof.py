"""Proves from the members' recordings that every message was applied exactly once, in order.

Nothing here asks the cluster, not even whether the leader changed. Each recording is read frame by
frame and applied to a fresh service, which yields what that member must have applied, answered and
digested. The answers are compared with those of the same service on a log of its own, without a
cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quorate.archive.files import SystemFiles
from quorate.archive.inspect import iterate_frames
from quorate.consensus.types import Chain, FrameType, LeadershipTermId, LogFrame, LogPosition
from quorate.errors import QuorateError
from quorate.examples.calculator import Calculator
from quorate.protocol.batch import EgressKind, decode_egress_batch, decode_ingress_batch
from quorate.protocol.log_codec import EntryType, decode_entries
from quorate.service import ClientSession
from quorate.service.container import ServiceContainer
from quorate.service.outbox import EgressBatch
from quorate.testing import ServiceHarness

MESSAGES_PER_STEP = 4096
REFERENCE_BATCH = 4096

Answer = tuple[int, bytes]
"""Ingress sequence of the message that was answered, and the answer."""


@dataclass(slots=True)
class SessionIngress:
    """What a log holds of one session's ingress, by the rule of formats: doubles are skipped."""

    messages: list[bytes] = field(default_factory=list)
    """In the order of the log; message n of the session is at n - 1."""
    doubles: int = 0
    """Messages that stand in the log once more, sent again over a change of leader."""
    gaps: int = 0
    """Batches that begin beyond the next sequence, which apply ignores whole."""

    def add(self, first_sequence: int, batch: Sequence[bytes]) -> None:
        """Take one batch as it stands in the log."""
        known = len(self.messages) + 1 - first_sequence
        if known < 0:
            self.gaps += 1
            return
        self.doubles += min(known, len(batch))
        self.messages.extend(batch[known:])


class _Witness(Calculator):
    """A calculator that writes down which keys of one session it was given."""

    def __init__(self, session_id: int) -> None:
        super().__init__()
        self.given: list[bytes] = []
        self._session_id = session_id

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        if session is not None and session.session_id == self._session_id:
            self.given.append(message)
        super().on_session_message(session, timestamp, message)


@dataclass(frozen=True, slots=True)
class Replay:
    """What one recording holds up to a position, and what came of applying it anew."""

    position: LogPosition
    """Where it was stopped, or where the recording ends."""
    digest: bytes
    chain: Chain
    """Equal chains at a position mean equal logs up to there."""
    ingress: SessionIngress
    terms: set[LeadershipTermId]
    """Under whose leadership the session's messages came into the log, doubles not counted."""
    given: list[bytes]
    """What the service's callback was called with, in order."""
    answers: list[Answer]


def replay(data_directory: Path, session_id: int, end: LogPosition) -> Replay:
    """Apply a recording up to ``end`` to a fresh service.

    Args:
        data_directory: Of a member; only read, so it may run.
        session_id: Whose ingress and answers are collected.
        end: A frame boundary; where the recording ends earlier, the result's position tells.

    Raises:
        StorageError: The directory cannot be read.

    """
    service = _Witness(session_id)
    container = ServiceContainer(service, lambda _failure: None)
    container.start(None)
    ingress, terms, answers = SessionIngress(), set[LeadershipTermId](), list[Answer]()
    chain = Chain(0)
    files = SystemFiles(str(data_directory))
    try:
        for frame in iterate_frames(files):
            if frame.end > end:
                break
            before = len(ingress.messages)
            _collect_ingress(frame, session_id, ingress)
            if len(ingress.messages) > before:
                terms.add(frame.leadership_term_id)
            answers += _apply(container, frame, session_id)
            chain = frame.chain
    finally:
        files.close()
    given, position = service.given, container.position
    return Replay(position, container.digest, chain, ingress, terms, given, answers)


def _collect_ingress(frame: LogFrame, session_id: int, ingress: SessionIngress) -> None:
    if frame.frame_type is not FrameType.ENTRIES:
        return
    for entry in decode_entries(frame):
        wanted = entry.entry_type is EntryType.SESSION_INGRESS
        if wanted and entry.cluster_session_id == session_id:
            batch = decode_ingress_batch(entry.body, entry.message_count)
            ingress.add(entry.first_sequence, batch)


def _apply(container: ServiceContainer, frame: LogFrame, session_id: int) -> list[Answer]:
    container.begin(frame)
    while not container.step(MESSAGES_PER_STEP):
        pass
    return [
        (message.ingress_sequence, message.payload)
        for outbound in container.take_outbox()
        if isinstance(outbound, EgressBatch) and outbound.session_id == session_id
        for message in decode_egress_batch(outbound.batch, outbound.message_count)
        if message.kind is EgressKind.MESSAGE
    ]


def answers_without_cluster(messages: Sequence[bytes]) -> list[Answer]:
    """Return what the same service answers on a log of its own."""
    session = ServiceHarness(Calculator).open_session("reference")
    for first in range(0, len(messages), REFERENCE_BATCH):
        session.send(*messages[first : first + REFERENCE_BATCH])
        session.acknowledge()
    return [(row.ingress_sequence, row.payload) for row in session.egress]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the run left: what was sent and received, what members said, where they recorded."""

    messages: Sequence[bytes]
    """Everything offered on the session, in order."""
    answers: Sequence[Answer]
    """Everything received, in order."""
    session_id: int
    acknowledged: int
    position: LogPosition
    """Service position at which the members told their digests."""
    digests: dict[int, str]
    """Hexadecimal, by seat."""
    recordings: dict[int, Path]
    """Data directory, by seat."""


@dataclass(slots=True)
class Verdict:
    """What was found."""

    applied: dict[int, int] = field(default_factory=dict)
    """Messages that each member's service was given, by seat."""
    replayed: dict[int, str] = field(default_factory=dict)
    """Digest of applying each member's recording anew, hexadecimal, by seat."""
    doubles: int = 0
    """Messages in the log more than once, which apply skipped."""
    answers_equal: bool = False
    problems: list[str] = field(default_factory=list)
    """Empty when everything holds; each one a sentence."""


def examine(evidence: Evidence, tell: Callable[[str], None]) -> Verdict:
    """Check everything that the demo claims; tells what it is doing."""
    verdict = Verdict()
    sent = len(evidence.messages)
    if evidence.acknowledged != sent:
        verdict.problems.append(f"{evidence.acknowledged:,} of {sent:,} messages acknowledged")
    tell("computing the answers without a cluster")
    expected = answers_without_cluster(evidence.messages)
    verdict.answers_equal = list(evidence.answers) == expected
    if not verdict.answers_equal:
        found = _first_difference(evidence.answers, expected)
        verdict.problems.append(f"the answers differ from those without a cluster: {found}")
    chains: set[Chain] = set()
    for seat, directory in evidence.recordings.items():
        tell(f"applying the recording of member {seat} anew")
        try:
            again = replay(directory, evidence.session_id, evidence.position)
        except QuorateError as error:
            verdict.problems.append(f"member {seat}: its recording cannot be applied: {error}")
            continue
        chains.add(again.chain)
        verdict.applied[seat] = len(again.given)
        verdict.replayed[seat] = again.digest.hex()
        verdict.doubles = max(verdict.doubles, again.ingress.doubles)
        for problem in _problems_of(again, evidence, expected, evidence.digests.get(seat)):
            verdict.problems.append(f"member {seat}: {problem}")
    if len(chains) > 1:
        verdict.problems.append(f"the recordings differ below position {evidence.position}")
    if len(set(evidence.digests.values())) > 1:
        verdict.problems.append("the members' state digests differ")
    return verdict


def _problems_of(
    again: Replay, evidence: Evidence, expected: list[Answer], digest: str | None
) -> list[str]:
    """Compare one member's recording with what was sent, answered and reported."""
    sent = list(evidence.messages)
    checks = (
        (
            again.position == evidence.position,
            f"its recording ends at {again.position}, before {evidence.position}",
        ),
        (
            again.ingress.messages == sent,
            "its recording does not hold exactly what was sent: "
            + _first_difference(again.ingress.messages, sent),
        ),
        (
            len(again.terms) > 1,
            "its recording holds no change of leader between the first message and the last",
        ),
        (
            again.given == sent,
            "its service was not given every message once, in order: "
            + _first_difference(again.given, sent),
        ),
        (
            again.answers == expected,
            "its service answered differently: " + _first_difference(again.answers, expected),
        ),
        (
            again.digest.hex() == digest,
            f"it reported digest {digest}, its recording leads to {again.digest.hex()}",
        ),
    )
    return [problem for holds, problem in checks if not holds]


def _first_difference(found: Sequence[object], wanted: Sequence[object]) -> str:
    """Say where two sequences part, for a message; costs nothing where they do not."""
    if len(found) == len(wanted) and list(found) == list(wanted):
        return "no difference"
    for index, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return f"number {index + 1} is {one!r}, not {other!r}"
    return f"{len(found):,} of them, not {len(wanted):,}"
