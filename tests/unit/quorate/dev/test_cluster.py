import asyncio
import time
from pathlib import Path

import pytest

from quorate.dev.cluster import START_TIMEOUT_S, DevCluster
from quorate.dev.layout import DevOptions
from quorate.errors import QuorateError


@pytest.mark.parametrize("code", [1, 2], ids=["may-be-restarted", "no-restart-helps"])
def test_a_member_that_ends_at_the_start_fails_it_with_its_last_words(
    tmp_path: Path, code: int
) -> None:
    command = ("sh", "-c", f"echo first; echo the reason >&2; exit {code}", "member")

    async def start() -> None:
        async with DevCluster(DevOptions(tmp_path), restart=False, command=command):
            pytest.fail("it has started")

    began = time.monotonic()
    with pytest.raises(QuorateError, match=rf"ended \(exit code {code}.*the reason; its log is"):
        asyncio.run(start())
    assert time.monotonic() - began < START_TIMEOUT_S / 3
