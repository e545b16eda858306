import asyncio
import errno
import socket

import pytest

from quorate.client import dialer as dialer_module
from quorate.client.dialer import Dialer, _describe
from quorate.client.member_rotation import MemberRotation
from quorate.client.session import Session
from quorate.client.session_events import Established
from quorate.config import join_address


def dialer_of(addresses: list[str]) -> Dialer:
    loop = asyncio.get_running_loop()
    return Dialer(Session(session_key=bytes(16)), MemberRotation(addresses), loop, lambda _: None)


def test_stays_where_it_is_when_redirected_to_a_member_that_was_just_lost() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        dialer = dialer_of(["a:1", "b:1"])
        rotation = dialer.rotation
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
        dialer = dialer_of([*addresses, "c:1"])
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
        dialer = dialer_of(["a:1"])
        dialer.address = "a:1"
        for address in ("", "a:1", "nonsense", "b:99999"):
            dialer.on_redirected(address)
        assert dialer.redirects == 0

    asyncio.run(body())


def test_learns_only_members_that_can_be_dialled() -> None:
    async def body() -> None:
        dialer = dialer_of(["a:1"])
        rotation = dialer.rotation
        members = ("", "b:1", "nonsense", "c..d:1", "e:99999", "[::1]:2")
        dialer.on_established(Established(1, is_resumed=False, durability=0, members=members))
        assert rotation.addresses == ("b:1", "[::1]:2", "a:1")

    asyncio.run(body())


def test_follows_a_redirect_to_a_suspect_when_its_time_is_over() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        dialer = dialer_of(["a:1", "b:1"])
        rotation = dialer.rotation
        dialer.address = "b:1"
        rotation.suspect("a:1", int((loop.time() + 0.01) * 1e9))
        dialer.on_redirected("a:1")
        async with asyncio.timeout(30):
            while not dialer.redirects:  # noqa: ASYNC110 - the condition is a number
                await asyncio.sleep(0)
        assert rotation.next() == "a:1"

    asyncio.run(body())


@pytest.mark.parametrize("is_silent", [True, False])
def test_what_was_planned_for_a_connection_goes_with_it(*, is_silent: bool) -> None:
    """And how long a member is suspect does not become less because the connection is lost."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        here = join_address(*server.sockets[0].getsockname()[:2])
        dialer = dialer_of([here])
        rotation = dialer.rotation
        task = loop.create_task(dialer.run())
        async with asyncio.timeout(30):
            while dialer.connections < 1:  # noqa: ASYNC110 - the condition is a number
                await asyncio.sleep(0)
            rotation.suspect("a:1", int((loop.time() + 60) * 1e9))
            dialer.on_redirected("a:1")
            assert dialer._follow is not None
            now = int(loop.time() * 1e9)
            if is_silent:
                dialer.leave_silent()
            else:
                dialer.leave()
            while dialer._follow is not None:  # noqa: ASYNC110 - the condition is a state
                await asyncio.sleep(0)
        until = rotation.suspect_until(here, now)
        assert until is not None
        assert (until - now > 500_000_000) is is_silent
        task.cancel()
        await asyncio.wait([task])
        server.close()

    asyncio.run(body())


@pytest.mark.parametrize("then", ["established", "no leader", "another"])
def test_a_redirect_that_waits_is_forgotten_when_the_member_says_something_else(then: str) -> None:
    async def body() -> None:
        dialer = dialer_of(["a:1", "b:1"])
        dialer.address = "b:1"
        dialer.rotation.suspect("a:1", int((asyncio.get_running_loop().time() + 60) * 1e9))
        dialer.on_redirected("a:1")
        waits = dialer._follow
        assert waits is not None
        if then == "established":
            dialer.on_established(Established(1, is_resumed=False, durability=0, members=()))
        else:
            dialer.on_redirected("" if then == "no leader" else "c:1")
        assert waits.cancelled()
        assert dialer.redirects == (then == "another")

    asyncio.run(body())


def test_where_a_session_is_open_the_next_attempt_comes_without_delay() -> None:
    """A member that is lost is looked for elsewhere at once."""

    async def body() -> None:
        dialer = dialer_of(["a:1"])
        for _ in range(5):
            dialer.rotation.on_failure()
        dialer.on_established(Established(1, is_resumed=False, durability=0, members=()))
        assert dialer.rotation.delay_ns == 0

    asyncio.run(body())


def test_who_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that drops what is sent to it; the system would try for two minutes."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        dialled: list[str] = []

        async def deaf(_: object, host: str, _port: int) -> None:
            dialled.append(host)
            await loop.create_future()

        monkeypatch.setattr(dialer_module, "CONNECT_TIMEOUT_S", 0.01)
        monkeypatch.setattr(loop, "create_connection", deaf)
        task = loop.create_task(dialer_of(["a:1", "b:1"]).run())
        async with asyncio.timeout(30):
            while dialled[:3] != ["a", "b", "a"]:  # noqa: ASYNC110 - the dialler tells nobody
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(body())
