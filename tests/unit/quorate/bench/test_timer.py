import asyncio
import time

from quorate.bench.timer import FineTimer


def test_beats_more_often_than_the_loop_could() -> None:
    async def beats() -> int:
        count, stop = 0, time.monotonic() + 0.2
        with FineTimer(0.0002) as timer:
            while time.monotonic() < stop:
                await timer.tick()
                count += 1
        return count

    # 1,000 on an idle machine; the loop's own timers give 200.
    assert asyncio.run(beats()) > 50


def test_a_beat_that_nobody_awaits_is_dropped() -> None:
    async def late() -> None:
        with FineTimer(0.001) as timer:
            await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                await timer.tick()

    asyncio.run(late())
