"""The whole job in front of one person: a cluster loses its leader and nothing gets lost.

Three member processes run the calculator. Half a million keys go through one session; in the
middle the leader is killed with SIGKILL, later it is started again and catches up. At the end
the recordings of all three members are applied anew and compared with what was sent.

Run it with ``make demo`` or ``python -m quorate.dev.demo``.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from quorate.client.cluster_client import ClusterClient
from quorate.clock import SystemClock
from quorate.consensus.types import LogPosition, Seat
from quorate.control.status import MemberStatus
from quorate.dev.cluster import DevCluster, DevEvent
from quorate.dev.demo_directory import fresh_directory
from quorate.dev.demo_proof import Answer, Evidence, Verdict, examine
from quorate.dev.demo_screen import Screen, milliseconds
from quorate.dev.demo_stream import PacedStream, StreamFigures
from quorate.dev.layout import DEFAULT_SERVICE, DevOptions
from quorate.errors import QuorateError
from quorate.examples.calculator_keys import keys

FIRST_KEYS = (b"8", b"x5", b"+2", b"=")
FIRST_ANSWER = b"42"
KEYS = 500_000
SEED = 42
RATE = 25_000
"""Keys a second: well below what two cores take, so that the latencies are the cluster's own
and not those of a queue, and the stream lasts 20 s."""

KILL_SHARE = 0.45
RESTART_SHARE = 0.6
PROGRESS_S = 0.25
LINES = 8
"""Progress lines where no bar can be drawn."""
SETTLE_TIMEOUT_S = 30.0
CATCH_UP_TIMEOUT_S = 60.0
POLL_S = 0.05

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


class DemoFailed(QuorateError):
    """The demo did not show what it is to show."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the caller chose."""

    directory: Path
    keys: int = KEYS
    seed: int = SEED
    rate: float = RATE


@dataclass(frozen=True, slots=True)
class Run:
    """What is left when the cluster has stopped."""

    figures: StreamFigures
    evidence: Evidence


