"""What is read at the start, and what the parts are told of the configuration."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.clock import SystemClock
from quorate.config import (
    ClusterConstants,
    ClusterSettings,
    ConsensusSettings,
    MemberConfig,
    NodeConfig,
    SeatAddress,
    validate,
)
from quorate.consensus.types import ClusterId, Seat
from quorate.errors import ConfigurationError
from quorate.runtime.assembly import Ends, assemble, prepare, read_secret
from quorate.service.container import REFUSALS

MS = 1_000_000


def test_the_parts_get_their_values_in_their_units(tmp_path: Path) -> None:
    config = NodeConfig(
        member=MemberConfig(
            cluster_id=ClusterId(b"c" * 16),
            seat=Seat(3),
            seats=(SeatAddress(Seat(3), "127.0.0.1"),),
            data_dir=str(tmp_path / "data"),
            service="quorate.examples.echo:Echo",
            callback_alarm_ms=7_000,
        ),
        consensus=ConsensusSettings(600, 900, 60),
        settings=ClusterSettings(message_bytes_max=4096),
        constants=ClusterConstants(segment_length=1 << 18, frame_bytes_max=1 << 16),
    )
    validate(config)

    async def run() -> None:
        loop, ends = asyncio.get_running_loop(), Ends(pytest.fail, pytest.fail)  # type: ignore[arg-type]
        member = assemble(prepare(config), SystemClock(), loop, pytest.fail, ends)  # type: ignore[arg-type]
        try:
            agent, decided = member.agent, member.agent.module.core.config
            assert agent.callback_alarm_ns == 7_000 * MS
            assert agent.storage_stall_ns == 300 * MS, "a leader hands over before it is replaced"
            assert decided.heartbeat_interval_ns == 60 * MS
            assert decided.election_timeout_min_ns == 600 * MS
            assert decided.election_timeout_max_ns == 900 * MS
            assert (decided.segment_length, member.constants) == (1 << 18, config.constants)
            assert member.agent.module.core.seat == 3
            refused = {reason for kind, reason in member.metrics.refusals() if kind == "service"}
            assert refused == set(REFUSALS)
        finally:
            await member.writer.close(clean=False)

    asyncio.run(run())


@pytest.mark.parametrize("around", [b"%s", b"%s\n", b"%s\r\n", b" %s \n\n"])
def test_editors_and_tools_that_end_the_file_with_a_newline_change_nothing(
    tmp_path: Path, around: bytes
) -> None:
    (tmp_path / "secret").write_bytes(around % b"\x00\xffbytes")
    assert read_secret(str(tmp_path / "secret")) == b"\x00\xffbytes"


def test_no_file_is_no_secret_but_an_empty_or_a_missing_one_is_a_mistake(tmp_path: Path) -> None:
    assert read_secret("") is None
    (tmp_path / "secret").write_bytes(b"\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        read_secret(str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="No such file"):
        read_secret(str(tmp_path / "missing"))
