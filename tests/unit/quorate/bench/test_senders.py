"""Sessions that send by schedule or all they may, against a gateway in this process."""

import asyncio
import struct

from quorate.bench.senders import Sender, all_they_may, by_schedule, senders, settle
from quorate.config import GatewayConfig
from quorate.examples.echo import Echo
from quorate_loopback import LoopbackCluster

CREDIT = 16 * 1024


def loopback() -> LoopbackCluster:
    return LoopbackCluster(1, service=Echo, config=GatewayConfig(credit_bytes=CREDIT))


def test_what_finds_no_credit_is_dropped_and_counted() -> None:
    async def run() -> None:
        async with loopback() as cluster:
            cluster.lead()
            async with senders(cluster.addresses, 2) as clients:
                await settle(clients)
                cluster.hold()
                await by_schedule(clients, 1_000_000, 0.5, 1_000_000)
                sent = [one.sent for one in clients]
                assert all(0 < count <= 2 * CREDIT // 100 for count in sent), sent
                assert sum(sent) + sum(one.refused for one in clients) > 200_000
                cluster.release()
                await settle(clients)
                assert [one.answered for one in clients] == sent
                assert [one.wrong for one in clients] == [None, None]
                assert all(len(one.latencies_ns) == one.sent for one in clients)

    asyncio.run(run())


def test_a_schedule_is_kept_by_all_in_turns() -> None:
    async def run() -> None:
        async with loopback() as cluster:
            cluster.lead()
            async with senders(cluster.addresses, 5) as clients:
                await by_schedule(clients, 1_000, 0.1, 1_000)
                await settle(clients)
                assert sum(one.answered + one.refused for one in clients) == 100
                sent = [one.sent for one in clients]
                assert max(sent) - min(sent) <= 1, sent

    asyncio.run(run())


def test_all_they_may_is_more_than_their_credit() -> None:
    async def run() -> None:
        async with loopback() as cluster:
            cluster.lead()
            async with senders(cluster.addresses, 2) as clients:
                while min(one.sent for one in clients) * 100 < 3 * CREDIT:
                    await all_they_may(clients, 0.05)
                await settle(clients)
                assert all(one.answered == one.sent for one in clients)
                for one in clients:
                    one.forget()
                assert [one.sent for one in clients] == [0, 0]

    asyncio.run(run())


def test_an_answer_out_of_order_is_noticed() -> None:
    one = Sender()
    for number in (0, 1, 3, 2):
        one._on_egress(number + 1, struct.pack("<qq", number, 0))
    assert one.wrong == (2, 3)