class Demo:
    """One run against a cluster that starts and stops with it."""

    def __init__(self, options: DemoOptions, screen: Screen) -> None:
        """Prepare; ``play`` does everything that needs the cluster."""
        self._options = options
        self._screen = screen
        self._answers: list[Answer] = []
        self._messages = [*FIRST_KEYS, *keys(options.seed, options.keys)]
        self._cluster: DevCluster
        self._client: ClusterClient
        self._stream: PacedStream

    async def play(self) -> Run:
        """Run the cluster, the stream and the kill.

        Raises:
            QuorateError: Something did not go as it must.

        """
        options, tell = self._options, self._screen.tell
        tell(f"starting three members in {options.directory}")
        cluster = DevCluster(
            DevOptions(options.directory, service=DEFAULT_SERVICE, members=3),
            self._on_event,
            restart=False,
        )
        async with cluster:
            self._cluster = cluster
            await cluster.wait_leader()
            client = await ClusterClient.connect(
                cluster.client_addresses, name="demo", on_egress=self._on_egress
            )
            async with client:
                self._client = client
                await self._calculate()
                run = await self._stream_and_kill()
            tell("stopping the members")
        return run

    def _on_event(self, event: DevEvent) -> None:
        self._screen.tell(event.text)

    def _on_egress(self, sequence: int, message: bytes) -> None:
        self._answers.append((sequence, message))

    async def _calculate(self) -> None:
        """Press the first keys, one after the other."""
        answer: bytes | None = None
        for sequence, key in enumerate(FIRST_KEYS, 1):
            answer = await self._client.request(key, timeout=10)
            if answer is not None:
                self._answers.append((sequence, answer))
        shown = "  ".join(key.decode() for key in FIRST_KEYS)
        self._screen.tell(
            f"keys  {shown}  answer  {'nothing' if answer is None else answer.decode()}"
        )
        if answer != FIRST_ANSWER:
            raise DemoFailed(f"the first keys answered {answer!r}, not {FIRST_ANSWER!r}")

    # -- the stream and what happens to the cluster meanwhile --------------------------------

    async def _stream_and_kill(self) -> Run:
        options = self._options
        stream = self._messages[len(FIRST_KEYS) :]
        self._stream = PacedStream(self._client, stream, options.rate)
        self._screen.tell(
            f"streaming {options.keys:,} keys (seed {options.seed}) through one session, "
            f"{options.rate:,.0f} a second"
        )
        async with asyncio.TaskGroup() as group:
            progress = group.create_task(self._show_progress(), name="progress")
            harm = group.create_task(self._kill_and_restart(), name="kill")
            await self._stream.run()
            await harm
            progress.cancel()
        self._screen.end_progress()
        position, digests = await self._settle()
        return Run(
            self._stream.acknowledged.figures(options.rate), self._evidence(position, digests)
        )

    async def _kill_and_restart(self) -> None:
        cluster, tell, stream = self._cluster, self._screen.tell, self._stream
        await stream.reached(int(self._options.keys * KILL_SHARE))
        before = await cluster.wait_leader(timeout_s=10)
        if stream.offered >= self._options.keys:
            raise DemoFailed(
                "every key was on its way before the leader could be killed, so that would show "
                "nothing: ask for more --keys or a lower --rate"
            )
        seat, term = Seat(before.seat), before.leadership_term_id
        count = stream.acknowledged.count
        tell(f"SIGKILL to member {seat}, the leader of term {term}, behind key {count:,}")
        offered, killed_at = stream.offered, self._now()
        cluster.kill(seat)
        await stream.reached(offered + 1)
        passed = milliseconds(self._now() - killed_at)
        tell(f"{passed} after the kill the next key is acknowledged, in the same session")
        new = await cluster.wait_leader(timeout_s=10, above_term=term)
        tell(f"commit position {new.commit_position:,} in term {new.leadership_term_id}")
        await stream.reached(int(self._options.keys * RESTART_SHARE))
        await self._restart(seat)

    async def _restart(self, seat: Seat) -> None:
        cluster, stream = self._cluster, self._stream
        missing = (await self._status_of_leader()).commit_position
        self._screen.tell(f"starting member {seat} again; the others have committed {missing:,}")
        began = self._now()
        await cluster.restart(seat)
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
                status = await self._wait_applied(seat, missing)
        except TimeoutError:
            text = f"member {seat} did not catch up within {CATCH_UP_TIMEOUT_S:g} s"
            raise DemoFailed(text) from None
        running = stream.acknowledged.count < self._options.keys
        self._screen.tell(
            f"member {seat} has caught up {milliseconds(self._now() - began)} after its start"
            f"{', while the stream runs' if running else ''}: it has applied "
            f"{status.service_position:,}"
        )

    async def _wait_applied(self, seat: Seat, position: int) -> MemberStatus:
        while True:
            status = (await self._cluster.statuses())[seat]
            if status is not None and status.service_position >= position:
                return status
            await asyncio.sleep(POLL_S)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _status_of_leader(self) -> MemberStatus:
        leader = await self._cluster.wait_leader(timeout_s=10)
        fresh = (await self._cluster.statuses())[Seat(leader.seat)]
        return leader if fresh is None else fresh

    async def _show_progress(self) -> None:
        """Show how far the stream and the members are, until cancelled."""
        shown = -1
        while True:
            share = self._stream.acknowledged.count / self._options.keys
            step = int(share * LINES)
            if self._screen.is_terminal or step > shown:
                shown = step
                self._screen.show_progress(share, await self._progress_text())
            await asyncio.sleep(PROGRESS_S)

    async def _progress_text(self) -> str:
        statuses = await self._cluster.statuses()
        leader = next((row for row in statuses.values() if row and row.role == "leader"), None)
        who = (
            "no leader"
            if leader is None
            else (f"member {leader.seat} leads term {leader.leadership_term_id}")
        )
        commits = " ".join(
            "down" if row is None else f"{row.commit_position:,}" for row in statuses.values()
        )
        return f"{self._stream.acknowledged.count:,} acknowledged; {who}; commit {commits}"

    # -- the end ---------------------------------------------------------------------------

    async def _settle(self) -> tuple[LogPosition, dict[int, str]]:
        """Wait until all members have applied the same log; return position and digests.

        Raises:
            DemoFailed: They have not, in time.

        """
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                while True:
                    statuses = [row for row in (await self._cluster.statuses()).values() if row]
                    positions = {row.service_position for row in statuses}
                    if len(statuses) == len(self._cluster.seats) and len(positions) == 1:
                        break
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise DemoFailed(
                f"the members did not reach one service position within {SETTLE_TIMEOUT_S:g} s"
            ) from None
        position = positions.pop()
        digests = {
            row.seat: digest.digest
            for row in statuses
            for digest in row.digests
            if digest.position == position
        }
        self._screen.tell(f"all three members have applied the log up to {position:,}")
        return LogPosition(position), digests

    def _evidence(self, position: LogPosition, digests: dict[int, str]) -> Evidence:
        directory = self._cluster.directory
        return Evidence(
            messages=self._messages,
            answers=self._answers,
            session_id=self._client.cluster_session_id,
            acknowledged=self._client.acknowledged_sequence,
            position=position,
            digests=digests,
            recordings={seat: directory.data_path(seat) for seat in self._cluster.seats},
        )


