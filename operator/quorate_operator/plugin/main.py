"""The plugin's command line: verbs, options of kubectl that it passes on, and exit codes."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence

from quorate.errors import QuorateError
from quorate_operator.plugin import members, status, transfer
from quorate_operator.plugin.kubectl import Kubectl
from quorate_operator.plugin.reading import plain

OK, FAILED, INTERRUPTED = 0, 1, 130
"""Bad arguments are 2, by argparse."""
TIMEOUT_MAX_S = 3600
_PASSED_ON = ("namespace", "context", "kubeconfig")
# A name, and no option of kubectl such as --all, nor several names.
_CLUSTER = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
# What the operator takes for a member: the name of a pod, or the number of a seat.
_MEMBER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

EPILOG = """\
exit codes: 0 done; 1 failed, or (status) nobody leads or a member does not answer; 2 bad
arguments; 130 interrupted. kubectl does the asking, so its configuration and rights apply; status
needs the right to get pods/proxy."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-n", "--namespace", help="as of kubectl")
    common.add_argument("--context", help="as of kubectl")
    common.add_argument("--kubeconfig", help="as of kubectl")
    common.add_argument("-o", "--output", choices=("json",), help="default: for people")
    cluster = _matching(_CLUSTER, "the name of a ClusterService")
    common.add_argument("name", type=cluster, metavar="NAME", help="of a ClusterService")
    parser = argparse.ArgumentParser(
        prog="kubectl quorate",
        description="Shows and steers Quorate clusters in Kubernetes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, run, words in (
        ("status", status.run, "print conditions, leader and every member's positions now"),
        ("members", members.run, "print where each member is, its role and health"),
        ("transfer", transfer.run, "hand leadership to another member and wait until it leads"),
    ):
        _add_verb(verbs, common, name, run, words)
    chosen = verbs.choices["transfer"]
    member = _matching(_MEMBER, "the name of a pod, a seat or any")
    chosen.add_argument("--to", default="any", type=member, help="pod or seat; default: any")
    chosen.add_argument("--timeout", type=_seconds, default=60, metavar="S", help="default: 60")
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
    name: str,
    run: Callable[[Kubectl, argparse.Namespace], int],
    words: str,
) -> None:
    verb = verbs.add_parser(
        name, parents=[common], help=words, description=f"{words.capitalize()}."
    )
    verb.set_defaults(run=run)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return text

    return checked


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= TIMEOUT_MAX_S):
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to {TIMEOUT_MAX_S} whole seconds")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. Errors end in one line on standard error."""
    options = build_parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a locale may lack signs of what others wrote
    passed_on = [
        f"--{name}={value}" for name in _PASSED_ON if (value := getattr(options, name)) is not None
    ]
    try:
        code: int = options.run(Kubectl(passed_on), options)
        sys.stdout.flush()  # here a reader that has gone is met below, and not at exit
    except QuorateError as error:
        print(f"kubectl quorate: {plain(str(error))}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code
