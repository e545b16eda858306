"""Wires the parts of a member, top to bottom in start-up order.

What blocks (the author's code, the data directory) is done by ``prepare`` before there is a
loop; ``assemble`` puts the rest around it and starts nothing but the archive's threads.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from quorate.archive.archive import Archive
from quorate.archive.files import SystemFiles
from quorate.archive.writer import ArchiveWriter
from quorate.clock import Clock
from quorate.config import (
    ClusterConstants,
    Durability,
    GatewayConfig,
    NodeConfig,
    configuration_hash,
)
from quorate.consensus.config import MS, ConsensusConfig, Identity, Recovered
from quorate.consensus.effects import HaltCode
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import Instant, MemberId, StartNonce
from quorate.control.metrics import Metrics
from quorate.errors import ConfigurationError, StorageError
from quorate.gateway.gateway import Gateway
from quorate.protocol.frame_codec import LogFrameCodec
from quorate.protocol.log_codec import frame_body
from quorate.protocol.term_codec import decode_founding
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.applying import Applier, Spawn
from quorate.runtime.credentials import Credential
from quorate.runtime.descriptors import client_room
from quorate.runtime.edges import ClientEdge, LinkEdge
from quorate.runtime.effect_runner import EffectRunner
from quorate.runtime.events import Event, log_event
from quorate.runtime.member import Member
from quorate.runtime.member_status import StatusReport
from quorate.runtime.service_loader import load_service
from quorate.service.callbacks import CallbackFailure
from quorate.service.container import ServiceContainer
from quorate.transport.interfaces import LinkIdentity, LinkSettings
from quorate.transport.member_links import MemberLinks

LOGGER = logging.getLogger("quorate.runtime")
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
START_NONCE_BITS = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a member needs before its loop exists."""

    config: NodeConfig
    container: ServiceContainer
    archive: Archive
    identity: Identity
    secret: Credential

    @property
    def constants(self) -> ClusterConstants:
        """The constants of the log, as far as there is one; else those of the configuration."""
        founding = self.archive.recovered.founding
        if founding is not None:
            return decode_founding(frame_body(founding)).constants
        return replace(self.config.constants, segment_length=self.archive.segment_length)


@dataclass(frozen=True, slots=True)
class Ends:
    """How the parts end the process."""

    halt: Callable[[HaltCode, str], None]
    fail: Callable[[BaseException], None]


def prepare(config: NodeConfig) -> Prepared:
    """Load the service, open and repair the data directory.

    Raises:
        ConfigurationError: The service cannot be loaded, or a file that is named is missing.
        ServiceFailed: ``on_start`` raised.
        StorageError: The directory is another member's, in use, damaged, or cannot be written.

    Blocking: on the author's code and on reading the whole log.

    """
    service = load_service(config.member.service, config.member.service_config)
    container = ServiceContainer(service, _log_failure)
    container.start(None)
    log_event(LOGGER, Event.SERVICE_STARTED, service=config.member.service)
    secret = Credential(partial(read_secret, config.transport.secret_file))
    archive = Archive.open(
        SystemFiles(config.member.data_dir, create=True),
        cluster_id=config.member.cluster_id,
        constants=config.constants,
        durability=config.consensus.durability,
        boot_id=read_boot_id(),
        new_member_id=MemberId(secrets.token_bytes(16)),
        spares=config.archive.spares,
        lock_grace_s=config.archive.lock_timeout_ms / 1000,
    )
    identity = Identity(
        cluster_id=config.member.cluster_id,
        member_id=archive.member_id,
        seat=config.member.seat,
        start_nonce=StartNonce(secrets.randbits(START_NONCE_BITS)),
        epoch=archive.epoch,
        seats=tuple((row.seat, row.name) for row in config.member.seats),
        configuration_hash=configuration_hash(config),
    )
    recovered = archive.recovered
    log_event(
        LOGGER,
        Event.LOG_RECOVERED,
        seat=config.member.seat,
        log_position=recovered.end.position,
        leadership_term_id=recovered.end.leadership_term_id,
        recovering=recovered.node_state.recovering.reason.name.lower(),
    )
    if recovered.node_state.recovering.reason:
        log_event(
            LOGGER,
            Event.RECOVERING_STARTED,
            seat=config.member.seat,
            reason=recovered.node_state.recovering.reason.name.lower(),
            may_have_acknowledged=recovered.node_state.recovering.position,
        )
    return Prepared(config, container, archive, identity, secret)


