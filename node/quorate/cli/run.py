"""``quorate run``: one member, until it is asked to end."""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import logging
import os
import signal
import sys
from pathlib import Path

from quorate.cli.configuration import masked, resolve
from quorate.cli.logs import FORMATS, LEVELS, LOG_FORMAT, chosen_format, configure_logging
from quorate.runtime.signals import exit_when_asked

_PR_SET_PDEATHSIG = 1

EPILOG = """\
A field of the file is overridden by the environment, QUORATE_<GROUP>__<FIELD>=value, and that by
--set group.field=value. All problems of a configuration are reported at once. SIGTERM hands
leadership over, redirects clients and ends with exit code 0."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="run one member from a TOML file and the environment",
        description="Runs one member of a cluster until SIGTERM or SIGINT.",
        epilog=EPILOG,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of the member")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="GROUP.FIELD=VALUE",
        help="override one field, such as consensus.durability=replicated; may be repeated",
    )
    parser.add_argument(
        "--log-format", choices=FORMATS, help=f"default: that of {LOG_FORMAT}, or human"
    )
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="default: info")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Resolve the configuration and run the member."""
    if options.parent is not None and not _end_with(options.parent):
        return 0
    config = resolve(options.config, os.environ, options.set)
    configure_logging(chosen_format(options.log_format, os.environ), options.log_level)
    # Compiled code that a service uses may crash: its place is then the log's last word.
    faulthandler.enable()
    exit_when_asked()
    from quorate.runtime.bootstrap import run_member
    from quorate.runtime.events import Event, log_event

    if not sys.flags.safe_path and "" not in sys.path:
        # The author's module may lie where the command was given, as with `python -m`.
        sys.path.insert(0, "")
    log_event(logging.getLogger("quorate.runtime"), Event.CONFIGURATION, **masked(config))
    return run_member(config)


def _end_with(parent: int) -> bool:
    """Have the kernel send SIGTERM when the supervisor dies; False if it is dead already."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    return os.getppid() == parent
