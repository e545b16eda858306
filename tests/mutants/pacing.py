"""Small lies in how a leader paces itself, in what it has room for, and in a term's first frame."""

from __future__ import annotations

from mutant import Mutant

PACING = (
    Mutant(
        "sent-since-counts-as-lost",
        "consensus/leader.py",
        "progress.sent_at_round = (self._round, progress.next_position)",
        "progress.sent_at_round = (self._round, core.log.end.position)",
        "a follower with a full window is sent all of it again with each heartbeat",
    ),
    Mutant(
        "commits-the-whole-log-or-nothing",
        "consensus/leader.py",
        "if before < progress.match > core.commit_position:",
        "if before < progress.match >= core.log.end.position:",
        "what a quorum holds is committed only when a follower holds everything",
    ),
    Mutant(
        "owed-for-ever",
        "consensus/leader.py",
        "        elif Deadline.PUBLISH not in core.deadlines:\n",
        "        else:\n",
        "each new commit puts off the one that a follower is owed",
    ),
    Mutant(
        "dialling-is-being-heard",
        "consensus/leader.py",
        "heard_at=progress.heard_at)",
        "heard_at=self._core.now.loop)",
        "a leader goes on with followers that only connect, again and again",
    ),
    Mutant(
        "a-start-is-a-silence",
        "consensus/leader.py",
        ", heard_at=progress.heard_at)",
        ")",
        "a leader steps down because a follower has been started again",
    ),
    Mutant(
        "progress-of-a-stranger",
        "consensus/leader.py",
        "if progress is None or not self._core.knows(peer):",
        "if progress is None:",
        "a wiped directory takes the place of the member in what its leader knows",
    ),
    Mutant(
        "handed-to-a-stranger",
        "consensus/core.py",
        "return peer is not None and self.knows(peer)",
        "return peer is not None",
        "a wiped directory passes for the member that sat there",
    ),
    Mutant(
        "paused-at-leisure",
        "consensus/transfer.py",
        "core.arm(Deadline.TRANSFER, core.config.election_timeout_min_ns)",
        "core.arm(Deadline.TRANSFER, 100 * core.config.election_timeout_min_ns)",
        "a hand-over to a member that does not stand pauses clients for a minute",
    ),
    Mutant(
        "loss-not-in-the-log",
        "consensus/leader.py",
        "            possible_loss=self.possible_loss,\n",
        "            possible_loss=False,\n",
        "the first frame of a term does not say that something may be lost",
    ),
    Mutant(
        "term-longer-than-its-room",
        "consensus/election.py",
        "TERM_FRAME_BYTES_MORE = 128",
        "TERM_FRAME_BYTES_MORE = 0",
        "a member stands whose disk has no room for the first frame of its term",
    ),
    Mutant(
        "full-with-space-again",
        "consensus/room.py",
        "and not self._bounded and not core.storage_full:",
        "and not self._bounded:",
        "the log stays full when the only full disk has space again",
    ),
    Mutant(
        "full-without-links",
        "consensus/room.py",
        "return has_quorum(core.membership, linked | own) and not has_quorum(",
        "return not has_quorum(",
        "a leader without links says that the log has no room",
    ),
    Mutant(
        "equal-length-equal-frame",
        "consensus/follower.py",
        "if frame.end <= core.log.end.position and (own is None or own.chain == frame.chain):",
        "if frame.end <= core.log.end.position:",
        "another frame of equal length in the place of ours goes unnoticed",
    ),
    Mutant(
        "silent-contradiction",
        "consensus/leader.py",
        "if contradicts(mark, report.end, report.terms):",
        "if mark.position == report.end.position and mark.chain != report.end.chain:",
        "two recordings that differ below a later term of one of them are never reconciled",
    ),
    Mutant(
        "durable-with-the-write-before",
        "consensus/core.py",
        "        self.log.appended(self.sequence)\n",
        "        self.log.appended(self.sequence - 1)\n",
        "a frame counts as durable with the write before its own",
    ),
    Mutant(
        "not-told-again",
        "consensus/founding.py",
        "        if core.seat == self._maker and core.node_state.founded:\n"
        "            self._tell(peer.seat)\n",
        "        if core.seat == self._maker and core.node_state.founded:\n            pass\n",
        "who has not heard that the cluster is founded never hears it",
    ),
    Mutant(
        "next-field-overlooked",
        "protocol/term_codec.py",
        "_TERM_FIELDS = frozenset(range(1, 12))",
        "_TERM_FIELDS = frozenset(range(1, 13))",
        "a mandatory field of the next release is overlooked",
    ),
    Mutant(
        "loss-mark-missing",
        "protocol/term_codec.py",
        "possible_loss=read_record(",
        "possible_loss=_TERM_POSSIBLE_LOSS in records and read_record(",
        "a term frame without the mark of a possible loss passes for one that denies it",
    ),
)
