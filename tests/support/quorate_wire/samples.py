"""Fixed values of the wire protocol: what the golden files hold and the fuzz tests begin with."""

from __future__ import annotations

from quorate.config import ClusterConstants, ClusterSettings, OnError
from quorate.consensus import messages
from quorate.consensus.messages import Message
from quorate.consensus.types import (
    LOG_START,
    NOT_RECOVERING,
    Chain,
    ClusterId,
    FoundingState,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Recovering,
    RecoveringReason,
    Role,
    Seat,
    StartNonce,
    TermRecord,
)
from quorate.protocol.handshake import Handshake
from quorate.protocol.log_codec import (
    EntryType,
    encode_entry,
    encode_frame,
)
from quorate.protocol.term_codec import FoundingBody, TermBody, encode_founding, encode_term
from quorate_wire.frames import padding

CLUSTER = ClusterId(bytes(range(16)))
MEMBERS = tuple(
    Member(MemberId(bytes([0xA0 + seat]) * 16), Seat(seat), f"orders-{seat}:9020")
    for seat in range(3)
)
SETTINGS = ClusterSettings(
    on_error=OnError.HALT,
    sessions_max=1,
    message_bytes_max=2,
    session_timeout_ns=3,
    kept_egress_bytes_max=4,
    kept_egress_total_bytes_max=5,
    self_messages_max=6,
    timers_max=7,
    digest_interval_bytes=8,
)
CONSTANTS = ClusterConstants(segment_length=4096, frame_alignment=64, frame_bytes_max=1024)
WALL = 1_700_000_000_000_000_000

FOUNDING_BODY = FoundingBody(CLUSTER, 0, MEMBERS, SETTINGS, CONSTANTS)
FOUNDING = encode_frame(
    LogPosition(0),
    LeadershipTermId(0),
    0,
    Chain(0),
    FrameType.FOUNDING,
    encode_founding(FOUNDING_BODY),
)
TERM_BODY = TermBody(
    epoch=0,
    leadership_term_id=LeadershipTermId(3),
    base=FOUNDING.end,
    leader=MEMBERS[1].member_id,
    log_time=WALL,
    format_version=1,
    feature_activated=1,
    feature_supported=2,
    possible_loss=True,
    membership=Membership(voter_sets=(MEMBERS[:2], MEMBERS[1:]), learners=MEMBERS[:1]),
    settings=SETTINGS,
)
TERM = encode_frame(
    FOUNDING.end,
    LeadershipTermId(3),
    WALL,
    FOUNDING.chain,
    FrameType.NEW_LEADERSHIP_TERM,
    encode_term(TERM_BODY),
)
ENTRIES = encode_frame(
    TERM.end,
    LeadershipTermId(3),
    WALL + 1,
    TERM.chain,
    FrameType.ENTRIES,
    b"".join(
        [
            encode_entry(EntryType.SESSION_OPEN, 0, b"an open"),
            encode_entry(
                EntryType.SESSION_INGRESS,
                1088,
                b"a batch",
                first_sequence=5,
                message_count=2,
                egress_acknowledged=4,
            ),
            encode_entry(EntryType.SESSION_CLOSE, 1088, b"\x01"),
        ]
    ),
    entry_count=3,
)
EMPTY = encode_frame(ENTRIES.end, LeadershipTermId(3), WALL + 2, ENTRIES.chain, FrameType.EMPTY)
PADDING = padding(EMPTY.end, LeadershipTermId(3), WALL + 2, EMPTY.chain, 128)

FRAMES: dict[str, LogFrame] = {
    "founding": FOUNDING,
    "new_leadership_term": TERM,
    "entries": ENTRIES,
    "empty": EMPTY,
    "padding": PADDING,
}
"""One log: each frame stands behind the one before."""

END = LogMark(PADDING.end, LeadershipTermId(3), PADDING.chain)
DAMAGED = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(2), LogPosition(4032))
DIGEST = bytes(range(16, 32))
_TERM_3, _TERM_4 = LeadershipTermId(3), LeadershipTermId(4)

