"""What the control server needs of the member; the runtime implements it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from quorate.consensus.types import Seat
from quorate.control.status import MemberStatus


class Health(NamedTuple):
    """The answer to a probe."""

    ok: bool
    reason: str
    """One line; says what is missing when not ok."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """What only the parts around the core know, read when metrics are scraped."""

    sessions: int = 0
    client_connections: int = 0
    kept_egress_bytes: int = 0
    timers: int = 0
    spares: int = 0
    disk_free_bytes: float = 0.0
    """Not a number where the file system does not tell."""
    storage_low: bool = False


OnOutcome = Callable[[bool, str], None]
"""Called once with whether it was completed, and the reason."""


class ControlPort(Protocol):
    """The member as its operator sees it; called on the loop, and all but one return at once."""

    def status(self) -> MemberStatus:
        """Return the present status; cheap, as it is called at every scrape and poll."""
        ...

    async def wait_status(self, after: int) -> None:
        """Return as soon as the status version differs from ``after``; may be cancelled."""
        ...

    def gauges(self) -> Gauges:
        """Return what is counted elsewhere."""
        ...

    def found(self, *, discard: bool, on_outcome: OnOutcome) -> str | None:
        """Ask for the founding; return why not, or None and call ``on_outcome`` later."""
        ...

    def transfer(self, target: Seat | None, on_outcome: OnOutcome) -> str | None:
        """Hand leadership to this seat or, with None, to the best voter; as ``found``."""
        ...

    def alive(self) -> Health:
        """Tell whether the loop turns; never looks at peers, quorum or disk."""
        ...

    def ready(self) -> Health:
        """Tell whether the leader of this term is known and its log applied up to a bound."""
        ...

    def started(self) -> Health:
        """Tell whether the directory has been read: replaying, or done with it."""
        ...
