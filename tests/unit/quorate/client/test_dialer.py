import asyncio

from quorate.client.dialer import Dialer
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
