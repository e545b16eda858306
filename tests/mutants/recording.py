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
        "        if truncations != self._truncations:",
        "        if False:",
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
    Mutant(
        "boot-of-an-earlier-life",
        "archive/opening.py",
        "stored._replace(boot_id=life.boot_id, durability=life.durability, clean=False)",
        "stored._replace(durability=life.durability, clean=False)",
        "a member that has lost its page cache takes part as if it had not",
    ),
    Mutant(
        "clean-for-ever",
        "archive/opening.py",
        "stored._replace(boot_id=life.boot_id, durability=life.durability, clean=False)",
        "stored._replace(boot_id=life.boot_id, durability=life.durability)",
        "a life that crashed passes for one that ended with everything synced",
    ),
    Mutant(
        "header-at-the-end-of-a-chunk",
        "archive/scan.py",
        "if offset + FRAME_HEADER_LENGTH > len(chunk):",
        "if offset + FRAME_HEADER_LENGTH >= len(chunk):",
        "the log ends at a frame whose header ends with what was read at once",
    ),
    Mutant(
        "verifier-passes-over",
        "archive/verify.py",
        "            self._add(name, FindingSeverity.DAMAGE, str(error))\n",
        "            pass\n",
        "what the verifier cannot read at all passes for sound",
    ),
    Mutant(
        "close-as-the-system-has-it",
        "archive/archive.py",
        '            raise storage_error(error, "closing") from error\n',
        "            raise\n",
        "a disk that fails at the end passes for a bug",
    ),
)
