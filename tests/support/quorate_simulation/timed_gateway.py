"""The part of a leader that clients talk to, reduced to what decides exactly-once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.protocol.entry_bodies import SessionOpenBody, encode_session_open
from quorate.protocol.log_codec import EntryType, encode_entry
from quorate.service.outbox import (
    EgressBatch,
    Outbound,
    SequenceGap,
    SessionClosed,
    SessionOpened,
)
from quorate_simulation.timed_messages import (
    Answer,
    ClientLink,
    Closed,
    Egress,
    Ingress,
    Open,
    Opened,
    Redirect,
    Rewind,
)

if TYPE_CHECKING:
    from quorate_simulation.timed_member import TimedMember


class TimedGateway:
    """The client connections of one life of a member."""

    def __init__(self, member: TimedMember) -> None:
        """Nobody is connected."""
        self._member = member
        self._opening: dict[bytes, tuple[ClientLink, int]] = {}
        """Key hash → who waits for its open to be applied, and the last egress it has."""
        self._links: dict[int, ClientLink] = {}
        self._is_full = False
        self._held_opens: list[tuple[ClientLink, Open]] = []
        self._refused_from: dict[int, int] = {}
        """Session → the first sequence refused while the log had no room."""

    def close(self) -> None:
        """The process has ended: all connections break."""
        for link in self._everyone():
            link.broke()

    def on_open(self, link: ClientLink, message: Open) -> None:
        """Put an open into the log, or say who leads.

        A resume goes through the log like any open, and is answered when it is applied: a leader
        that has been replaced and does not know it yet commits nothing, so it answers nobody from
        what it used to know.
        """
        member = self._member
        if not member.serving:
            link.answer(Redirect(self._leader()))
            return
        if self._is_full:
            self._held_opens.append((link, message))
            return
        self._opening[message.key_hash] = (link, message.last_egress)
        body = encode_session_open(SessionOpenBody(message.key_hash, b"", "simulated"))
        member.append_entry(encode_entry(EntryType.SESSION_OPEN, message.session_id, body))

    def on_ingress(self, link: ClientLink, message: Ingress) -> None:
        """Put a client's batch into the log, unseen."""
        member = self._member
        if not member.serving or self._links.get(message.session_id) is not link:
            link.answer(Redirect(self._leader()))
            return
        if self._is_full:
            first = message.first_sequence
            known = self._refused_from.get(message.session_id, first)
            self._refused_from[message.session_id] = min(known, first)
            return
        entry = encode_entry(
            EntryType.SESSION_INGRESS,
            message.session_id,
            message.batch,
            first_sequence=message.first_sequence,
            message_count=message.message_count,
            egress_acknowledged=message.egress_acknowledged,
        )
        member.append_entry(entry)

    def refuse_ingress(self) -> None:
        """The log has no room."""
        self._is_full = True

    def take_ingress(self) -> None:
        """There is room again, or another leader: have sent again what was refused."""
        self._is_full = False
        refused, self._refused_from = self._refused_from, {}
        for session_id, sequence in refused.items():
            view = self._member.container.session(session_id)
            if view is not None:
                again = max(sequence, view.last_ingress_sequence + 1)
                self._answer(session_id, Rewind(session_id, again))
        opens, self._held_opens = self._held_opens, []
        for link, message in opens:
            self.on_open(link, message)

    def on_outbox(self, outbox: list[Outbound]) -> None:
        """Send what applying has produced to whom it concerns."""
        for item in outbox:
            match item:
                case SessionOpened():
                    self._on_opened(item)
                case EgressBatch():
                    self._answer(item.session_id, _egress(item))
                case SessionClosed():
                    self._on_closed(item)
                case SequenceGap():
                    self._answer(item.session_id, Rewind(item.session_id, item.next_sequence))

    def _on_opened(self, item: SessionOpened) -> None:
        link, last_egress = self._opening.pop(item.key_hash, (None, 0))
        view = self._member.container.session(item.session_id)
        if link is not None and view is not None:
            self._links[item.session_id] = link
            link.answer(Opened(item.session_id, view.last_ingress_sequence))
            for batch in self._member.container.egress_after(item.session_id, last_egress):
                link.answer(_egress(batch))

    def _on_closed(self, item: SessionClosed) -> None:
        link, _ = self._opening.pop(item.key_hash, (None, 0))
        told = {link, self._links.pop(item.session_id, None)} - {None}
        for waiting in told:
            if waiting is not None:
                waiting.answer(Closed(item.session_id, item.reason))

    def _everyone(self) -> list[ClientLink]:
        """Forget all connections and return them."""
        links = [link for link, _ in self._opening.values()] + list(self._links.values())
        links += [link for link, _ in self._held_opens]
        self._held_opens.clear()
        self._refused_from.clear()
        self._opening.clear()
        self._links.clear()
        return links

    def _answer(self, session_id: int, answer: Answer) -> None:
        link = self._links.get(session_id)
        if link is not None:
            link.answer(answer)

    def on_turn(self) -> None:
        """Nothing is acknowledged here that the service does not answer."""

    def on_leadership_lost(self) -> None:
        """Send the clients away; they must resume before their ingress is taken again."""
        for link in self._everyone():
            link.answer(Redirect(None))

    def _leader(self) -> int | None:
        module = self._member.module
        return module.leader if module is not None else None


def _egress(batch: EgressBatch) -> Egress:
    return Egress(
        batch.session_id,
        batch.last_ingress_sequence,
        batch.first_egress_sequence,
        batch.message_count,
        batch.batch,
    )
