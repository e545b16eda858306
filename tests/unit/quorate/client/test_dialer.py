import asyncio
import errno
import socket

import pytest

from quorate.client.dialer import Dialer, _describe
from quorate.client.member_rotation import MemberRotation
from quorate.client.session import Session
from quorate.client.session_events import Established


def test_stays_where_it_is_when_redirected_to_a_member_that_was_just_lost() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        rotation = MemberRotation(["a:1", "b:1"])
        dialer = Dialer(Session(session_key=bytes(16)), rotation, loop, lambda _: None)
        dialer.address = "b:1"
        rotation.suspect("a:1", int((loop.time() + 60) * 1e9))
        dialer.on_redirected("a:1")
        assert dialer.redirects == 0
        dialer.on_redirected("c:1")
        assert dialer.redirects == 1
        assert rotation.next() == "c:1"

    asyncio.run(body())


def test_knows_how_the_last_attempt_at_each_address_ended() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        deaf = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        gone = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        addresses = [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in (deaf, gone)]
        gone.close()
        await gone.wait_closed()
        rotation = MemberRotation([*addresses, "c:1"])
        dialer = Dialer(Session(session_key=bytes(16)), rotation, loop, lambda _: None)
        assert dialer.describe_attempts() == [*addresses, "c:1"]
        task = loop.create_task(dialer.run())
        async with asyncio.timeout(60):
            while not dialer.describe_attempts()[1].endswith("(Connection refused)"):  # noqa: ASYNC110 - the dialler tells nobody
                await asyncio.sleep(0)
        assert dialer.describe_attempts()[0] == f"{addresses[0]} (answered, opened none)"
        task.cancel()
        await asyncio.wait([task])
        dialer.on_established(Established(1, is_resumed=False, durability=0, members=()))
        assert dialer.describe_attempts() == [*addresses, "c:1"]
        deaf.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "refused"),
        (TimeoutError(), "no answer in 1.0 s"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service"),
        (OSError("Multiple exceptions: [Errno 111], [Errno 101]"), "Multiple exceptions"),
    ],
)
def test_says_in_words_why_nobody_could_be_reached(error: OSError, words: str) -> None:
    assert words in _describe(error)
    assert "('::1'" not in _describe(error)


def test_ignores_a_redirect_to_nowhere_to_itself_or_to_nonsense() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        rotation = MemberRotation(["a:1"])
        dialer = Dialer(Session(session_key=bytes(16)), rotation, loop, lambda _: None)
        dialer.address = "a:1"
        for address in ("", "a:1", "nonsense", "b:99999"):
            dialer.on_redirected(address)
        assert dialer.redirects == 0

    asyncio.run(body())


def test_learns_only_members_that_can_be_dialled() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        rotation = MemberRotation(["a:1"])
        dialer = Dialer(Session(session_key=bytes(16)), rotation, loop, lambda _: None)
        members = ("", "b:1", "nonsense", "c..d:1", "e:99999", "[::1]:2")
        dialer.on_established(Established(1, is_resumed=False, durability=0, members=members))
        assert rotation.addresses == ("b:1", "[::1]:2", "a:1")

    asyncio.run(body())
