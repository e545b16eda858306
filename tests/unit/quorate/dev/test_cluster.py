import asyncio
from pathlib import Path

import pytest

from quorate.dev import cluster as module
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions
from quorate.errors import QuorateError


@pytest.mark.parametrize("code", [1, 2], ids=["may-be-restarted", "no-restart-helps"])
def test_a_member_that_ends_at_the_start_fails_it_with_its_last_words(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("sh", "-c", f"echo first; echo the reason >&2; exit {code}", "member")

    async def start() -> None:
        async with DevCluster(DevOptions(tmp_path), restart=False, command=command):
            pytest.fail("it has started")

    # So no time-out ends the start, only that there is nothing to wait for.
    monkeypatch.setattr(module, "START_TIMEOUT_S", float("inf"))
    with pytest.raises(QuorateError, match=rf"ended \(exit code {code}.*the reason; its log is"):
        asyncio.run(start())
