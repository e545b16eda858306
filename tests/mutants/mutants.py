"""Small lies in the source, each of which breaks a promise: the tests must notice every one.

The texts must occur exactly once in their file; ``run.py`` says so when the source has moved
on. A mutant that survives is a hole in the tests, or no fault at all: then take it out with
the reason in the commit message.
"""

from __future__ import annotations

from clients import CLIENTS
from consensus import CONSENSUS
from founding import FAILED_ATTEMPTS, FOUNDING
from mutant import Mutant
from pacing import PACING

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
        "runner, index, count = self._runner, first, len(messages)",
        "runner, index, count = self._runner, 0, len(messages)",
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
        "empty-read-again",
        "consensus/leader.py",
        "            progress.probe(progress.probed)  # Not read again",
        "            pass  # Not read again",
        "what cannot be read is asked for again in every turn",
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

LINKS = (
    Mutant(
        "silent-though-heard",
        "transport/member_connection.py",
        "        self.silence_s = 0.0\n        decoder, owner",
        "        decoder, owner",
        "a link over which everything arrives is closed as silent, again and again",
    ),
    Mutant(
        "youngest-always-stays",
        "transport/member_links.py",
        "return dialler == standing or dialler == min(self._identity.seat, peer.seat)",
        "return True",
        "of two connections that two members dial at once each side keeps another",
    ),
    Mutant(
        "one-refusal-is-enough",
        "transport/dialler.py",
        "if failure is None or not isinstance(error, ConnectionRefusedError):",
        "if failure is None:",
        "a member counts as ended because one of its addresses is another machine's by now",
    ),
    Mutant(
        "dialled-without-a-pause",
        "transport/dialler.py",
        "        has_stood = stood_s > self._settings.backoff_max_s\n",
        "        has_stood = True\n",
        "two members of which one drops each link make links as fast as they can",
    ),
    Mutant(
        "end-waits-for-a-reader",
        "transport/member_connection.py",
        "                self._timer = self._loop.call_later(timeout, transport.abort)\n",
        "",
        "a peer that does not read what was sent to it holds up the end of a member for ever",
    ),
)

ALL = (
    *CONSENSUS,
    *FOUNDING,
    *FAILED_ATTEMPTS,
    *PACING,
    *ARCHIVE,
    *SERVICE,
    *ROOM,
    *HOT_PATH,
    *LEFT_BEHIND,
    *LINKS,
    *CLIENTS,
)
