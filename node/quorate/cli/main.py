"""Finds the verb, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence

from quorate import __version__
from quorate.cli import dev, found, log, recover, run, send, status, verify
from quorate.cli.output import discard_output, open_closed_streams, tell
from quorate.errors import ConfigurationError, QuorateError
from quorate.runtime.exit_codes import ExitCode

VERBS = (dev, run, found, status, send, log, verify, recover)

EXIT_INTERRUPTED = 130
"""As a shell tells of a process that SIGINT ended."""
_OUTPUT_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a file on a full disk answers to what is written; our own files say ``StorageError``."""

EPILOG = "exit codes:\n" + "\n".join(
    [
        *(f"  {code.value:3}  {code.meaning}" for code in ExitCode),
        f"  {EXIT_INTERRUPTED}  interrupted",
        "Codes from 3 on come from `run` alone, and 5 from `verify` as well.",
    ]
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="quorate",
        description="Runs a deterministic Python service as a fault-tolerant cluster.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"quorate {__version__}")
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    Errors of ours end in one line each on standard error. Anything else is a bug and shows
    its traceback.
    """
    open_closed_streams()
    if not __debug__:
        _complain("refusing to run under `python -O`: it removes the checks that protect the data")
        return ExitCode.CONFIGURATION
    options = build_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        # A pipe or a file is written to when the buffer is full, or here: at exit it is too late
        # for an error to find its exit code.
        sys.stdout.flush()
    except ConfigurationError as error:
        for problem in error.problems:
            _complain(problem)
        return ExitCode.CONFIGURATION
    except QuorateError as error:
        _complain(str(error))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        return _output_failed(error)
    return code


def _output_failed(error: OSError) -> int:
    """Return the exit code of a verb whose output nobody reads, or has no space.

    Raises:
        OSError: It is another error than these.

    """
    is_full = error.errno in _OUTPUT_FULL and error.filename is None
    if not is_full and not isinstance(error, BrokenPipeError):
        raise error
    if is_full:
        _complain(f"the output cannot be written: {error.strerror}")
    discard_output()
    return ExitCode.FAILED


def _complain(text: str) -> None:
    tell(" ".join(text.split()))
