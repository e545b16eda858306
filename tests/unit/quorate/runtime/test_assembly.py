"""What is read at the start, and what the parts are told of the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quorate.clock import SystemClock
from quorate.config import (
    ArchiveConfig,
    ClusterConstants,
    ClusterSettings,
    ConsensusSettings,
    Durability,
    MemberConfig,
    NodeConfig,
    SeatAddress,
    TransportConfig,
    validate,
)
from quorate.consensus.effects import AppendToLog, StoreNodeState
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import (
    NOT_RECOVERING,
    ClusterId,
    LeadershipTermId,
    LogPosition,
    Recovering,
    RecoveringReason,
    Seat,
)
from quorate.errors import ConfigurationError, StorageError
from quorate.protocol.handshake import LinkRefusal
from quorate.runtime import assembly
from quorate.runtime.assembly import Ends, assemble, prepare, read_boot_id, read_secret
from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.lifecycle import exit_code_of
from quorate.service.callbacks import CallbackFailure
from quorate.service.container import REFUSALS
from quorate.transport.interfaces import LinkSettings
from quorate_simulation.logs import LogBuilder

MS = 1_000_000


def make_config(directory: Path, durability: Durability = Durability.FSYNC) -> NodeConfig:
    """Return values that no default has."""
    config = NodeConfig(
        member=MemberConfig(
            cluster_id=ClusterId(b"c" * 16),
            seat=Seat(3),
            seats=(
                SeatAddress(Seat(3), "127.0.0.1", 31, 32, 33),
                SeatAddress(Seat(5), "host-5", 51, 52, 53),
            ),
            data_dir=str(directory / "data"),
            service="quorate.examples.echo:Echo",
            callback_alarm_ms=7_000,
        ),
        consensus=ConsensusSettings(600, 900, 60, durability),
        archive=ArchiveConfig(spares=3, lock_timeout_ms=1_500),
        transport=TransportConfig(send_buffer_bytes_max=1 << 20, connect_timeout_ms=2_500),
        settings=ClusterSettings(message_bytes_max=4096),
        constants=ClusterConstants(segment_length=1 << 18, frame_bytes_max=1 << 16),
    )
    validate(config)
    return config


class Assembled:
    """A member's parts, and what each of them was made with."""

    def __init__(self, config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        for name in ("MemberLinks", "Gateway", "ArchiveWriter"):
            monkeypatch.setattr(assembly, name, self._noting(name, getattr(assembly, name)))
        monkeypatch.setattr(assembly.Archive, "open", self._noting("open", assembly.Archive.open))
        ends = Ends(pytest.fail, pytest.fail)  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        self.prepared = prepare(config)
        self.member = assemble(self.prepared, SystemClock(), loop, pytest.fail, ends)  # type: ignore[arg-type]

    def _noting(self, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: object, **named: object) -> object:
            self.made[name] = args, named
            return make(*args, **named)

        return noted


def run(config: NodeConfig, check: Callable[[Assembled], None]) -> None:
    """Look at the parts of a member that was made and not begun."""

    async def assembled() -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            parts = Assembled(config, monkeypatch)
        try:
            check(parts)
        finally:
            await parts.member.writer.close(clean=False)

    asyncio.run(assembled())


@pytest.mark.parametrize("durability", Durability)
def test_the_core_gets_its_values_in_its_units(tmp_path: Path, durability: Durability) -> None:
    config = make_config(tmp_path, durability)

    def check(parts: Assembled) -> None:
        agent = parts.member.agent
        decided = agent.module.core.config
        assert agent.slow_callbacks.limit_ns == 7_000 * MS
        assert agent.storage_stall_ns == 300 * MS, "a leader hands over before it is replaced"
        assert decided.heartbeat_interval_ns == 60 * MS
        assert decided.election_timeout_min_ns == 600 * MS
        assert decided.election_timeout_max_ns == 900 * MS
        assert decided.unanimous_election == (durability is Durability.REPLICATED)
        assert (decided.segment_length, parts.member.constants) == (1 << 18, config.constants)
        assert agent.module.core.identity.seats == ((3, "127.0.0.1:32"), (5, "host-5:52"))

    run(config, check)


def test_the_core_sees_how_the_disk_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a leader whose disk is full or hangs would go on as if it were not."""
    room, busy_ns = LogPosition(1 << 30), 7 * MS
    monkeypatch.setattr(assembly.Archive, "room_end", property(lambda _: room))
    monkeypatch.setattr(assembly.ArchiveWriter, "busy_ns", property(lambda _: busy_ns))

    def check(parts: Assembled) -> None:
        agent = parts.member.agent
        assert (agent.room_end(), agent.storage_busy_ns()) == (room, busy_ns)

    run(make_config(tmp_path), check)


def test_links_are_told_where_each_member_is_and_how_long_to_wait(tmp_path: Path) -> None:
    def check(parts: Assembled) -> None:
        (identity, addresses), named = parts.made["MemberLinks"]
        assert identity.seat == 3
        assert identity.member_id == parts.member.archive.member_id
        assert identity.client_address == "127.0.0.1:31"
        assert identity.control_address == "127.0.0.1:33"
        assert addresses == {3: ("127.0.0.1", 32), 5: ("host-5", 52)}
        assert named["settings"] == LinkSettings(
            connect_timeout_s=2.5, silence_timeout_s=0.9, send_buffer_bytes_max=1 << 20
        )

    run(make_config(tmp_path), check)


def test_the_archive_and_the_gateway_get_their_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(tmp_path)
    configured = config.gateway.connections_max
    monkeypatch.setattr(assembly, "client_room", lambda _: 17)

    def check(parts: Assembled) -> None:
        (few,) = [row for row in caplog.records if vars(row).get("event") == "descriptors_few"]
        assert vars(few)["fields"] == {"configured": configured, "connections_max": 17}
        _, opened = parts.made["open"]
        assert (opened["spares"], opened["lock_grace_s"]) == (3, 1.5)
        assert parts.made["Gateway"][1]["config"].connections_max == 17

    run(config, check)


def test_what_the_parts_count_is_in_the_metrics_and_the_status(tmp_path: Path) -> None:
    def check(parts: Assembled) -> None:
        member = parts.member
        refused = {reason for kind, reason in member.metrics.refusals() if kind == "service"}
        assert refused == set(REFUSALS)
        member.links.refusals[LinkRefusal.CLUSTER] += 2
        assert member.metrics.refusals()["member", "cluster"] == 2
        member.agent.on_digest(LogPosition(640), b"d" * 16)
        assert member.report.read(1).digests[0].position == 640
        parts.made["ArchiveWriter"][1]["on_completed"](0, 3 * MS)
        assert member.metrics.sync.sum == pytest.approx(0.003)

    run(make_config(tmp_path), check)


@pytest.mark.parametrize("configured", [Seat(3), Seat(5)])
def test_a_directory_in_another_seat_than_the_log_says_is_refused(
    tmp_path: Path, configured: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path)
    member = replace(config.member, seat=configured)

    async def assembled(seat_in_log: Seat) -> None:
        monkeypatch.setattr(ConsensusModule, "seat_in_log", property(lambda _: seat_in_log))
        parts = Assembled(replace(config, member=member), monkeypatch)
        await parts.member.writer.close(clean=False)

    asyncio.run(assembled(configured))
    other = Seat(8 - configured)
    with pytest.raises(ConfigurationError, match=f"member.seat is {configured}, .* seat {other}:"):
        asyncio.run(assembled(other))


def test_a_callback_that_failed_is_logged_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def check(parts: Assembled) -> None:
        error = ValueError("for this member's eyes")
        failure = CallbackFailure("on_timer", LogPosition(64), 0, 0, error)
        parts.prepared.container._on_failure(failure)
        assert "on_timer" in caplog.text
        assert "ValueError: for this member's eyes" in caplog.text

    run(make_config(tmp_path), check)


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


def test_what_the_directory_held_is_logged_and_a_loss_with_how_far_it_may_have_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "quorate")
    config = make_config(tmp_path)
    archive = prepare(config).archive
    builder = LogBuilder(archive.segment_length)
    lost = Recovering(RecoveringReason.UNSYNCED, LeadershipTermId(4), LogPosition(640))
    state = archive.recovered.node_state._replace(
        candidate_term_id=LeadershipTermId(4), recovering=lost
    )
    archive.persist([StoreNodeState(1, state), AppendToLog(2, tuple(builder.frame(b"x", 4)))])
    archive.close()
    place = {"seat": 3, "log_position": 128, "leadership_term_id": 4}
    for recovering, more in (
        (lost, [("recovering_started", {"reason": "unsynced", "may_have_acknowledged": 640})]),
        (NOT_RECOVERING, []),
    ):
        caplog.clear()
        archive = prepare(config).archive
        archive.persist([StoreNodeState(1, state._replace(recovering=NOT_RECOVERING))])
        archive.close()
        told = [(vars(record)["event"], vars(record)["fields"]) for record in caplog.records]
        assert told == [
            ("service_started", {"service": "quorate.examples.echo:Echo"}),
            ("log_recovered", place | {"recovering": recovering.reason.name.lower()}),
            *((event, {"seat": 3} | fields) for event, fields in more),
        ]


def test_a_boot_is_named_by_the_sixteen_bytes_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "boot_id"
    told.write_text("00112233-4455-6677-8899-aabbccddeeff\n")
    monkeypatch.setattr(assembly, "BOOT_ID_FILE", told)
    assert read_boot_id() == bytes.fromhex("00112233445566778899aabbccddeeff")


@pytest.mark.parametrize("text", [None, "", "\n", "00112233-4455\n", "no boot id"])
def test_a_member_that_does_not_know_its_boot_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """It could not tell whether the page cache, and what it acknowledged, is still there."""
    told = tmp_path / "boot_id"
    if text is not None:
        told.write_text(text)
    monkeypatch.setattr(assembly, "BOOT_ID_FILE", told)
    with pytest.raises(StorageError, match=f"cannot read {told}") as raised:
        prepare(make_config(tmp_path))
    assert exit_code_of(raised.value) is ExitCode.STORAGE_FAILED
