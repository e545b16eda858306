import asyncio
import time

from quorate.bench.timer import FineTimer


def test_beats_again_and_again_and_not_before_its_time() -> None:
    async def beats() -> float:
        began = time.monotonic()
        with FineTimer(0.0002) as timer:
            async with asyncio.timeout(20):
                for _ in range(50):
                    await timer.tick()
        return time.monotonic() - began

    # The first may be due at once, and one that is late does not put off the next.
    assert asyncio.run(beats()) >= 48 * 0.0002


def test_a_beat_that_nobody_awaits_is_dropped() -> None:
    async def late() -> None:
        with FineTimer(0.001) as timer:
            await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                await timer.tick()

    asyncio.run(late())
