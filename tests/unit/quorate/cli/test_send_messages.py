"""The verb against members with real gateways; the test plays consensus."""

from __future__ import annotations

import asyncio
import errno
import io
import sys

import pytest

from quorate.cli.send import _Sender
from quorate.client import ClusterClient, NotConnected
from quorate.config import ClusterSettings, GatewayConfig
from quorate_loopback.raw_client import PATIENCE_S, cluster, heard, until


class Output(io.BytesIO):
    """Standard output; tells what has left it, and takes no more than it is told to."""

    def __init__(self, lines_max: int) -> None:
        super().__init__()
        self.lines_left = lines_max
        self.said = b""

    def flush(self) -> None:
        """Let everything leave."""
        if self.lines_left <= 0:
            raise BrokenPipeError(errno.EPIPE, "nobody reads")
        self.lines_left -= 1
        self.said = self.getvalue()


def captured(monkeypatch: pytest.MonkeyPatch, lines_max: int = 10**9) -> Output:
    output = Output(lines_max)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, write_through=True))
    return output


async def sent(
    messages: list[str], *, settings: ClusterSettings | None = None, credit: int = 4 << 20
) -> tuple[int, list[bytes]]:
    """Return the exit code and what the service has heard."""
    config = GatewayConfig(credit_bytes=credit)
    async with asyncio.timeout(PATIENCE_S), cluster(settings=settings, config=config) as loopback:
        loopback.lead()
        code = await _Sender(messages, PATIENCE_S).run(tuple(loopback.addresses))
        assert not loopback.members[0].container.sessions(), "it has closed"
        return code, heard(loopback)


def test_every_message_is_sent_and_every_answer_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    output = captured(monkeypatch)
    messages = [b"8", b"quiet", b"twice", b"", b"\xff\xfe"]
    code, got = asyncio.run(
        sent([message.decode(errors="surrogateescape") for message in messages])
    )
    assert (code, got) == (0, messages)
    assert output.said == b"8\ntwice\ntwice\n\n\xff\xfe\n"


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [("fail", "the service failed for message 2"), ("x" * 300, "message of 300 bytes exceeds 200")],
)
def test_one_message_that_fails_stops_no_other_and_shows_in_the_exit_code(
    bad: str, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = captured(monkeypatch)
    settings = ClusterSettings(message_bytes_max=200)
    code, _ = asyncio.run(sent(["before", bad, "behind"], settings=settings))
    assert code == 1
    assert output.said == b"before\nbehind\n"
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_more_than_there_is_credit_for_is_sent_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = captured(monkeypatch)
    messages = [f"{number:0100}" for number in range(2_000)]
    code, _ = asyncio.run(sent(messages, credit=1_000))
    assert code == 0
    assert output.said.decode().split() == messages


def test_answers_leave_as_they_come_and_it_ends_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = captured(monkeypatch)
    owed: list[int] = []
    close = ClusterClient.close

    async def noted(client: ClusterClient, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - theirs
        owed.append(client.last_sequence - client.acknowledged_sequence)
        await close(client, timeout)

    # A close gives up in time; what was sent is to be waited for as long as its session lives.
    monkeypatch.setattr(ClusterClient, "close", noted)

    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            sender = _Sender(["first"], PATIENCE_S)
            running = asyncio.ensure_future(sender.run(tuple(loopback.addresses)))
            await until(lambda: bool(loopback.members[0].container.sessions()))
            loopback.hold()
            await until(lambda: loopback.appended == 2)
            assert not running.done()
            loopback.release()
            await until(lambda: output.said == b"first\n")
            assert await running == 0
            assert owed == [0]

    asyncio.run(body())


def test_a_leader_is_looked_for_as_long_as_was_said() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            with pytest.raises(NotConnected, match=r"within 0\.05 s"):
                await _Sender(["x"], 0.05).run(tuple(loopback.addresses))

    asyncio.run(body())


@pytest.mark.parametrize("lines_max", [0, 1, 3])
def test_output_that_nobody_reads_ends_the_sending(
    lines_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = captured(monkeypatch, lines_max)
    messages = [str(number) for number in range(1_000)]

    async def body() -> None:
        config = GatewayConfig(credit_bytes=500)
        async with asyncio.timeout(PATIENCE_S), cluster(config=config) as loopback:
            loopback.lead()
            with pytest.raises(BrokenPipeError):
                await _Sender(messages, PATIENCE_S).run(tuple(loopback.addresses))
            assert len(heard(loopback)) < len(messages)

    asyncio.run(body())
    assert output.said.decode().split() == messages[:lines_max]