MESSAGES: dict[str, Message] = {
    "hello_blank": messages.Hello(
        FoundingState.BLANK,
        DIGEST,
        None,
        0,
        Role.FOLLOWER,
        LeadershipTermId(0),
        LOG_START,
        NOT_RECOVERING,
        messages.Refusal.VOLUME_LOST,
    ),
    "hello_founding": messages.Hello(
        FoundingState.FOUNDING,
        DIGEST,
        FOUNDING,
        FOUNDING.chain,
        Role.LEADER,
        _TERM_3,
        END,
        DAMAGED,
        messages.Refusal.NONE,
    ),
    "found_request": messages.FoundRequest(discard=True),
    "founding_frame": messages.FoundingFrame(FOUNDING),
    "founding_stored": messages.FoundingStored(FOUNDING.chain),
    "founded": messages.Founded(FOUNDING.chain),
    "founding_discard": messages.FoundingDiscard(FOUNDING.chain),
    "canvass": messages.Canvass(_TERM_3, END, unanimous=True, round=17),
    "canvass_answer": messages.CanvassAnswer(
        _TERM_3, 17, granted=True, end=END, recovering=DAMAGED, wall=WALL
    ),
    "request_vote": messages.RequestVote(_TERM_4, END, unanimous=False, token=None),
    "request_vote_token": messages.RequestVote(
        _TERM_4, END, unanimous=False, token=messages.TransferToken(_TERM_3, END.position)
    ),
    "vote": messages.Vote(_TERM_4, granted=True, unanimous=False, end=END, wall=WALL),
    "heartbeat": messages.AppendFrames(_TERM_3, END, (), END.position, 18, END.position),
    "append_frames": messages.AppendFrames(
        _TERM_3, LOG_START, tuple(FRAMES.values()), FOUNDING.end, 19, END.position
    ),
    "append_report": messages.AppendReport(
        _TERM_3,
        True,
        ENTRIES.end,
        EMPTY.end,
        END,
        (),
        19,
        TERM.end,
        NOT_RECOVERING,
        WALL,
    ),
    "append_report_unmatched": messages.AppendReport(
        _TERM_4,
        False,
        LogPosition(0),
        LogPosition(0),
        END,
        (
            TermRecord(LeadershipTermId(0), LogPosition(0), Chain(0)),
            TermRecord(_TERM_3, FOUNDING.end, FOUNDING.chain),
        ),
        20,
        LogPosition(0),
        DAMAGED,
        -WALL,
    ),
    "cure_target": messages.CureTarget(_TERM_3, END.position),
    "stand_now": messages.StandNow(messages.TransferToken(_TERM_3, END.position)),
    "digest_report": messages.DigestReport(END.position, DIGEST),
    "digest_verdict": messages.DigestVerdict(END.position, DIGEST),
    "room_report": messages.RoomReport(_TERM_3, LogPosition(64 * 1024 * 1024)),
}

HANDSHAKE_OF_DIALLER = Handshake(
    cluster_id=CLUSTER,
    epoch=1,
    member_id=MEMBERS[0].member_id,
    seat=Seat(0),
    start_nonce=StartNonce(0x1122334455667788),
    role=Role.FOLLOWER,
    leadership_term_id=_TERM_3,
    client_address="orders-0:9010",
    control_address="orders-0:9030",
    connection_nonce=DIGEST,
)
HANDSHAKE_OF_ACCEPTOR = Handshake(
    cluster_id=CLUSTER,
    epoch=1,
    member_id=MEMBERS[1].member_id,
    seat=Seat(1),
    start_nonce=StartNonce(0x99),
    role=Role.LEADER,
    leadership_term_id=_TERM_4,
    client_address="orders-1:9010",
    control_address="",
    connection_nonce=CLUSTER,
)
SECRET = b"a secret for golden files only"
