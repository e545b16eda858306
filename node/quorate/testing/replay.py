"""The other process of ``other_process``: applies the log of standard input, says what differs."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - from our own parent, and nothing is kept
import sys

from quorate.testing.determinism import NonDeterministic, compare_once


def main() -> None:
    """Write to standard output what differs, or nothing."""
    output = os.dup(1)
    os.dup2(2, 1)  # what the service prints is no answer
    seed, named, applied, snapshot = pickle.load(sys.stdin.buffer)  # noqa: S301
    how = f"in another process, with PYTHONHASHSEED={seed}"
    try:
        compare_once(pickle.loads(named), applied, snapshot, how, 1_000_000)  # noqa: S301
    except NonDeterministic as found:
        os.write(output, str(found).encode())


if __name__ == "__main__":
    main()
