"""What verbs tell people beside their output, and output that nobody takes any more."""

from __future__ import annotations

import os
import sys
from typing import Final

_STANDARD_ERROR: Final = 2


def open_closed_streams() -> None:
    """Open the null device in place of each standard stream that our caller has closed.

    The next file opened would get its number otherwise, and whoever writes to standard error
    without asking Python, such as the interpreter when it dies, would write into a recording.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def tell(text: str) -> None:
    """Print a line on standard error, under the name of the program."""
    print(f"quorate: {text}", file=sys.stderr)


def discard_output() -> None:
    """Let what is still buffered go nowhere: the interpreter must not complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
