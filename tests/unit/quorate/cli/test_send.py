"""Lines from a descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.cli import send
from quorate.cli.send import read_lines
from quorate.client.cluster_client import ClusterClient
from quorate.errors import QuorateError


async def lines_of(descriptor: int) -> list[bytes]:
    async with asyncio.timeout(30):
        return [line async for line in read_lines(descriptor)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"8\nx5\n", [b"8", b"x5"]),
        (b"8\r\nx5", [b"8", b"x5"]),
        (b"\n\n", [b"", b""]),
        (b"a" * 200_000 + b"\nb", [b"a" * 200_000, b"b"]),
    ],
)
def test_lines_of_a_file(tmp_path: Path, text: bytes, expected: list[bytes]) -> None:
    (tmp_path / "input").write_bytes(text)
    descriptor = os.open(tmp_path / "input", os.O_RDONLY)
    try:
        assert asyncio.run(lines_of(descriptor)) == expected
    finally:
        os.close(descriptor)


@given(st.lists(st.binary(max_size=30)))
def test_however_a_pipe_cuts_them_the_lines_are_whole(pieces: list[bytes]) -> None:
    async def story() -> list[bytes]:
        reading, writing = os.pipe()
        try:
            async with asyncio.TaskGroup() as group:
                lines = group.create_task(lines_of(reading))
                for piece in pieces:
                    os.write(writing, piece)
                    await asyncio.sleep(0)
                os.close(writing)
            return lines.result()
        finally:
            os.close(reading)

    *ended, rest = b"".join(pieces).split(b"\n")
    expected = [line.removesuffix(b"\r") for line in ended] + ([rest] if rest else [])
    assert asyncio.run(story()) == expected


def test_a_line_arrives_before_the_next_one_is_written() -> None:
    async def story() -> None:
        reading, writing = os.pipe()
        lines = read_lines(reading)
        for text in (b"8", b"x5", b"="):
            os.write(writing, text + b"\n")
            async with asyncio.timeout(30):
                assert await anext(lines) == text
        os.close(writing)
        assert [line async for line in lines] == []
        os.close(reading)

    asyncio.run(story())


def test_input_that_cannot_be_read_is_an_error_and_no_wait(tmp_path: Path) -> None:
    """A folder, a terminal that has gone, a closed descriptor."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(QuorateError, match="standard input cannot be read: Is a directory"):
            asyncio.run(lines_of(descriptor))
    finally:
        os.close(descriptor)


def test_the_reader_of_input_that_nobody_wants_any_more_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", said.append)

    async def story() -> None:
        reading, writing = os.pipe()
        os.write(writing, b"8\n")
        lines = read_lines(reading)
        assert await anext(lines) == b"8"
        for text in (b"x5\n", b"+2\n"):
            # The second finds the queue full, so the thread waits for room.
            os.write(writing, text)
            async with asyncio.timeout(30):
                while select.select([reading], [], [], 0)[0]:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0)
        os.close(writing)

    asyncio.run(story())
    for thread in threading.enumerate():
        if thread.name == "quorate-send-input":
            thread.join(30)
            assert not thread.is_alive()
    assert said == []


class Waiting:
    """What a client says of its messages."""

    def __init__(self) -> None:
        self.last_sequence = self.acknowledged_sequence = 0


def test_messages_that_wait_without_an_end_are_told_of_once_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sent to a cluster whose members are gone, they would wait without a word."""
    looks: list[tuple[int, int, int]] = [
        # sent, acknowledged, lines told by the next look
        (0, 0, 0),
        (3, 0, 0),
        (3, 0, 1),
        (3, 0, 0),
        (4, 0, 0),
        (4, 2, 0),
        (4, 2, 1),
        (4, 4, 0),
        (4, 4, 0),
    ]
    client = Waiting()
    lines: list[int] = []

    async def look(_: float) -> None:
        lines.append(len(capsys.readouterr().err.splitlines()))
        if len(lines) > len(looks):
            raise asyncio.CancelledError
        client.last_sequence, client.acknowledged_sequence, _lines = looks[len(lines) - 1]

    monkeypatch.setattr(send.asyncio, "sleep", look)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(send.tell_of_waiting(cast("ClusterClient", client)))
    assert lines[1:] == [told for _, _, told in looks]


def test_what_is_told_of_messages_that_wait_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(send, "WAIT_TOLD_S", 0.01)
    client = Waiting()
    client.last_sequence = 2

    async def story() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await send.tell_of_waiting(cast("ClusterClient", client))

    asyncio.run(story())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("quorate: 2 message(s) wait, none was acknowledged for 0.01 s: `quorate")
