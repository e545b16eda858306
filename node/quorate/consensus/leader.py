"""Leading: append, replicate, commit, keep a majority, cure those that lost something.

A report counts only if it names this leader's present term, comes from the member's present
life, and lies above the term's base. The commit position moves only to what a quorum holds
durably, strictly above the base: frames of older terms are committed with the first of this
one and never by themselves (Raft, figure 8).
"""

from __future__ import annotations

from quorate.consensus.cluster_time import LogClock
from quorate.consensus.core import LOST_REASONS, Core, Deadline
from quorate.consensus.effects import ReadLog
from quorate.consensus.messages import AppendFrames, AppendReport, CureTarget
from quorate.consensus.progress import Flow, Progress, agreed_boundary, contradicts
from quorate.consensus.quorum import committed_position, has_quorum
from quorate.consensus.types import (
    LOG_START,
    ROOM_UNBOUNDED,
    FrameType,
    LogFrame,
    LogMark,
    LogPosition,
    PeerLife,
    RecoveringReason,
    Seat,
)

CLOCKS_ALARM = "clocks_apart"
CONTRADICTION_ALARM = "recordings_contradict"
LOSS_ALARM = "possible_loss"
OFFICE_ALARMS = (CLOCKS_ALARM, CONTRADICTION_ALARM, LOSS_ALARM)
"""What one leader says of its own term: over with it, the next leader judges anew."""