def result_rows(run: Run, verdict: Verdict) -> list[tuple[str, str]]:
    """Return the closing table: name and value."""
    figures, evidence = run.figures, run.evidence
    streamed = len(evidence.messages) - len(FIRST_KEYS)
    applied = ", ".join(f"{count:,} (member {seat})" for seat, count in verdict.applied.items())
    latency = ", ".join(
        f"{name} {milliseconds(value)}" for name, value in figures.latency_s.items()
    )
    rows = [
        ("keys sent", f"{len(evidence.messages):,} in one session"),
        ("acknowledged", f"{evidence.acknowledged:,}"),
        ("applied once, in order", applied),
        ("sent again, skipped", f"{verdict.doubles:,} that the log holds twice"),
        (
            "longest gap without an acknowledgement",
            f"{milliseconds(figures.longest_gap_s)}, behind key {figures.longest_gap_at:,}",
        ),
        ("throughput", f"{streamed / figures.duration_s:,.0f} keys/s (paced)"),
        ("latency, from when a key was due", latency),
        ("state digest at position", f"{evidence.position:,}"),
    ]
    rows += [
        (f"  member {seat}", f"{digest} ({_compared(digest, verdict.replayed.get(seat))})")
        for seat, digest in evidence.digests.items()
    ]
    equal = "yes" if verdict.answers_equal else "NO"
    rows.append(
        ("answers", f"{len(evidence.answers):,}; equal to those without a cluster: {equal}")
    )
    return rows


def _compared(digest: str, replayed: str | None) -> str:
    return "its recording leads to the same" if digest == replayed else f"REPLAYED: {replayed}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 only if everything that was acknowledged was applied once."""
    parsed = _parser().parse_args(arguments)
    screen = Screen(sys.stdout, lambda: SystemClock().monotonic() / 1e9)
    own = parsed.directory is None
    try:
        directory = fresh_directory("quorate-demo-") if own else parsed.directory
    except OSError as error:
        print(f"demo failed: {error}; set TMPDIR to a folder on a disk", file=sys.stderr)
        return EXIT_FAILED
    options = DemoOptions(directory, parsed.keys, parsed.seed, parsed.rate)
    try:
        problems = _run(options, screen)
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.end_progress()
        screen.tell("interrupted; the members have ended")
        problems, code = [], EXIT_INTERRUPTED
    else:
        code = EXIT_FAILED if problems else 0
    if problems:
        for problem in problems:
            print(f"demo failed: {problem}", file=sys.stderr)
        print(f"the members' logs are {directory}/member-*/member.log", file=sys.stderr)
    elif own:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def _run(options: DemoOptions, screen: Screen) -> list[str]:
    """Play and examine; return what went wrong."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(_play(options, screen))
        verdict = examine(run.evidence, screen.tell)
    except BaseExceptionGroup as group:
        screen.end_progress()
        stopped, failed = group.split((KeyboardInterrupt, asyncio.CancelledError))
        if failed is None and stopped is not None:
            raise KeyboardInterrupt from group
        return [str(error) or repr(error) for error in _leaves(group)]
    except (QuorateError, OSError) as error:
        screen.end_progress()
        return [str(error)]
    screen.table(result_rows(run, verdict))
    if not verdict.problems:
        screen.tell("every acknowledged key was applied exactly once, in order, on all members")
    return verdict.problems


async def _play(options: DemoOptions, screen: Screen) -> Run:
    """Play, and end in order when asked to by SIGTERM as by Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None, "runs as a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await Demo(options, screen).play()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quorate.dev.demo", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--directory", type=Path, help="where the members keep their files (default: a new one)"
    )
    parser.add_argument(
        "--keys", type=_positive, default=KEYS, help="length of the stream (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the keys (%(default)s)")
    parser.add_argument("--rate", type=_positive, default=RATE, help="keys a second (%(default)s)")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
