"""Small lies in the source, each of which breaks a promise: the tests must notice every one.

The texts must occur exactly once in their file; ``run.py`` says so when the source has moved
on. A mutant that survives is a hole in the tests, or no fault at all: then take it out with
the reason in the commit message.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of one file under ``node/quorate``, or of the operator under ``operator``."""

    name: str
    file: str
    old: str
    new: str
    breaks: str
    """The promise that is broken."""
    also: tuple[tuple[str, str], ...] = ()
    """Further changes of the same file, where one guard stands behind another."""

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """All changes: old text, new text."""
        return ((self.old, self.new), *self.also)


CONSENSUS = (
    Mutant(
        "figure-8",
        "consensus/leader.py",
        "if position > self.base and position > core.commit_position:",
        "if position > core.commit_position:",
        "frames of an older term are committed by counting them",
    ),
    Mutant(
        "figure-8-everywhere",
        "consensus/leader.py",
        "if position > self.base and position > core.commit_position:",
        "if position > core.commit_position:",
        "both guards of figure 8 are gone",
        (("if counts and report.durable > self.base:", "if counts:"),),
    ),
    Mutant(
        "report-of-another-term",
        "consensus/follower.py",
        "        counts = self._follows_this_term\n",
        "        counts = True\n",
        "what was checked against another term's leader is acknowledged in this one",
    ),
    Mutant(
        "report-of-an-old-life",
        "consensus/leader.py",
        "if progress is None or progress.start_nonce != peer.start_nonce:\n"
        "            return\n"
        "        progress.heard_at",
        "if progress is None:\n            return\n        progress.heard_at",
        "a report of an earlier life of a member counts",
    ),
    Mutant(
        "raw-log-end",
        "consensus/follower.py",
        "return min(self.checked, self._core.log.durable)",
        "return self._core.log.durable",
        "a follower acknowledges its raw log end",
    ),
    Mutant(
        "acknowledge-before-durable",
        "consensus/follower.py",
        "return min(self.checked, self._core.log.durable)",
        "return self.checked",
        "a follower acknowledges what it has not synced",
    ),
    Mutant(
        "commit-into-an-unchecked-tail",
        "consensus/follower.py",
        "position = min(leader_commit, self.checked)",
        "position = min(leader_commit, self._core.log.end.position)",
        "an old tail that was never compared is applied",
    ),
    Mutant(
        "vote-before-durable",
        "consensus/core.py",
        "gate = self.sequence if sequence is None else sequence",
        "gate = 0",
        "votes, candidacies and reports leave before they are durable",
    ),
    Mutant(
        "vote-twice",
        "consensus/election.py",
        "free = core.node_state.vote in (NO_MEMBER, peer.member_id)",
        "free = True",
        "a member votes for two in one term",
    ),
    Mutant(
        "vote-not-stored",
        "consensus/election.py",
        "if granted and core.node_state.vote == NO_MEMBER:",
        "if False:",
        "a vote is given and not kept",
    ),
    Mutant(
        "vote-for-a-shorter-log",
        "consensus/election.py",
        "return log_order(end) >= log_order(core.log.end)",
        "return end.leadership_term_id >= core.log.end.leadership_term_id",
        "a member without committed frames can win",
    ),
    Mutant(
        "compare-logs-by-length",
        "consensus/election.py",
        "return (end.leadership_term_id, end.position)",
        "return (end.position, end.leadership_term_id)",
        "a longer log of an older term beats a shorter one of a later term",
    ),
    Mutant(
        "leader-not-sticky",
        "consensus/election.py",
        "return core.leader_unheard and core.role is not Role.LEADER",
        "return core.role is not Role.LEADER",
        "a member that hears its leader is drawn into elections",
    ),
    Mutant(
        "canvass-not-sticky",
        "consensus/election.py",
        "            core.leader_unheard\n            and core.role is not Role.LEADER\n",
        "            core.role is not Role.LEADER\n",
        "a canvass is granted while the leader is heard",
    ),
    Mutant(
        "token-of-any-term",
        "consensus/election.py",
        "honoured = token.leadership_term_id == core.term and log_order(core.log.end) <= (",
        "honoured = log_order(core.log.end) <= (",
        "a token of another term is honoured",
    ),
    Mutant(
        "late-token",
        "consensus/election.py",
        "honoured = token.leadership_term_id == core.term and log_order(core.log.end) <= (\n"
        "                token.leadership_term_id,\n"
        "                token.position,\n"
        "            )",
        "honoured = token.leadership_term_id == core.term",
        "a token is honoured although the log has gone on",
    ),
    Mutant(
        "commit-is-no-news",
        "consensus/core.py",
        "return bool(self.effects) or self.commit_position > self._commit_told",
        "return bool(self.effects)",
        "what a report or a sync commits waits for another reason to look",
    ),
    Mutant(
        "append-while-handing-over",
        "consensus/module.py",
        "if self._transfer.is_running:\n            return Rejection",
        "if False:\n            return Rejection",
        "the leader appends behind the token",
    ),
    Mutant(
        "abort-without-a-frame",
        "consensus/transfer.py",
        '        self._leader.append(FrameType.EMPTY, b"", 0)\n',
        "",
        "a late token stays valid after the transfer was given up",
    ),
    Mutant(
        "recovering-votes",
        "consensus/election.py",
        "if not core.is_voter or (core.is_recovering and not unanimous):",
        "if not core.is_voter:",
        "a member that may have forgotten acknowledged frames votes",
    ),
    Mutant(
        "recovering-acknowledges",
        "consensus/leader.py",
        "counts = report.recovering.reason not in LOST_REASONS",
        "counts = True",
        "acknowledgements of a recovering member count",
    ),
    Mutant(
        "cured-at-once",
        "consensus/follower.py",
        "reached = self._cure_position is not None and self.durable >= self._cure_position",
        "reached = self._cure_position is not None",
        "a member counts as cured before it holds the log",
    ),
    Mutant(
        "unanimous-by-a-majority",
        "consensus/election.py",
        "enough, possible = self._yes >= everyone, not lost",
        "enough, possible = has_quorum(core.membership, self._yes), not lost",
        "a loss is declared without everyone",
    ),
    Mutant(
        "unanimous-with-a-voter-missing",
        "consensus/election.py",
        "if peer is None or hello is None or not core.knows(peer):\n                return False",
        "if peer is None or hello is None or not core.knows(peer):\n                continue",
        "a unanimous ballot is begun while a voter is missing",
    ),
    Mutant(
        "wiped-member-counts",
        "consensus/core.py",
        "return self._member_ids.get(peer.seat) == peer.member_id != NO_MEMBER",
        "return self._member_ids.get(peer.seat) is not None",
        "a wiped directory votes and acknowledges in its old seat",
    ),
    Mutant(
        "founded-too-early",
        "consensus/founding.py",
        "elif self._asked and self._stored >= set(self._other_seats):",
        "elif self._asked:",
        "the mark is set before all seats hold the frame",
    ),
    Mutant(
        "founding-replaced",
        "consensus/founding.py",
        'elif held.chain != message.frame.chain:\n            self._break("two founding frames '
        'are held")\n            return\n',
        "",
        "two founding frames are taken for one",
    ),
    Mutant(
        "truncate-at-any-difference",
        "consensus/follower.py",
        "if not held or held_term != frame.leadership_term_id:",
        "if True:",
        "equal frames are cut and written again: acknowledged ones among them",
    ),
    Mutant(
        "stale-read",
        "consensus/leader.py",
        " or not self._is_ours(frames[-1]):",
        ":",
        "frames read before a cut are sent",
    ),
    Mutant(
        "no-check-quorum",
        "consensus/leader.py",
        "return has_quorum(core.membership, heard | {core.seat})\n\n    def confirmed_round",
        "return True\n\n    def confirmed_round",
        "a cut-off leader never steps down",
    ),
    Mutant(
        "quorum-of-half",
        "consensus/quorum.py",
        "return voter_count // 2 + 1",
        "return (voter_count + 1) // 2",
        "half of an even number of voters is a majority",
    ),
    Mutant(
        "durable-after-truncation",
        "consensus/log_view.py",
        "self._unsynced = deque((s, min(p, end.position)) for s, p in self._unsynced)",
        "pass",
        "a completed write of a tail since cut counts as durable (ABA)",
    ),
    Mutant(
        "term-table-kept",
        "consensus/log_view.py",
        "while self.terms and self.terms[-1].base >= end.position:",
        "while self.terms and self.terms[-1].base > end.position:",
        "a term that was cut stays in the term table",
    ),
    Mutant(
        "founded-alike",
        "consensus/founding.py",
        "core.codec.founding_body(members, core.random(1, ATTEMPT_MAX))",
        "core.codec.founding_body(members, 1)",
        "answers for a discarded founding count for the next one",
    ),
    Mutant(
        "waits-for-the-dead",
        "consensus/election.py",
        "lost = (self._no | unreachable) - self._yes",
        "lost = self._no - self._yes",
        "a ballot waits for the vote of a member whose link is gone",
    ),
    Mutant(
        "link-down-unnoticed",
        "consensus/module.py",
        "        self._election.on_link_down()\n",
        "",
        "a campaign waits for one whose link breaks meanwhile",
    ),
    Mutant(
        "nobody-gives-way",
        "consensus/election.py",
        "if granted and self._has_better_claim(peer.seat, canvass.end):",
        "if False:",
        "two that canvass at once refuse each other's ballot",
    ),
    Mutant(
        "late-service-first",
        "consensus/election.py",
        " or core.serves_late(core.service_position):",
        ":",
        "a member that was just restarted is elected, and answers nobody for seconds",
    ),
    Mutant(
        "late-service-succeeds",
        "consensus/leader.py",
        "                late(progress.service_position),\n",
        "",
        "leadership is handed to a member that was just restarted",
    ),
    Mutant(
        "everybody-gives-way",
        "consensus/election.py",
        "if granted and self._has_better_claim(peer.seat, canvass.end):",
        "if granted:",
        "two that canvass at once both give way",
    ),
)

