"""From a configuration to a running member, top to bottom in start-up order."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import secrets
import signal
from collections.abc import Coroutine
from pathlib import Path

import uvloop

from quorate.archive.archive import Archive
from quorate.archive.files import SystemFiles
from quorate.archive.writer import ArchiveWriter
from quorate.clock import SystemClock
from quorate.config import NodeConfig, configuration_hash
from quorate.consensus.config import MS, ConsensusConfig, Identity, Recovered
from quorate.consensus.effects import HaltCode
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import Instant, MemberId, StartNonce
from quorate.control.admin import read_token
from quorate.control.metrics import Metrics
from quorate.control.server import ControlServer
from quorate.errors import ConfigurationError, QuorateError, StorageError
from quorate.gateway.gateway import Gateway
from quorate.protocol.frame_codec import LogFrameCodec
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.applying import Applier
from quorate.runtime.control_port import MemberControl
from quorate.runtime.edges import ClientEdge, LinkEdge
from quorate.runtime.effect_runner import EffectRunner
from quorate.runtime.events import Event, log_event
from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.lifecycle import exit_code_of, shut_down
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
ANY_HOST = ""
"""asyncio listens on all interfaces for an empty host."""


def run_member(config: NodeConfig) -> int:
    """Run one member until it is asked to end or cannot go on; return the exit code.

    Args:
        config: Valid, as ``cli`` has resolved it.

    Returns:
        See ``lifecycle.ExitCode``; what went wrong has been logged in one line.

    Blocking: for the life of the member.

    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Bootstrap(config).run())
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return error.code if isinstance(error, _HaltedError) else _log_end(error)
    except (QuorateError, AssertionError, OSError) as error:
        return _log_end(error)


def _log_end(error: BaseException) -> int:
    code = exit_code_of(error)
    detail = str(error) or type(error).__name__
    log_event(LOGGER, Event.MEMBER_HALTED, exit_code=int(code), detail=detail)
    if code is ExitCode.INVARIANT_BROKEN:
        LOGGER.error("this is a bug in Quorate, please report it", exc_info=error)
    return int(code)