def assemble(
    prepared: Prepared,
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    spawn: Spawn,
    ends: Ends,
) -> Member:
    """Put the loop's parts around what was prepared, and start the archive's threads.

    Raises:
        ConfigurationError: The log has this directory in another seat.

    """
    config, archive, identity = prepared.config, prepared.archive, prepared.identity
    module = _make_module(prepared, clock)
    metrics = Metrics()

    def on_completed(sequence: int, duration_ns: int) -> None:
        metrics.sync.observe_ns(duration_ns)
        agent.on_persisted(sequence)

    def wake() -> None:
        agent.wake()

    writer = ArchiveWriter(
        archive,
        loop=loop,
        monotonic_ns=clock.monotonic,
        on_completed=on_completed,
        on_failed=ends.fail,
    )
    applier = Applier(prepared.container, module.core.log, clock, writer.read, spawn, wake)
    agent = ConsensusAgent(module, applier, clock, metrics, prepared.constants, ends.halt)
    agent.slow_callbacks.limit_ns = config.member.callback_alarm_ms * MS
    agent.storage_busy_ns = lambda: writer.busy_ns
    agent.room_end = lambda: archive.room_end
    agent.storage_stall_ns = config.consensus.election_timeout_min_ms * MS // 2
    links = _make_links(prepared, agent)
    effects = EffectRunner(agent, writer, links, spawn)
    gateway = Gateway(
        config=_limit_clients(config.gateway),
        port=ClientEdge(agent, config, identity.cluster_id),
        durability=config.consensus.durability,
        constants=prepared.constants,
    )
    metrics.watch_refusals("client", lambda: gateway.refusals.by_reason)
    metrics.watch_refusals("member", lambda: {r.name.lower(): n for r, n in links.refusals.items()})
    metrics.watch_refusals("service", lambda: prepared.container.refusals)
    report = StatusReport(config, identity, agent, effects)
    agent.on_digest = report.on_digest
    writer.start()
    agent.attach(loop, effects, gateway)
    return Member(
        config,
        prepared.constants,
        archive,
        writer,
        agent,
        effects,
        report,
        gateway,
        links,
        metrics,
    )


def _limit_clients(config: GatewayConfig) -> GatewayConfig:
    room = client_room(config.connections_max)
    if room < config.connections_max:
        log_event(
            LOGGER, Event.DESCRIPTORS_FEW, configured=config.connections_max, connections_max=room
        )
    return replace(config, connections_max=room)


def _make_module(prepared: Prepared, clock: Clock) -> ConsensusModule:
    config, archive, identity = prepared.config, prepared.archive, prepared.identity
    settings, recovered = config.consensus, archive.recovered
    module = ConsensusModule(
        config=ConsensusConfig(
            election_timeout_min_ns=settings.election_timeout_min_ms * MS,
            election_timeout_max_ns=settings.election_timeout_max_ms * MS,
            heartbeat_interval_ns=settings.heartbeat_ms * MS,
            segment_length=archive.segment_length,
            unanimous_election=settings.durability is Durability.REPLICATED,
        ),
        identity=identity,
        recovered=Recovered(
            recovered.node_state,
            recovered.terms,
            recovered.end,
            recovered.last_timestamp,
            recovered.founding,
        ),
        codec=LogFrameCodec(identity.cluster_id, archive.epoch, config.settings, config.constants),
        # Seeded by the system once: a follower draws with every message of the leader, and
        # SystemRandom makes system calls for each number (7.2 us measured, against 1.5).
        random=random.Random().randint,  # noqa: S311 - spreads election timeouts, guards nothing
        now=Instant(0, clock.boottime(), clock.wall()),
    )
    seat_in_log = module.seat_in_log
    if seat_in_log is not None and seat_in_log != identity.seat:
        text = (
            f"member.seat is {identity.seat}, but the log in {config.member.data_dir} has this "
            f"directory in seat {seat_in_log}: give each seat the directory it had"
        )
        raise ConfigurationError([text])
    return module


def _make_links(prepared: Prepared, agent: ConsensusAgent) -> MemberLinks:
    config, identity = prepared.config, prepared.identity
    own = config.own_seat
    return MemberLinks(
        LinkIdentity(
            identity.cluster_id,
            identity.epoch,
            identity.member_id,
            identity.seat,
            identity.start_nonce,
            own.client_address,
            own.control_address,
        ),
        {row.seat: (row.host, row.member_port) for row in config.member.seats},
        secret=prepared.secret,
        listener=LinkEdge(agent),
        jitter=random.SystemRandom().random,
        settings=LinkSettings(
            connect_timeout_s=config.transport.connect_timeout_ms / 1000,
            silence_timeout_s=config.consensus.election_timeout_max_ms / 1000,
            send_buffer_bytes_max=config.transport.send_buffer_bytes_max,
        ),
    )


def _log_failure(failure: CallbackFailure) -> None:
    """Log a callback that raised, with its traceback: it never leaves this member."""
    log_event(
        LOGGER,
        Event.CALLBACK_FAILED,
        callback=failure.callback,
        log_position=failure.log_position,
        session=failure.session_id,
        ingress_sequence=failure.ingress_sequence,
    )
    LOGGER.error("callback %s raised", failure.callback, exc_info=failure.error)


def read_boot_id() -> bytes:
    """Return the 16 bytes that name this boot of the machine.

    Raises:
        StorageError: The kernel does not tell.

    """
    try:
        return UUID(BOOT_ID_FILE.read_text().strip()).bytes
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot read {BOOT_ID_FILE}: {error}") from error


def read_secret(path: str) -> bytes | None:
    """Return the bytes of the cluster secret; None when none is configured.

    Raises:
        ConfigurationError: The file cannot be read or is empty.

    """
    if not path:
        return None
    try:
        secret = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError([f"transport.secret_file {path}: {error.strerror}"]) from error
    if not secret:
        raise ConfigurationError([f"transport.secret_file {path} is empty"])
    return secret