ARCHIVE = (
    Mutant(
        "append-without-sync",
        "archive/recording.py",
        "            segment.sync()\n            self.synced = self.end\n",
        "            self.synced = self.end\n",
        "a frame counts as durable without a sync",
    ),
    Mutant(
        "watermark-ahead",
        "archive/recording.py",
        "watermark = Watermark(self.watermark.generation + 1, self.synced)",
        "watermark = Watermark(self.watermark.generation + 1, self.end)",
        "the watermark names what is not synced: torn looks like damage",
    ),
    Mutant(
        "chain-not-checked",
        "archive/recording.py",
        "if frame.position != position or frame.previous_chain != chain or end > segment_end:",
        "if frame.position != position or end > segment_end:",
        "a frame of another log is written",
    ),
    Mutant(
        "damage-is-not-recovering",
        "archive/recovery.py",
        "if scan.damaged or log_is_missing or known.reason is RecoveringReason.DAMAGED:",
        "if log_is_missing or known.reason is RecoveringReason.DAMAGED:",
        "a member forgets that it lost what it acknowledged",
    ),
    Mutant(
        "unsynced-is-not-recovering",
        "archive/recovery.py",
        "        and life.boot_id != boot_id\n",
        "        and False\n",
        "a power cut in durability replicated goes unnoticed",
    ),
)