class Leader:
    """One leadership term of this member."""

    def __init__(self, core: Core, *, possible_loss: bool) -> None:
        """Begin the term: its first frame, and a probe to everyone."""
        self._core = core
        self.possible_loss = possible_loss
        self.base = core.log.end.position
        self._round = 0
        self._has_cures = False
        """Whether any member that is recovering waits for a target, or may."""
        self._flushed = (LogPosition(-1), LogPosition(-1))
        self._latest: AppendFrames | None = None
        """The last message with frames: followers that are equally far get the same one."""
        self._clock = LogClock(core.now, core.log.last_timestamp, self._majority_walls())
        self._base_mark = core.log.end
        self._append_term_frame()
        self.term_frame_end = core.log.end.position
        self._own_cure_sequence = core.sequence
        self.progress: dict[Seat, Progress] = {}
        for member in core.membership.members:
            if member.seat != core.seat:
                peer = core.links.get(member.seat)
                nonce = peer.start_nonce if peer is not None and core.knows(peer) else None
                self.progress[member.seat] = Progress(
                    nonce, self._base_mark, heard_at=core.now.loop
                )
        core.disarm(Deadline.ELECTION, Deadline.STAND, Deadline.CAMPAIGN)
        core.arm(Deadline.CHECK_QUORUM, core.config.heartbeat_interval_ns)
        self.heartbeat()

    # -- the log --------------------------------------------------------------------------

    def _append_term_frame(self) -> None:
        core = self._core
        founding = core.log.founding
        assert founding is not None, "a leader holds the founding frame"
        log_time = self._clock.read(core.now)
        body = core.codec.term_body(
            founding,
            core.term,
            self.base,
            core.identity.member_id,
            log_time,
            core.membership,
            possible_loss=self.possible_loss,
        )
        core.append(core.make_frame(FrameType.NEW_LEADERSHIP_TERM, log_time, body))

    def append(self, frame_type: FrameType, body: bytes, entry_count: int) -> LogPosition:
        """Append one frame of this term and return where it begins."""
        core = self._core
        frames = core.make_frame(frame_type, self.log_time(), body, entry_count)
        core.append(frames)
        return frames[-1].position

    def log_time(self) -> int:
        """Return the log's time now, in nanoseconds."""
        return self._clock.read(self._core.now)

    def _majority_walls(self) -> list[int]:
        """Return the wall clocks known, ours among them.

        A majority at least: each vote and each canvass answer named one.
        """
        core = self._core
        known = core.walls.estimates(core.now)
        walls = [known[seat] for seat in core.other_voters if seat in known]
        walls.append(core.now.wall)
        return walls

    def _judge_clocks(self) -> None:
        """Warn where the wall clocks are far apart as the term begins, and say when that is over.

        Only then, as votes are fresh: a report that has waited in a stalled member's queue makes
        a clock look late, which must raise no alarm and can only keep one for longer.
        """
        core = self._core
        walls = self._majority_walls()
        apart, limit = max(walls) - min(walls), core.config.clock_alarm_ns
        if apart > limit and not self._round:
            detail = f"wall clocks of members differ by {apart // 1_000_000} ms"
            core.alarm(CLOCKS_ALARM, detail)
        elif apart <= limit // 2:
            core.end_alarm(CLOCKS_ALARM)

    # -- replication ----------------------------------------------------------------------

    def flush(self) -> None:
        """Send what was appended since the last time; see to it that the commit position follows.

        It travels with the next frames: a message of its own would wake every follower a second
        time for each frame, which costs the machine more than all the rest of a turn.
        """
        core = self._core
        news = (core.log.end.position, core.commit_position)
        if news == self._flushed:
            return  # What else makes a stream go on, a report or a read, sees to it itself.
        self._flushed = news
        is_owed = False
        for seat, progress in self.progress.items():
            self._stream(seat, progress)
            is_owed = is_owed or self._owes_commit(progress)
        if not is_owed:
            # A debt that begins later waits from then on: under load the next frame pays it.
            core.deadlines.pop(Deadline.PUBLISH, None)
        elif Deadline.PUBLISH not in core.deadlines:
            core.arm(Deadline.PUBLISH, core.config.publish_delay_ns)

    def go_on(self, seat: Seat) -> None:
        """Send to a member what may be sent now: something that held the stream up has changed."""
        self._stream(seat, self.progress[seat])

    def publish(self) -> None:
        """Send the commit position to those that no frame has told it."""
        for seat, progress in self.progress.items():
            if self._owes_commit(progress):
                self._send_empty(seat, progress)

    def _owes_commit(self, progress: Progress) -> bool:
        behind = progress.commit_sent < self._core.commit_position
        return behind and progress.flow is Flow.REPLICATE

    def _stream(self, seat: Seat, progress: Progress) -> None:
        """Send frames to one member as far as its window allows."""
        core = self._core
        while progress.next_position < core.log.end.position and self._may_stream(seat, progress):
            position = progress.next_position
            latest = self._latest
            if latest is not None and self._is_latest(latest, progress):
                self._send(seat, progress, latest)
                continue
            frames = core.log.frames_from(position, core.config.append_bytes_max)
            if frames is None:
                if position > core.log.tail_start:
                    # The member claims a boundary where a frame of ours goes on.
                    self._contradiction(seat, progress, position)
                else:
                    self._read(seat, progress)
                return
            frames = progress.fitting(frames)
            if not frames:
                return
            self._send_frames(seat, progress, frames)

    def _is_latest(self, latest: AppendFrames, progress: Progress) -> bool:
        """Tell whether the last message is just what this member is to be sent now."""
        core = self._core
        return (
            latest.previous.position == progress.next_position
            and latest.end_position == core.log.end.position
            and latest.commit_position == core.commit_position
            and latest.round == self._round
            and latest.frames[-1].end <= progress.room_end
        )

    def _read(self, seat: Seat, progress: Progress) -> None:
        """Have what comes next read, once half of the window is free to take it."""
        config, position = self._core.config, progress.next_position
        window = config.window_bytes - (position - progress.checked)
        if 2 * window >= config.window_bytes:
            progress.reading = True
            bytes_max = min(window, config.read_bytes_max)
            self._core.effects.append(ReadLog(seat, position, bytes_max))

    def _may_stream(self, seat: Seat, progress: Progress) -> bool:
        if progress.flow is not Flow.REPLICATE or progress.reading or progress.unmatchable:
            return False
        if progress.room_end == progress.room_tried or progress.next_position >= progress.room_end:
            return False
        config, position = self._core.config, progress.next_position
        if position - progress.durable >= config.unsynced_bytes_max:
            return False
        in_flight = position - progress.checked
        return in_flight < config.window_bytes and self._core.reaches(seat)

    def _send_frames(self, seat: Seat, progress: Progress, frames: tuple[LogFrame, ...]) -> None:
        first = frames[0]
        term_before = self._core.log.term_before(first.position)
        previous = LogMark(first.position, term_before, first.previous_chain)
        self._latest = self._message(previous, frames)
        self._send(seat, progress, self._latest)

    def _send_empty(self, seat: Seat, progress: Progress) -> None:
        """Send a message without frames: a probe, a heartbeat, or a new commit position."""
        probing = progress.flow is Flow.PROBE
        self._send(seat, progress, self._message(progress.probed if probing else LOG_START, ()))

    def _message(self, previous: LogMark, frames: tuple[LogFrame, ...]) -> AppendFrames:
        core = self._core
        return AppendFrames(
            leadership_term_id=core.term,
            previous=previous,
            frames=frames,
            commit_position=core.commit_position,
            round=self._round,
            end_position=core.log.end.position,
        )

    def _send(self, seat: Seat, progress: Progress, message: AppendFrames) -> None:
        progress.commit_sent = message.commit_position
        if message.frames:
            progress.next_position = message.frames[-1].end
        self._core.send(seat, message)

    def on_log_read(self, seat: Seat, frames: tuple[LogFrame, ...], *, more: bool) -> None:
        """Send frames that had to be read from the recording; ``more`` of that read follow."""
        progress = self.progress.get(seat)
        if progress is None or not progress.reading:
            return
        progress.reading = False
        if not frames:
            progress.probe(progress.probed)  # Not read again before the next heartbeat's answer.
            return
        self._send_read(seat, progress, frames)
        if more and progress.flow is Flow.REPLICATE:
            progress.reading = True
        self._stream(seat, progress)

    def on_no_boundary(self, seat: Seat, position: LogPosition) -> None:
        """Stop sending to a member that claims a boundary where a frame of ours goes on."""
        progress = self.progress.get(seat)
        if progress is None or not progress.reading:
            return
        if progress.next_position == position:
            self._contradiction(seat, progress, position)
        else:
            progress.probe(progress.probed)

    def _send_read(self, seat: Seat, progress: Progress, frames: tuple[LogFrame, ...]) -> None:
        """Send frames from the recording, unless they are not what comes next any more."""
        if frames[0].position != progress.next_position or not self._is_ours(frames[-1]):
            return
        claimed = progress.probed
        if claimed.position == frames[0].position and claimed.chain != frames[0].previous_chain:
            self._contradiction(seat, progress, claimed.position)
        elif self._may_stream(seat, progress):
            frames = progress.fitting(frames)
            if frames:
                self._send_frames(seat, progress, frames)

    def _is_ours(self, frame: LogFrame) -> bool:
        """Tell whether a frame is in our log still: it may have been read before a cut.

        One leader wrote all frames of a term, so term and position name a frame, and with it
        everything before it.
        """
        log = self._core.log
        known = log.term_before(frame.end) == frame.leadership_term_id
        return known and frame.end <= log.end.position

    def heartbeat(self) -> None:
        """Begin a new round: something to everyone, whatever state the stream is in."""
        core = self._core
        core.arm(Deadline.HEARTBEAT, core.config.heartbeat_interval_ns)
        self._judge_clocks()
        self._round += 1
        for seat, progress in self.progress.items():
            self._send_empty(seat, progress)
            progress.sent_at_round = (self._round, progress.next_position)
            self._tell_cure_target(seat, progress)

    # -- reports --------------------------------------------------------------------------

    def on_report(self, peer: PeerLife, report: AppendReport) -> None:
        """Take in where a follower stands; the caller has compared terms and lives."""
        core = self._core
        progress = self.progress.get(peer.seat)
        if progress is None or progress.start_nonce != peer.start_nonce:
            return
        progress.heard_at = core.now.loop
        progress.heard = True
        progress.round = max(progress.round, report.round)
        progress.service_position = report.service_position
        progress.durable = report.durable
        progress.recovering = report.recovering
        core.walls.report(core.now, peer.seat, report.wall)
        if report.recovering.reason or progress.cure_round is not None:
            self._note_recovering(progress, report)
        before = progress.match
        if not report.matched:
            self._find_agreement(peer.seat, progress, report)
        else:
            self._advance(peer.seat, progress, report)
        if self._has_cures:
            self._maybe_cure()
        if before < progress.match > core.commit_position:
            self.maybe_commit()
        if progress.next_position < core.log.end.position:
            self._stream(peer.seat, progress)

    def _advance(self, seat: Seat, progress: Progress, report: AppendReport) -> None:
        """Take a report that matched: move the stream on, or repeat what was lost."""
        core = self._core
        assert report.checked <= core.log.end.position, (report, core.log.end)
        if progress.flow is Flow.PROBE:
            if report.checked >= progress.probed.position:
                ahead = self._held_ahead(report)
                if ahead is not None:
                    progress.probe(ahead)
                    self._send_empty(seat, progress)
                else:
                    progress.replicate(report.checked)
        else:
            round_sent, end_sent = progress.sent_at_round
            if report.round >= round_sent > 0 and report.checked < end_sent:
                # The member answered a later round without having what was sent before it.
                progress.replicate(max(report.checked, progress.checked))
        progress.checked = max(progress.checked, report.checked)
        counts = report.recovering.reason not in LOST_REASONS
        if counts and report.durable > self.base:
            progress.match = max(progress.match, report.durable)

    def _held_ahead(self, report: AppendReport) -> LogMark | None:
        """Return the end of a log that goes on in our term behind what was checked so far.

        A new life of a member knows no more than that its log agrees where our term begins.
        All frames of our term are ours, so it need not be sent again what it holds of them.
        """
        core = self._core
        end = report.end
        is_ahead = report.checked < end.position <= core.log.end.position
        if not is_ahead or end.leadership_term_id != core.term:
            return None
        known = core.log.chain_before(end.position)
        return end if known in (None, end.chain) else None

    def _find_agreement(self, seat: Seat, progress: Progress, report: AppendReport) -> None:
        """Probe where the two term tables say that the logs can still agree."""
        log = self._core.log
        mark = agreed_boundary(log, report.end, report.terms)
        for row in report.terms:
            own = log.term_row(row.leadership_term_id)
            if own is not None and own.base == row.base and own.chain != row.chain:
                self._contradiction(seat, progress, row.base)
                return
        if contradicts(mark, report.end, report.terms):
            self._contradiction(seat, progress, mark.position)
            return
        if progress.flow is Flow.PROBE and mark == progress.probed:
            return  # Asked already; the next heartbeat asks again.
        progress.probe(mark)
        self._send_empty(seat, progress)

    def _contradiction(self, seat: Seat, progress: Progress, position: LogPosition) -> None:
        progress.unmatchable = True
        detail = (
            f"the recordings of seats {self._core.seat} and {seat} differ before {position} in "
            "a term that both hold: one is damaged; run `quorate verify` on both"
        )
        self._core.alarm(CONTRADICTION_ALARM, detail)

    # -- commit and quorum ----------------------------------------------------------------

    def maybe_commit(self) -> None:
        """Commit what a quorum holds durably, if it reaches above the base of this term."""
        core = self._core
        if core.commit_position == core.log.end.position:
            return
        position = committed_position(core.membership, self._durable_of)
        if position > self.base and position > core.commit_position:
            core.commit(position)

    def _durable_of(self, seat: Seat) -> LogPosition:
        core = self._core
        if seat == core.seat:
            return LogPosition(0) if core.is_recovering else core.log.durable
        return self.progress[seat].match

    def on_persisted(self) -> None:
        """Count our own disk; the winner of a ballot among the recovering is now sound."""
        core = self._core
        if core.persisted >= self._own_cure_sequence and core.node_state.recovering.reason:
            core.clear_recovering()
        self.maybe_commit()

    def check_quorum(self) -> bool:
        """Tell whether a majority was heard within an election timeout; look again soon.

        The beginning of the term counts as having heard everyone.
        """
        core = self._core
        core.arm(Deadline.CHECK_QUORUM, core.config.heartbeat_interval_ns)
        since = core.now.loop - core.config.election_timeout_min_ns
        heard = {seat for seat, progress in self.progress.items() if progress.heard_at > since}
        return has_quorum(core.membership, heard | {core.seat})

    def confirmed_round(self, round_number: int) -> bool:
        """Tell whether a majority has answered this heartbeat round of our term."""
        answered = {seat for seat, p in self.progress.items() if p.round >= round_number}
        return has_quorum(self._core.membership, answered | {self._core.seat})

    # -- links and cures ------------------------------------------------------------------

    def on_link_up(self, peer: PeerLife) -> None:
        """Start afresh with a member's new connection; a new life has promised nothing."""
        progress = self.progress.get(peer.seat)
        if progress is None or not self._core.knows(peer):
            return
        if progress.start_nonce == peer.start_nonce:
            progress.probe(self._base_mark)
            progress.unmatchable = False
        else:
            progress = Progress(peer.start_nonce, self._base_mark, heard_at=progress.heard_at)
            self.progress[peer.seat] = progress
        if not any(other.unmatchable for other in self.progress.values()):
            self._core.end_alarm(CONTRADICTION_ALARM)
        self._send_empty(peer.seat, progress)

    def on_link_down(self, peer: PeerLife) -> None:
        """Stop streaming; what the same life has durably reported still counts."""
        progress = self.progress.get(peer.seat)
        if progress is not None and progress.start_nonce == peer.start_nonce:
            progress.reading = False

    def _note_recovering(self, progress: Progress, report: AppendReport) -> None:
        """A round that begins after the announcement must be confirmed before a target is set."""
        if report.recovering.reason is RecoveringReason.NONE:
            progress.cure_round = None
            progress.cure_position = None
            return
        if report.recovering.reason in LOST_REASONS:
            progress.match = LogPosition(0)
        if progress.cure_round is None:
            progress.cure_round = self._round + 1
            self._has_cures = True

    def _maybe_cure(self) -> None:
        """Tell recovering members how far they must get, once we are sure that we lead."""
        self._has_cures = any(p.cure_round is not None for p in self.progress.values())
        for seat, progress in self.progress.items():
            if progress.cure_round is None or progress.cure_position is not None:
                continue
            # The number of a round that has not begun is confirmed by nobody.
            if self.confirmed_round(progress.cure_round):
                progress.cure_position = self._core.log.end.position
                self._tell_cure_target(seat, progress)

    def _tell_cure_target(self, seat: Seat, progress: Progress) -> None:
        if progress.cure_position is not None:
            self._core.send(seat, CureTarget(self._core.term, progress.cure_position))

    def best_successor(self) -> Seat | None:
        """Return the voter that is heard, sound and most advanced; the lowest seat of equals.

        One whose disk is nearly full comes behind all others, and before it one whose service
        has still to apply much. Of equal logs the service decides that is further: one that has
        stopped is not.
        """
        late = self._core.serves_late
        ranked = [
            (
                progress.room_end != ROOM_UNBOUNDED,
                late(progress.service_position),
                -progress.match,
                -progress.service_position,
                seat,
            )
            for seat, progress in self.progress.items()
            if self.may_succeed(seat)
        ]
        return min(ranked)[-1] if ranked else None

    def may_succeed(self, seat: Seat) -> bool:
        """Tell whether leadership could be handed to this seat now."""
        core = self._core
        progress = self.progress.get(seat)
        if progress is None or seat not in core.other_voters or not core.reaches(seat):
            return False
        if progress.room_end < core.log.end.position:
            return False
        return not progress.recovering.reason and progress.heard and not progress.unmatchable
