"""How long and how often to measure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from quorate.config import Durability

BOTH = (Durability.REPLICATED, Durability.FSYNC)


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds, counts, and where the clusters keep their files."""

    directory: Path
    repeats: int = 3
    warm_up_s: float = 1.0
    closed_s: float = 8.0
    idle_s: float = 5.0
    open_s: float = 10.0
    kills: int = 30
    stops: int = 10
    messages: int = 10_000_000
    sessions: int = 1_000
    session_pairs: int = 8
    """Slices beside that many idle sessions."""
    slice_s: float = 3.0
    """Of load with and without whatever disturbs it, in the parts of overload."""
    missed: int = 1_000_000
    """Messages that a follower is gone for."""
    durabilities: tuple[Durability, ...] = BOTH
    is_quick: bool = False

    def quick(self) -> Plan:
        """Return a plan that takes a few minutes and says less."""
        return replace(
            self,
            warm_up_s=0.5,
            closed_s=1.4,
            idle_s=2.0,
            open_s=1.4,
            kills=3,
            stops=3,
            messages=600_000,
            slice_s=0.8,
            missed=200_000,
            is_quick=True,
        )

    @property
    def slice_repeats(self) -> int:
        """How often the parts of overload repeat their slices: once if quick."""
        return 1 if self.is_quick else self.repeats

    def durabilities_of_costs(self) -> tuple[Durability, ...]:
        """Return with what the parts of ``run.COSTS`` are measured: with one if quick."""
        return self.durabilities[-1:] if self.is_quick else self.durabilities
