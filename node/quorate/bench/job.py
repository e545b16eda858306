"""What a load generator is asked to do, and how that gets to its process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

Result = dict[str, object]
"""What a load generator measured, as JSON."""

PAYLOAD_BYTES = 100


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for one load generator."""

    kind: str
    """A key of ``load.KINDS``."""
    addresses: tuple[str, ...]
    seconds: float = 0.0
    """How long to measure; 0 until standard input ends."""
    warm_up_s: float = 0.0
    rate: float = 0.0
    """Messages a second of an open loop."""
    pids: tuple[int, ...] = ()
    """Processes whose processor time and memory are reported beside its own."""
    messages: int = 0
    """Stop a closed loop after so many; 0 for no such limit."""
    connections: int = 1
    """Sessions, each with a connection of its own."""
    outstanding: int = 0
    """Messages that each connection keeps under way; 0 for as many as the window takes."""
    attack: str = ""
    """A key of ``attacks.ATTACKS``."""
    niceness: int = 0
    """By how much the process gives way to others."""

    def encode(self) -> str:
        """Return the form that the process takes as its argument."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the job of an argument."""
        fields = json.loads(text)
        return cls(
            **{**fields, "addresses": tuple(fields["addresses"]), "pids": tuple(fields["pids"])}
        )
