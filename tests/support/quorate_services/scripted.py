"""A service whose messages are small scripts, so that a test can make it do anything."""

from __future__ import annotations

from quorate.service import (
    ClientSession,
    CloseReason,
    Cluster,
    ClusteredService,
    LeadershipTerm,
    Role,
    SnapshotInput,
    SnapshotOutput,
)


class ScriptedError(Exception):
    """What a script raises with ``fail``."""


class Scripted(ClusteredService):
    """Runs the commands of a message, separated by ``;``, and journals every callback.

    ``say TEXT`` offers to the sender, ``tell N TEXT`` to the N-th open session, ``timer ID
    DELAY`` and ``cancel ID`` do what they say, ``self SCRIPT`` sends everything behind it to
    itself, ``close`` ends the sender's session and ``kick N`` the N-th, ``loop`` sends itself
    to itself, ``fail`` raises, ``answer`` returns something. A timer tells all sessions
    ``timer ID``, and runs the script that ``at ID SCRIPT`` has left for it.
    """

    def __init__(self) -> None:
        """Begin with an empty journal."""
        self.journal: list[str] = []
        self.scripts: dict[int, bytes] = {}

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Load the journal."""
        self.cluster = cluster
        for record in snapshot or ():
            kind, _, rest = record.partition(b" ")
            if kind == b"journal":
                self.journal.append(rest.decode())
            else:
                timer_id, _, script = rest.partition(b" ")
                self.scripts[int(timer_id)] = script

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        """Write the journal and the scripts of timers."""
        for line in self.journal:
            snapshot.write(b"journal " + line.encode())
        for timer_id, script in sorted(self.scripts.items()):
            snapshot.write(b"script %d %b" % (timer_id, script))

    def on_session_open(self, session: ClientSession, timestamp: int) -> None:
        """Journal it, and run the session's name."""
        self.journal.append(f"open {session.session_id} {timestamp}")
        self._run(session, session.name.encode())

    def on_session_close(self, session: ClientSession, timestamp: int, reason: CloseReason) -> None:
        """Journal it, offer the dead a word that nobody hears, and run the principal."""
        self.journal.append(f"close {session.session_id} {timestamp} {reason.name}")
        session.offer(b"unheard")
        self._run(None, session.principal)

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Journal the message and run it."""
        sender = session.session_id if session is not None else None
        self.journal.append(f"message {sender} {timestamp} {message.decode()}")
        if message == b"answer":
            return "nonsense"  # type: ignore[return-value]
        self._run(session, message)
        return None

    def on_timer(self, timer_id: int, timestamp: int) -> None:
        """Journal it, tell all sessions, and run what is left for it."""
        self.journal.append(f"timer {timer_id} {timestamp}")
        for session in self.cluster.sessions.values():
            session.offer(b"timer %d" % timer_id)
        self._run(None, self.scripts.get(timer_id, b""))

    def on_new_leadership_term(self, term: LeadershipTerm) -> None:
        """Journal it."""
        self.journal.append(f"term {term.leadership_term_id} {term.possible_loss}")

    def on_role_change(self, role: Role) -> None:
        """Do nothing: the journal must not depend on it."""

    def _run(self, session: ClientSession | None, script: bytes) -> None:
        while script:
            command, _, script = script.partition(b";")
            verb, _, rest = command.partition(b" ")
            if verb == b"self":
                self.cluster.offer(rest + (b";" + script if script else b""))
                return
            if verb == b"at":
                timer_id, _, first = rest.partition(b" ")
                self.scripts[int(timer_id)] = first + (b";" + script if script else b"")
                return
            self._do(session, verb, rest)

    def _do(self, session: ClientSession | None, verb: bytes, rest: bytes) -> None:
        words = rest.split(b" ")
        if verb == b"say" and session is not None:
            session.offer(rest)
        elif verb == b"tell":
            for other in self._nth(int(words[0])):
                other.offer(b" ".join(words[1:]))
        elif verb in (b"timer", b"cancel"):
            self._change_timer(*map(int, words))
        elif verb == b"close" and session is not None:
            session.close()
        elif verb == b"kick":
            for other in self._nth(int(words[0])):
                other.close()
        elif verb == b"loop":
            self.cluster.offer(b"loop")
        elif verb == b"fail":
            raise ScriptedError("the script says so")

    def _change_timer(self, timer_id: int, delay: int | None = None) -> None:
        if delay is None:
            self.cluster.cancel_timer(timer_id)
        else:
            self.cluster.schedule_timer(timer_id, self.cluster.time + delay)

    def _nth(self, index: int) -> list[ClientSession]:
        """Return the session of that place in the order of ids, or none."""
        return list(self.cluster.sessions.values())[index : index + 1]
