"""Lies in the recording on disk that no test noticed once."""

from __future__ import annotations

from mutant import Mutant

RECORDING = (
    Mutant(
        "watermark-goes-with-its-segment",
        "archive/repair.py",
        "            self._move_watermark(current)\n",
        "",
        "a start that is cut loses the watermark: damage below it passes for torn",
    ),
    Mutant(
        "header-not-written-again",
        "archive/repair.py",
        "            segment.write_header(header)\n",
        "",
        "a header that a failed sync kept from the disk stays away, with frames behind it",
    ),
    Mutant(
        "one-piece-written-again",
        "archive/repair.py",
        "        segment.write(LogPosition(position), [data])\n",
        "        segment.write(LogPosition(position), [data])\n        break\n",
        "frames behind the first piece that a failed sync kept from the disk are told of",
    ),
    Mutant(
        "sync-without-watermark",
        "archive/recording.py",
        "        self._write_watermark(self.current)\n        return self.end",
        "        return self.end",
        "rot in what was synced long ago passes for torn, beside a crash",
    ),
    Mutant(
        "overtaken-read-is-damage",
        "archive/recording.py",
        "        if not whole and truncations == self._truncations:",
        "        if not whole:",
        "a read that a truncation overtakes ends the member",
    ),
    Mutant(
        "vote-passed-over",
        "archive/archive.py",
        "                return False\n            frames += effect.frames",
        "                continue\n            frames += effect.frames",
        "a vote among frames counts as stored and was not",
    ),
    Mutant(
        "length-of-the-configuration",
        "archive/loading.py",
        "length = next(told, segment_length)",
        "length = segment_length",
        "a segment that was never used counts as damage where the configuration has changed",
    ),
    Mutant(
        "idle-work-beside-the-loop",
        "archive/writer.py",
        "                with self._archive_in_use:\n"
        "                    self.archive.idle(self._monotonic_ns() * _NS)\n",
        "                self.archive.idle(self._monotonic_ns() * _NS)\n",
        "two threads write watermarks at once",
    ),
)
