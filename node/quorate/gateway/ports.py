"""What the gateway needs from the member around it; the runtime and the tests provide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quorate.config import ClusterSettings
from quorate.service.outbox import EgressBatch, SessionView


class SessionsView(Protocol):
    """The replicated sessions at the service position; a `ServiceContainer` is one."""

    @property
    def settings(self) -> ClusterSettings:
        """The settings in force."""

    def find_session(self, key_hash: bytes) -> SessionView | None:
        """Return the live session that this key opened."""

    def session(self, session_id: int) -> SessionView | None:
        """Return a live session."""

    def progress_of(self, session_id: int) -> tuple[int, int, bool] | None:
        """Return last ingress, last egress and whether all egress is flushed, of a live session."""

    def session_ids(self) -> Sequence[int]:
        """Return the ids of all live sessions."""

    @property
    def sessions_count(self) -> int:
        """How many sessions are live."""

    @property
    def applied_messages(self) -> int:
        """Messages applied so far, those of a frame that is under way included."""

    def egress_after(self, session_id: int, egress_sequence: int) -> list[EgressBatch]:
        """Return kept egress behind this sequence, in order; the first may begin before it."""


class IngressPort(Protocol):
    """The member's side of client traffic."""

    @property
    def cluster_id(self) -> bytes:
        """16 bytes."""

    @property
    def leadership_term_id(self) -> int:
        """The present term: sessions attached in an earlier one have to resume."""

    @property
    def serving(self) -> bool:
        """Leader, has applied the first frame of its own term, and not paused."""

    @property
    def leader_client_address(self) -> str | None:
        """Where clients reach the leader; None while none is known."""

    @property
    def member_client_addresses(self) -> tuple[str, ...]:
        """Where clients reach each member, by seat."""

    @property
    def container(self) -> SessionsView:
        """The sessions, to read only."""

    def append_entry(self, entry: bytes) -> None:
        """Put one encoded entry into the log frame of this turn, in order; serving only."""
