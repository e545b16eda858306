"""What the demo shows: lines as things happen, a progress bar on terminals, a table at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

BAR_WIDTH = 30
WHOLE_MS = 100
"""From here on tenths of a millisecond are noise."""
_CLEAR_LINE = "\r\x1b[K"


class Screen:
    """Prints lines with the seconds since the start; keeps one bar below them on a terminal."""

    def __init__(self, out: TextIO, now: Callable[[], float]) -> None:
        """Print to ``out``; ``now`` is a clock in seconds."""
        self._out = out
        self._now = now
        self._began = now()
        self._is_terminal = out.isatty()
        self._bar = ""
        self._strokes = _strokes(out)

    @property
    def is_terminal(self) -> bool:
        """Whether a bar can be drawn."""
        return self._is_terminal

    def tell(self, text: str) -> None:
        """Print one line above the bar."""
        self._write(f"{self._now() - self._began:6.2f} s  {text}\n")

    def show_progress(self, share: float, text: str) -> None:
        """Draw the bar anew; on something that is not a terminal print a line instead."""
        if not self._is_terminal:
            self.tell(f"{share:4.0%}  {text}")
            return
        filled = int(BAR_WIDTH * share)
        done, left = self._strokes
        bar = done * filled + left * (BAR_WIDTH - filled)
        # A line that wraps could not be taken back.
        columns = _columns(self._out)
        self._bar = f"{bar} {share:4.0%}  {text}"[: max(20, columns - 1)]
        self._write("")

    def end_progress(self) -> None:
        """Take the bar away."""
        self._bar = ""
        if self._is_terminal:
            self._write("")

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print two columns; a row without a name goes on under the one above."""
        width = max(len(name) for name, _ in rows)
        lines = "".join(f"  {name:<{width}}  {value}\n" for name, value in rows)
        self._write(f"\n{lines}\n")

    def _write(self, text: str) -> None:
        clear = _CLEAR_LINE if self._is_terminal else ""
        self._out.write(f"{clear}{text}{self._bar}")
        self._out.flush()


def _strokes(out: TextIO) -> tuple[str, str]:
    """Return what a bar is drawn with, in the alphabet of ``out``: done, and left."""
    try:
        "█░".encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        return "#", "."
    return "█", "░"


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns
    except (OSError, ValueError):
        return 80


def milliseconds(seconds: float) -> str:
    """Return a duration for people."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= WHOLE_MS else f"{value:,.1f} ms"
