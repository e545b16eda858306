"""Who waits without a session: for a leader, for its log, or for the end of a hand-over."""

from __future__ import annotations

from quorate.protocol.session_messages import Error, KeepAlive, LinkError, Opened, Redirect
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import RawClient, cluster, led, refused, run, until


def test_a_client_that_does_not_follow_its_redirect_is_closed() -> None:
    async def body() -> None:
        async with cluster(2) as loopback:
            loopback.lead(1)
            async with RawClient(loopback.addresses[0]) as client:
                client.open()
                assert isinstance(await client.hear(), Redirect)
                loopback.advance(6)
                assert await client.expect_end() == [Error(LinkError.OPEN_TIMEOUT)]
                assert refused(loopback, "redirected") == 1

    run(body)


def test_who_was_redirected_has_its_time_to_follow() -> None:
    async def body() -> None:
        async with cluster(2) as loopback:
            loopback.lead(1)
            async with RawClient(loopback.addresses[0]) as client:
                client.open()
                assert isinstance(await client.hear(), Redirect)
                for _ in range(4):
                    loopback.advance(1)
                client.say(KeepAlive())
                assert isinstance(await client.hear(), Redirect)
                assert refused(loopback, "redirected") == 0

    run(body)


def test_who_has_waited_for_a_leader_has_its_time_to_follow() -> None:
    async def body() -> None:
        async with cluster(2) as loopback, RawClient(loopback.addresses[0]) as client:
            client.open()
            assert await client.hear() == Redirect("")
            for _ in range(20):
                loopback.advance(1)
            loopback.lead(1)
            assert await client.hear() == Redirect(loopback.addresses[1])
            for _ in range(4):
                loopback.advance(1)
            client.say(KeepAlive())
            assert await client.hear() == Redirect(loopback.addresses[1])
            for _ in range(2):
                loopback.advance(1)
            assert await client.expect_end() == [Error(LinkError.OPEN_TIMEOUT)]

    run(body)


def test_who_waits_for_a_leader_stays_while_it_says_something() -> None:
    async def body() -> None:
        async with cluster(2) as loopback, RawClient(loopback.addresses[0]) as client:
            client.open()
            assert await client.hear() == Redirect("")
            for _ in range(3):
                loopback.advance(29)
                client.say(KeepAlive())
                assert await client.hear() == Redirect("")
            loopback.advance(31)
            assert await client.expect_end() == [Error(LinkError.OPEN_TIMEOUT)]
            assert refused(loopback, "silent") == 1

    run(body)


def test_who_waits_for_the_log_of_a_leader_that_commits_nothing_stays() -> None:
    """There is nobody else to go to."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        for _ in range(29):
            loopback.advance(1)
        loopback.release()
        await client.expect(Opened)
        assert refused(loopback, "redirected") == 0

    led(test)


def test_who_waits_while_leadership_is_handed_over_is_neither_silent_nor_late() -> None:
    """It is not read from, so it can say nothing, and there is nobody else to go to yet."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        member = loopback.members[0]
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        member.gateway.pause()
        member.serving = False
        member.gateway.on_serving_changed()
        for _ in range(10):
            loopback.advance(31)
        member.serving = True
        member.gateway.resume()
        loopback.release()
        await client.expect(Opened)

    led(test)
