"""What verbs tell people beside their output, and output that nobody takes any more."""

from __future__ import annotations

import os
import sys


def tell(text: str) -> None:
    """Print a line on standard error, under the name of the program."""
    print(f"quorate: {text}", file=sys.stderr)


def discard_output() -> None:
    """Let what is still buffered go nowhere: the interpreter must not complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