class _HaltedError(Exception):
    """The member has halted and said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Bootstrap:
    """The start and the end of one member, on its loop."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._clock = SystemClock()
        self._ended: asyncio.Future[int]
        self._tasks: asyncio.TaskGroup
        self._agent: ConsensusAgent
        self._metrics: Metrics
        self._running: set[asyncio.Task[object]] = set()

    async def run(self) -> int:
        """Start, wait for the end, end; return the exit code."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        loop.set_exception_handler(self._on_unhandled)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, int(ExitCode.ASKED))
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            member = self._build(loop)
            control = MemberControl(member)
            token = read_token(self._config.control.token_file)
            server = ControlServer(control, member.metrics, token=token)
            await self._listen(member, server, tasks)
            gc.collect()
            gc.freeze()
            code = await self._ended
            if code != ExitCode.ASKED:
                # Leaving the group by an exception cancels all that runs: nothing is sent or
                # written any more, and the writer's thread ends with the process.
                raise _HaltedError(code)
            log_event(LOGGER, Event.MEMBER_STOPPING, seat=self._config.member.seat)
            await shut_down(member)
            log_event(LOGGER, Event.MEMBER_STOPPED, seat=self._config.member.seat)
            await server.close()
            for task in self._running:
                task.cancel()
        return code

    # -- building -------------------------------------------------------------------------

    def _build(self, loop: asyncio.AbstractEventLoop) -> Member:
        config = self._config
        service = load_service(config.member.service, config.member.service_config)
        container = ServiceContainer(service, self._on_failure)
        container.start(None)
        archive = self._open_archive()
        identity = self._identity(archive)
        module = self._module(archive, identity)
        self._metrics = metrics = Metrics()
        writer = ArchiveWriter(
            archive,
            loop=loop,
            monotonic_ns=self._clock.monotonic,
            on_completed=self._on_completed,
            on_failed=self._fail,
        )
        applier = Applier(
            container, module.core.log, self._clock, writer.read, self._spawn, self._wake
        )
        agent = ConsensusAgent(
            module, applier, self._clock, metrics, archive.segment_length, self._halt
        )
        agent.callback_alarm_ns = config.member.callback_alarm_ms * MS
        agent.storage_busy_ns = lambda: writer.busy_ns
        agent.storage_stall_ns = config.consensus.election_timeout_min_ms * MS // 2
        self._agent = agent
        links = self._links(identity, agent)
        effects = EffectRunner(agent, writer, links, self._spawn)
        edge = ClientEdge(agent, config, identity.cluster_id)
        gateway = Gateway(
            config=config.gateway,
            port=edge,
            durability=config.consensus.durability,
            constants=config.constants,
        )
        report = StatusReport(config, identity, agent, effects)
        agent.on_digest = report.on_digest
        writer.start()
        agent.attach(loop, effects, gateway)
        log_event(
            LOGGER,
            Event.LOG_RECOVERED,
            seat=config.member.seat,
            log_position=archive.recovered.end.position,
            leadership_term_id=archive.recovered.end.leadership_term_id,
            recovering=archive.recovered.node_state.recovering.reason.name.lower(),
        )
        return Member(config, archive, writer, agent, effects, report, gateway, links, metrics)

    def _open_archive(self) -> Archive:
        config = self._config
        files = SystemFiles(config.member.data_dir, create=True)
        return Archive.open(
            files,
            cluster_id=config.member.cluster_id,
            constants=config.constants,
            durability=config.consensus.durability,
            boot_id=read_boot_id(),
            new_member_id=MemberId(secrets.token_bytes(16)),
            spares=config.archive.spares,
            lock_grace_s=config.archive.lock_timeout_ms / 1000,
        )

    def _identity(self, archive: Archive) -> Identity:
        member = self._config.member
        return Identity(
            cluster_id=member.cluster_id,
            member_id=archive.member_id,
            seat=member.seat,
            start_nonce=StartNonce(secrets.randbits(START_NONCE_BITS)),
            epoch=archive.epoch,
            seats=tuple((row.seat, row.name) for row in member.seats),
            configuration_hash=configuration_hash(self._config),
        )

    def _module(self, archive: Archive, identity: Identity) -> ConsensusModule:
        config, recovered = self._config, archive.recovered
        settings = config.consensus
        consensus = ConsensusConfig(
            election_timeout_min_ns=settings.election_timeout_min_ms * MS,
            election_timeout_max_ns=settings.election_timeout_max_ms * MS,
            heartbeat_interval_ns=settings.heartbeat_ms * MS,
            frame_bytes_max=config.constants.frame_bytes_max,
            segment_length=archive.segment_length,
            unanimous_election=settings.durability.name == "REPLICATED",
        )
        codec = LogFrameCodec(
            config.member.cluster_id, archive.epoch, config.settings, config.constants
        )
        module = ConsensusModule(
            config=consensus,
            identity=identity,
            recovered=Recovered(
                recovered.node_state,
                tuple(recovered.terms),
                recovered.end,
                recovered.last_timestamp,
                recovered.founding,
            ),
            codec=codec,
            random=random.SystemRandom().randint,
            now=Instant(0, self._clock.boottime(), self._clock.wall()),
        )
        seat_in_log = module.seat_in_log
        if seat_in_log is not None and seat_in_log != identity.seat:
            text = (
                f"member.seat is {identity.seat}, but the log in {config.member.data_dir} has this "
                f"directory in seat {seat_in_log}: give each seat the directory it had"
            )
            raise ConfigurationError([text])
        return module

    def _links(self, identity: Identity, agent: ConsensusAgent) -> MemberLinks:
        config = self._config
        own = config.own_seat
        secret = read_secret(config.transport.secret_file)
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
            secret=secret,
            listener=LinkEdge(agent),
            jitter=random.SystemRandom().random,
            settings=LinkSettings(
                connect_timeout_s=config.transport.connect_timeout_ms / 1000,
                silence_timeout_s=config.consensus.election_timeout_max_ms / 1000,
                send_buffer_bytes_max=config.transport.send_buffer_bytes_max,
            ),
        )

    async def _listen(
        self, member: Member, server: ControlServer, tasks: asyncio.TaskGroup
    ) -> None:
        config = self._config
        host, port = config.control_listen
        try:
            await server.start(host, port)
            host, port = config.member_listen
            await member.links.start(host or ANY_HOST, port, tasks)
            host, port = config.client_listen
            await member.gateway.start(host, port)
        except OSError as error:
            text = f"cannot listen on {host or 'all interfaces'}, port {port}: {error.strerror}"
            raise ConfigurationError([text]) from error
        own = config.own_seat
        log_event(
            LOGGER,
            Event.LISTENING,
            seat=own.seat,
            client=own.client_address,
            member=own.name,
            control=own.control_address,
        )

    # -- ending ---------------------------------------------------------------------------

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _halt(self, code: HaltCode, _detail: str) -> None:
        self._end(int(code))

    def _fail(self, error: BaseException) -> None:
        """End because of an error that nobody can handle."""
        if not self._ended.done():
            self._ended.set_result(_log_end(error))

    def _on_unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._fail(error)
        else:
            loop.default_exception_handler(context)

    # -- glue -----------------------------------------------------------------------------

    def _spawn(self, coroutine: Coroutine[object, object, None], name: str) -> None:
        task: asyncio.Task[object] = self._tasks.create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _wake(self) -> None:
        self._agent.wake()

    def _on_completed(self, sequence: int, duration_ns: int) -> None:
        self._metrics.sync.observe_ns(duration_ns)
        self._agent.on_persisted(sequence)

    def _on_failure(self, failure: CallbackFailure) -> None:
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
        return bytes.fromhex(BOOT_ID_FILE.read_text().strip().replace("-", ""))
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