SERVICE = (
    Mutant(
        "duplicates-applied",
        "service/applier.py",
        "yield from self._run(session, messages, first)",
        "yield from self._run(session, messages, 0)",
        "a batch sent twice is applied twice",
    ),
    Mutant(
        "gap-applied",
        "service/applier.py",
        "if skipped < 0:",
        "if False:",
        "a batch with a hole before it is applied",
    ),
    Mutant(
        "open-twice",
        "service/applier.py",
        "        if session is not None:\n            runner.outbox.append(SessionOpened("
        "session.session_id, body.key_hash))\n            return session\n",
        "",
        "an open that is repeated makes another session",
    ),
    Mutant(
        "timer-early",
        "service/timers.py",
        "while heap and heap[0][0] <= timestamp:",
        "while heap and heap[0][0] <= timestamp + 50_000_000:",
        "timers fire before their deadline",
    ),
    Mutant(
        "timer-late",
        "service/timers.py",
        "while heap and heap[0][0] <= timestamp:",
        "while heap and heap[0][0] < timestamp:",
        "a timer that is due exactly now waits for another frame",
    ),
    Mutant(
        "replaced-timer-fires",
        "service/timers.py",
        "            if pending.get(timer_id) == deadline:\n",
        "            if timer_id in pending:\n",
        "a timer that was replaced fires at its old deadline",
    ),
)

