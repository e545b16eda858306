"""``quorate dev``: a cluster on this machine, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from quorate.cli.output import discard_output
from quorate.config import Durability
from quorate.dev.layout import DEFAULT_MEMBERS, DEFAULT_SERVICE, DevOptions
from quorate.runtime.exit_codes import ExitCode

if TYPE_CHECKING:
    from quorate.dev.cluster import DevCluster

DEFAULT_DIRECTORY = Path("quorate-dev")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READER_GONE = {errno.EPIPE, errno.EIO}
"""What a pipe, and a terminal that was closed, answer to what is written."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "dev",
        help="run a whole cluster on this machine",
        description=(
            "Runs a cluster of member processes on this machine and stays in the foreground: "
            "founds it, starts again what dies, and stops it cleanly on Ctrl-C (a second Ctrl-C "
            "kills). Started again on the same directory it goes on where it was. Other verbs "
            "find the running cluster by themselves."
        ),
        epilog=(
            "The directory belongs to one service, as its log does, so the default is a folder "
            "beside your code. It holds for each member its file, log and data."
        ),
    )
    parser.add_argument(
        "--service", metavar="MODULE:CLASS", help=f"default for a new one: {DEFAULT_SERVICE}"
    )
    parser.add_argument("--service-config", metavar="TEXT", help="handed to the service")
    parser.add_argument(
        "--members", type=int, help=f"one to nine; default for a new one: {DEFAULT_MEMBERS}"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=DEFAULT_DIRECTORY,
        help=f"default: ./{DEFAULT_DIRECTORY}",
    )
    parser.add_argument(
        "--durability",
        choices=[item.name.lower() for item in Durability],
        help="default for a new one: fsync; replicated is faster and loses data in a power cut",
    )
    parser.add_argument(
        "--base-port",
        type=int,
        metavar="PORT",
        help="clients from here on, members from 10 and control from 20 higher; default: free ones",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the cluster until a signal."""
    durability = None if options.durability is None else Durability[options.durability.upper()]
    return asyncio.run(
        _run(
            DevOptions(
                directory=options.directory,
                service=options.service,
                service_config=options.service_config,
                members=options.members,
                durability=durability,
                base_port=options.base_port,
            )
        )
    )


async def _run(options: DevOptions) -> int:
    from quorate.dev.cluster import DevCluster
    from quorate.dev.run_file import RunningDev, published

    cluster = DevCluster(options, lambda event: foreground.say(event.text))
    foreground = _Foreground(cluster)
    try:
        async with cluster:
            foreground.starting = False
            running = RunningDev(
                str(cluster.directory.path),
                cluster.directory.cluster_id.hex(),
                cluster.client_addresses,
                cluster.control_addresses,
            )
            with published(running):
                foreground.say(_introduction(cluster))
                await foreground.asked_to_stop.wait()
    except asyncio.CancelledError:
        if not foreground.asked_to_stop.is_set():
            raise
    foreground.say("stopped")
    return ExitCode.FAILED if foreground.reader_gone else ExitCode.ASKED


class _Foreground:
    """Turns signals into the wish to stop, and a second one into impatience."""

    def __init__(self, cluster: DevCluster) -> None:
        self._cluster = cluster
        self._task = asyncio.current_task()
        self.asked_to_stop = asyncio.Event()
        self.starting = True
        self.reader_gone = False
        for number in _SIGNALS:
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started by nohup: it is to outlive the terminal
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.asked_to_stop.is_set():
            self._cluster.kill_all()
            return
        self._stop()
        self.say("stopping; once more to kill")

    def _stop(self) -> None:
        self.asked_to_stop.set()
        if self.starting and self._task is not None:
            self._task.cancel()

    def say(self, text: str) -> None:
        """Print lines; when nobody reads any more, end in order, as other commands would.

        A file on a full disk is no reason to end the members: it gets what is missing later.
        """
        try:
            print(text, flush=True)
        except OSError as error:
            if error.errno not in _READER_GONE:
                return
            discard_output()
            if not self.asked_to_stop.is_set():
                self.reader_gone = True
                self._stop()


def _introduction(cluster: DevCluster) -> str:
    """Return where everything is."""
    directory = cluster.directory
    durability = directory.durability.name.lower()
    size = f"{len(directory.seats)} member(s)"
    lines = [f"{directory.service} runs on {size}, durability {durability}, in {directory.path}"]
    for row in directory.seats:
        control = f"http://{row.control_address}"
        lines.append(
            f"  member {row.seat}  clients {row.client_address}  status {control}/status  "
            f"metrics {control}/metrics  log {directory.log_path(row.seat)}"
        )
    lines.append("try: quorate status, quorate send MESSAGE; Ctrl-C stops")
    return "\n".join(lines)
