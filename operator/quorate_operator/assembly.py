"""Builds the operator from its settings and runs it, top to bottom in the order of its start.

Probes first; then the lease; then the definition; then kopf, queue and resync. A process that
waits for the lease does nothing else. On SIGTERM the work ends before the lease is released, so
that the next holder begins when nothing of this one is on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from quorate.clock import SystemClock
from quorate_operator.config import OperatorConfig
from quorate_operator.errors import LeaseLost
from quorate_operator.handlers import Wakes, Watcher
from quorate_operator.health import HealthServer
from quorate_operator.kube.act import Actor
from quorate_operator.kube.api import Api
from quorate_operator.kube.connect import connected
from quorate_operator.kube.events import Herald
from quorate_operator.kube.observe import Observer
from quorate_operator.lease import CALL_LIMIT_S, Lease, LeaseExit
from quorate_operator.members import Members
from quorate_operator.metrics import Metrics
from quorate_operator.planning.plan import plan
from quorate_operator.queue import Key, WorkQueue
from quorate_operator.reconcile import Reconciler
from quorate_operator.resync import Resync

LOGGER = logging.getLogger("quorate_operator")

DRAIN_LIMIT_S = 5.0
"""For reconciliations that run when the process is asked to end."""
_CHANCE = secrets.SystemRandom().random


class _Stop(Exception):
    """The process was asked to end."""


@dataclass(slots=True)
class _State:
    is_ready: bool = False


async def operate(config: OperatorConfig) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigurationError: There are no credentials for the API server.
        OSError: The port of probes and metrics cannot be used.

    """
    clock, metrics, state = SystemClock(), Metrics(), _State()
    health = HealthServer(metrics, lambda: state.is_ready)
    async with connected(config.kubeconfig) as client, connected(config.kubeconfig) as own:
        holder = f"{config.pod_name}_{secrets.token_hex(8)}"
        unguarded = Api(own, guard=lambda: None, on_call=metrics.on_call, limit_s=CALL_LIMIT_S)
        lease = Lease(unguarded, clock, config.namespace, config.lease_name, holder)
        api = Api(client, guard=lease.check, left_s=lease.left_s, on_call=metrics.on_call)
        port = await health.start(config.host, config.port)
        LOGGER.info("started", extra={"port": port, "holder": holder})
        queue = WorkQueue(clock, _CHANCE, on_drop=metrics.dropped.inc)
        metrics.watch(depth=queue.depth, is_leader=lambda: float(lease.is_held()))
        code = 0
        try:
            state.is_ready = True
            async with _stopped_by_signals(queue) as group:
                await _lead(config, _Parts(api, lease, metrics, queue), group)
        except* _Stop:
            LOGGER.info("asked to end")
        except* LeaseLost as lost:
            LOGGER.error("the lease is lost: %s", lost.exceptions[0])  # noqa: TRY400 - no bug
            code = LeaseExit.LOST
        finally:
            state.is_ready = False
            await lease.release()
            await health.close()
    return code


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is made before the lease is held."""

    api: Api
    lease: Lease
    metrics: Metrics
    queue: WorkQueue


async def _lead(config: OperatorConfig, parts: _Parts, group: asyncio.TaskGroup) -> None:
    """Wait for the lease, then run everything that acts, in ``group``, until the queue closes."""
    clock, api, queue = SystemClock(), parts.api, parts.queue
    await parts.lease.acquire()
    parts.lease.guard()
    group.create_task(parts.lease.keep(), name="keep the lease")
    resync = Resync(api, queue, config.resync_s)
    await resync.wait_until_served()
    members = Members(group, clock, _CHANCE, queue.wake, parts.metrics.on_poll_problem)
    reconciler = Reconciler(
        Observer(api, clock, config.stamp, config.cluster_domain),
        plan,
        Actor(api),
        members,
        Herald(api, clock, config.pod_name),
        parts.metrics,
        clock,
        resync.is_schema_current,
        parts.lease.check,
    )
    group.create_task(resync.run(), name="resync")
    group.create_task(_watch(queue), name="watch")
    try:
        await queue.run(reconciler.reconcile, at_once_max=config.at_once_max)
    finally:
        await members.close()


async def _watch(queue: WorkQueue) -> None:
    """Run kopf; its thread wakes the queue in this loop."""
    loop = asyncio.get_running_loop()

    def wake(key: Key, at_once: bool) -> None:  # noqa: FBT001 - the signature of Wakes
        loop.call_soon_threadsafe(lambda: queue.wake(key, at_once=at_once))

    def wake_all() -> None:
        loop.call_soon_threadsafe(queue.wake_all)

    def wake_namespace(namespace: str) -> None:
        loop.call_soon_threadsafe(queue.wake_namespace, namespace)

    await Watcher(Wakes(wake, wake_all, wake_namespace)).run()


@asynccontextmanager
async def _stopped_by_signals(queue: WorkQueue) -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group that SIGTERM and SIGINT end by ``_Stop``, after what runs has ended."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)

    async def wait() -> None:
        await asked.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await queue.close()
        raise _Stop

    async with asyncio.TaskGroup() as group:
        group.create_task(wait(), name="wait for a signal")
        yield group