ROOM = (
    Mutant(
        "follower-without-room",
        "consensus/follower.py",
        "            frames = tuple(frame for frame in frames if frame.end <= core.room_end)\n",
        "            pass\n",
        "a follower takes frames for which its disk has no space",
    ),
    Mutant(
        "hand-over-in-a-circle",
        "consensus/room.py",
        "if target is None or leader.progress[target].room_end != ROOM_UNBOUNDED:",
        "if target is None:",
        "leaders whose disks are all nearly full hand leadership around",
    ),
    Mutant(
        "full-for-ever",
        "consensus/room.py",
        "            if progress.room_heard_at < since:\n",
        "            if False:\n",
        "a follower whose disk has space again, and whose word of it was lost, counts as full",
    ),
    Mutant(
        "reserve-for-clients",
        "consensus/room.py",
        "core.config.room_reserve_bytes // 2)",
        "0)",
        "clients' messages take the room that new terms need",
    ),
    Mutant(
        "stands-without-room",
        "consensus/election.py",
        "        if not self._has_room():\n            self._fail(",
        "        if False:\n            self._fail(",
        "a member stands whose disk has no space for the first frame of its term",
    ),
    Mutant(
        "segment-taken-halfway",
        "archive/archive.py",
        "        self._reserve(effects)\n        return self._guarded",
        "        return self._guarded",
        "a full disk ends the member, with a batch written in part",
    ),
    Mutant(
        "refused-and-forgotten",
        "gateway/full_log.py",
        "                connection.write(encode_rewind(connection.rewound_to))\n",
        "",
        "what was refused while the log was full is never asked for again",
    ),
    Mutant(
        "waits-for-space-for-ever",
        "archive/writer.py",
        "                if self._is_closing.wait(FULL_RETRY_S):\n",
        "                if self._stopping.wait(FULL_RETRY_S):\n",
        "a member that waits for space cannot be told to stop",
    ),
    Mutant(
        "overrun-is-read",
        "gateway/gateway.py",
        '            connection.pause_reading("overrun")\n',
        "",
        "one that floods beyond its credit fills the log",
    ),
    Mutant(
        "those-who-had-some-come-first",
        "gateway/turn_budget.py",
        "        self._held = {**waiting, **self._held}\n",
        "        self._held = {**self._held, **waiting}\n",
        "while many flood, some of them never get their turn",
    ),
)

