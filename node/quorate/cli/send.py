"""``quorate send``: messages from arguments or standard input, answers on standard output."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent import futures
from typing import TYPE_CHECKING

from quorate.cli.arguments import seconds
from quorate.cli.output import tell
from quorate.cli.targets import add_target_arguments, client_addresses
from quorate.config import CLIENT_PORT
from quorate.errors import MessageTooLarge, QuorateError, ServiceError

if TYPE_CHECKING:
    from quorate.client.cluster_client import ClusterClient

_CHUNK_BYTES = 64 * 1024
WAIT_TOLD_S = 10.0
"""Far longer than a change of leader."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "send",
        help="send messages to the service and print its answers",
        description=(
            "Sends each argument as one message or, without any, each line of standard input; "
            "prints each answer as a line, as it comes. All go through one session, in order. "
            "Ends when everything was applied and answered; exit code 1 if the service failed "
            "for a message, or the outcome of one is unknown."
        ),
    )
    parser.add_argument("message", nargs="*", help="default: the lines of standard input")
    add_target_arguments(parser, what="client address", example_port=CLIENT_PORT)
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="S", help="to find a leader; default 10"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Send everything, wait until it is applied, and tell whether all went well."""
    addresses = client_addresses(options)
    return asyncio.run(_Sender(options.message, options.timeout).run(addresses))


class _Sender:
    """One session from the first message to the last acknowledgement."""

    def __init__(self, messages: list[str], timeout_s: float) -> None:
        self._messages = messages
        self._timeout_s = timeout_s
        self._failures = 0
        self._output_error: OSError | None = None
        """Why the answers reach nobody any more."""

    async def run(self, addresses: tuple[str, ...]) -> int:
        """Send all messages, until the output takes no more answers.

        Raises:
            OSError: What the output said to an answer.
            QuorateError: As the client, or standard input cannot be read.

        """
        from quorate.client.cluster_client import ClusterClient

        connecting = ClusterClient.connect(
            addresses,
            name=f"quorate send {os.getpid()}",
            timeout=self._timeout_s,
            on_egress=self._on_egress,
            on_error=self._on_error,
        )
        async with connecting as client:
            watching = asyncio.create_task(  # noqa: TID251 - a group would wrap the client's errors
                tell_of_waiting(client), name="tell of waiting"
            )
            try:
                await self._send_all(client)
            finally:
                watching.cancel()
        if self._output_error is not None:
            raise self._output_error
        return 1 if self._failures else 0

    async def _send_all(self, client: ClusterClient) -> None:
        async for message in self._read():
            await client.ready()
            try:
                client.offer(message)
            except MessageTooLarge as error:
                self._complain(str(error))
            if self._output_error is not None:
                break
        await client.flush()

    async def _read(self) -> AsyncIterator[bytes]:
        if self._messages:
            for message in self._messages:
                yield os.fsencode(message)
        else:
            async for line in read_lines():
                yield line

    def _on_egress(self, _: int, message: bytes) -> None:
        if self._output_error is not None:
            return
        try:
            sys.stdout.buffer.write(message + b"\n")
            sys.stdout.buffer.flush()
        except OSError as error:
            self._output_error = error

    def _on_error(self, _: int, error: ServiceError) -> None:
        self._complain(str(error))

    def _complain(self, text: str) -> None:
        self._failures += 1
        tell(text)


async def tell_of_waiting(client: ClusterClient) -> None:
    """Say for ever when messages wait and none of them is acknowledged, once for each such time.

    The client waits as long as its session may live, which without a leader is without an end.
    """
    acknowledged, waiting, told = 0, 0, False
    while True:
        waited, before = waiting > 0, acknowledged
        acknowledged = client.acknowledged_sequence
        waiting = client.last_sequence - acknowledged
        is_stuck = waited and acknowledged == before
        if is_stuck and not told:
            tell(
                f"{waiting} message(s) wait, none was acknowledged for {WAIT_TOLD_S:g} s: "
                "`quorate status` tells what the members say; Ctrl-C waits no more"
            )
        told = is_stuck
        await asyncio.sleep(WAIT_TOLD_S)


async def read_lines(descriptor: int = 0) -> AsyncIterator[bytes]:
    """Yield the lines of a descriptor without their ends, as they arrive.

    A thread reads, because an event loop cannot wait for a plain file, and it is a daemon,
    because nothing else ends a read from a terminal. It reads one chunk ahead at most.

    Raises:
        QuorateError: The descriptor cannot be read; the lines before come first.

    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
    failures: list[OSError] = []

    def read() -> None:
        while True:
            try:
                chunk = os.read(descriptor, _CHUNK_BYTES)
            except OSError as error:
                failures.append(error)
                chunk = b""
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except (RuntimeError, futures.CancelledError):
                return  # the loop has ended, and nobody wants the rest
            if not chunk:
                return

    threading.Thread(target=read, name="quorate-send-input", daemon=True).start()
    rest = b""
    while chunk := await chunks.get():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
    if failures:
        # What is left of a line is not sent: nobody knows how it would have ended.
        raise QuorateError(f"standard input cannot be read: {failures[0].strerror}")
    if rest:
        yield rest
