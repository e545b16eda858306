"""What a mutant is."""

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
