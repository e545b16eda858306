"""Hypothesis strategies for log frames and for every message between members."""

from __future__ import annotations

from hypothesis import strategies as st

from quorate.consensus import messages, types
from quorate.consensus.messages import Message
from quorate.consensus.types import FrameType, LogFrame, LogMark, Recovering, TermRecord
from quorate.protocol.log_codec import encode_frame

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
BYTES16 = st.binary(min_size=16, max_size=16)
MARKS = st.builds(LogMark, U64, U64, U32)
TERM_RECORDS = st.builds(TermRecord, U64, U64, U32)
RECOVERINGS = st.builds(Recovering, st.sampled_from(types.RecoveringReason), U64, U64)
TOKENS = st.builds(messages.TransferToken, U64, U64)


@st.composite
def log_frames(draw: st.DrawFn, count_max: int = 5) -> tuple[LogMark, tuple[LogFrame, ...]]:
    """Return a boundary and frames that stand behind it, each behind the one before."""
    start = LogMark(
        types.LogPosition(64 * draw(st.integers(0, 2**40))),
        types.LeadershipTermId(draw(st.integers(0, 2**40))),
        types.Chain(draw(U32)),
    )
    end = start
    timestamp = 0
    frames: list[LogFrame] = []
    for body in draw(st.lists(st.binary(max_size=200), max_size=count_max)):
        timestamp += draw(st.integers(0, 2**32))
        frame = encode_frame(
            end.position,
            types.LeadershipTermId(end.leadership_term_id + draw(st.integers(0, 2))),
            timestamp,
            end.chain,
            draw(st.sampled_from(FrameType)),
            body,
            draw(st.integers(0, 9)),
        )
        frames.append(frame)
        end = LogMark(frame.end, frame.leadership_term_id, frame.chain)
    return start, tuple(frames)


ONE_FRAME = log_frames(count_max=3).filter(lambda log: bool(log[1])).map(lambda log: log[1][0])


@st.composite
def append_frames(draw: st.DrawFn) -> messages.AppendFrames:
    """Return AppendFrames whose frames stand behind its boundary."""
    previous, frames = draw(log_frames())
    numbers = [draw(U64) for _ in range(4)]
    return messages.AppendFrames(
        leadership_term_id=types.LeadershipTermId(numbers[0]),
        previous=previous,
        frames=frames,
        commit_position=types.LogPosition(numbers[1]),
        round=numbers[2],
        end_position=types.LogPosition(numbers[3]),
    )


BY_CLASS: dict[type[Message], st.SearchStrategy[Message]] = {
    messages.Hello: st.builds(
        messages.Hello,
        founding=st.sampled_from(types.FoundingState),
        configuration_hash=BYTES16,
        founding_frame=st.none() | ONE_FRAME,
        founding_chain=U32,
        role=st.sampled_from(types.Role),
        leadership_term_id=U64,
        end=MARKS,
        recovering=RECOVERINGS,
        refusal=st.sampled_from(messages.Refusal),
    ),
    messages.FoundRequest: st.builds(messages.FoundRequest, discard=st.booleans()),
    messages.FoundingFrame: st.builds(messages.FoundingFrame, frame=ONE_FRAME),
    messages.FoundingStored: st.builds(messages.FoundingStored, chain=U32),
    messages.Founded: st.builds(messages.Founded, chain=U32),
    messages.FoundingDiscard: st.builds(messages.FoundingDiscard, chain=U32),
    messages.Canvass: st.builds(
        messages.Canvass,
        leadership_term_id=U64,
        end=MARKS,
        unanimous=st.booleans(),
        round=U64,
    ),
    messages.CanvassAnswer: st.builds(
        messages.CanvassAnswer,
        leadership_term_id=U64,
        round=U64,
        granted=st.booleans(),
        end=MARKS,
        recovering=RECOVERINGS,
        wall=I64,
    ),
    messages.RequestVote: st.builds(
        messages.RequestVote,
        candidate_term_id=U64,
        end=MARKS,
        unanimous=st.booleans(),
        token=st.none() | TOKENS,
    ),
    messages.Vote: st.builds(
        messages.Vote,
        candidate_term_id=U64,
        granted=st.booleans(),
        unanimous=st.booleans(),
        end=MARKS,
        wall=I64,
    ),
    messages.AppendFrames: append_frames(),
    messages.AppendReport: st.builds(
        messages.AppendReport,
        leadership_term_id=U64,
        matched=st.booleans(),
        durable=U64,
        checked=U64,
        end=MARKS,
        terms=st.lists(TERM_RECORDS, max_size=6).map(tuple),
        round=U64,
        service_position=U64,
        recovering=RECOVERINGS,
        wall=I64,
    ),
    messages.CureTarget: st.builds(messages.CureTarget, leadership_term_id=U64, position=U64),
    messages.StandNow: st.builds(messages.StandNow, token=TOKENS),
    messages.DigestReport: st.builds(messages.DigestReport, position=U64, digest=BYTES16),
    messages.DigestVerdict: st.builds(messages.DigestVerdict, position=U64, digest=BYTES16),
    messages.RoomReport: st.builds(messages.RoomReport, leadership_term_id=U64, room_end=U64),
}

MESSAGES: st.SearchStrategy[Message] = st.one_of(*BY_CLASS.values())
"""Any message that a member may send to another."""