HOT_PATH = (
    Mutant(
        "written-is-durable",
        "archive/writer.py",
        "            if self._library is None:\n                self._complete(",
        "            if True:\n                self._complete(",
        "a frame counts as durable in fsync when it is in the page cache",
    ),
    Mutant(
        "overtakes-the-vote",
        "archive/writer.py",
        "if self._waiting or self._is_in_thread or not self._write_at_once(effects):",
        "if not self._write_at_once(effects):",
        "frames are written ahead of a vote that was asked for before them",
    ),
    Mutant(
        "sync-covers-more",
        "archive/writer.py",
        "        sequence, end = self._syncing\n",
        "        sequence, end = self._written, self._syncing[1]\n",
        "what was written while a sync ran counts as covered by it",
    ),
    Mutant(
        "joined-over-a-gap",
        "protocol/ingress_run.py",
        "continues = following.first_sequence == first + count",
        "continues = True",
        "batches that do not follow each other become one",
    ),
    Mutant(
        "commit-never-published",
        "consensus/leader.py",
        "        elif Deadline.PUBLISH not in core.deadlines:\n",
        "        if False:\n",
        "followers of a quiet leader learn of a commit with the heartbeat only",
    ),
    Mutant(
        "latest-for-everyone",
        "consensus/leader.py",
        "            latest.previous.position == progress.next_position\n",
        "            True\n",
        "a follower that is behind is sent what another one needs",
    ),
)

LEFT_BEHIND = (
    Mutant(
        "round-of-another-leader",
        "consensus/follower.py",
        "        self._reported = LogPosition(0)\n        self._round = 0\n        self._cure",
        "        self._reported = LogPosition(0)\n        self._cure",
        "a new leader takes for confirmed what it has not asked yet",
    ),
    Mutant(
        "ledger-of-another-term",
        "consensus/module.py",
        "            self._digests.begin_term()\n",
        "",
        "a leader refuses ingress for a disagreement of a term that is over",
    ),
    Mutant(
        "ballot-without-end",
        "consensus/election.py",
        "core.disarm(Deadline.ELECTION, Deadline.STAND)\n        for seat",
        "core.disarm(Deadline.ELECTION, Deadline.STAND, Deadline.CAMPAIGN)\n        for seat",
        "a candidate whose votes are lost waits for ever",
    ),
    Mutant(
        "stalled-for-ever",
        "consensus/election.py",
        '            self._fail("the disk is stalled")\n',
        "",
        "a member whose disk was slow once never stands again",
    ),
    Mutant(
        "founded-by-a-stranger",
        "consensus/founding.py",
        "if founding is None or not core.knows(peer) or message.chain",
        "if founding is None or message.chain",
        "the answer of a directory that the frame does not list founds the cluster",
    ),
    Mutant(
        "written-beside-a-sync",
        "archive/recording.py",
        "            self.synced = end\n",
        "            self.synced = self.end\n",
        "what was written while a sync ran counts as covered by it (replicated)",
    ),
    Mutant(
        "seen-no-further",
        "archive/loading.py",
        "            _sight(files, by_base, segment_length, scan.watermark.mark),\n",
        "            scan.watermark.mark,\n",
        "a damaged member says that it may have acknowledged less than it has",
    ),
    Mutant(
        "closing-for-ever",
        "gateway/doorkeeper.py",
        "        self._waiting.clear()\n        self.closing.clear()\n",
        "        self._waiting.clear()\n",
        "a session whose close was lost with its leader is never ended",
    ),
    Mutant(
        "overrun-of-another-term",
        "gateway/doorkeeper.py",
        '            connection.resume_reading("overrun")\n',
        "",
        "who had used up its credit is not heard when it asks for its session again",
    ),
    Mutant(
        "let-in-while-paused",
        "gateway/gateway.py",
        '        if self._is_paused:\n            connection.pause_reading("paused")\n',
        "",
        "a client that connects during a hand-over has entries appended",
    ),
    Mutant(
        "half-a-message-kept",
        "client/session.py",
        "self._splitter = MessageSplitter(EGRESS_MESSAGE_BYTES_MAX)\n        self._leaderless",
        "self._leaderless",
        "bytes of a lost connection are read as the beginning of the next one's",
    ),
)

ALL = (*CONSENSUS, *ARCHIVE, *SERVICE, *ROOM, *HOT_PATH, *LEFT_BEHIND)
