"""Runs and repeats simulations from the command line; see the package's documentation."""

from __future__ import annotations

import sys

from quorate_simulation.command import main

if __name__ == "__main__":
    sys.exit(main())
