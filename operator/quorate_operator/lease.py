"""One acts at a time: a Lease of our own, because a process must stop before another begins.

Whoever holds the lease renews it every 2 s and stops acting 10 s after it *began* its last
successful renewal, on a clock that counts suspend. Another takes it no sooner than 15 s after it
last saw it change, on its own clock: no two clocks are compared. Four guards stand behind each
other: the line before each mutating call asks ``check``; the call itself may take ``left_s``, at
the server too; a thread ends the process when the deadline passes, also when the loop is stuck;
and the 5 s between the two periods are for what the network held back.

The elector of the client library is not used: it goes on leading when the API server is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from quorate.clock import Clock
from quorate_operator import labels, lenient
from quorate_operator.errors import Conflict, Gone, LeaseLost, OperatorError
from quorate_operator.kube import kinds
from quorate_operator.kube.api import Api
from quorate_operator.planning.observed import Body

LOGGER = logging.getLogger("quorate_operator.lease")

DURATION_S = 15.0
"""How long others wait after the last change that they saw."""
DEADLINE_S = 10.0
"""How long the holder may act after it began its last successful renewal."""
PERIOD_S = 2.0
"""Between renewals, and between looks of those who wait."""
CALL_LIMIT_S = 3.0
"""Of one renewal: three of them fit before the deadline."""
RELEASE_LIMIT_S = 2 * CALL_LIMIT_S
WATCH_S = 0.25
"""How often the thread looks: its own clock stands still during a suspend."""

_S = 1_000_000_000


class LeaseExit(IntEnum):
    """With which code a process ends that has lost the lease; the kubelet starts it again."""

    LOST = 75


@dataclass(slots=True)
class Lease:
    """The lease as one process sees it.

    Invariant:
        ``check`` passes only while no other process can have taken the lease.

    """

    api: Api
    """Unguarded, with ``CALL_LIMIT_S``: it is what the guard is made from."""
    clock: Clock
    namespace: str
    name: str
    holder: str
    """This very process; never the same twice."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _held_until_ns: int = 0
    _is_released: bool = False
    _seen: tuple[str, int] | None = None
    """The version last seen, and when this process first saw it."""
    _body: Body = field(default_factory=dict)

    def is_held(self) -> bool:
        """Return whether this process may act now."""
        return self.clock.boottime() < self._held_until_ns

    def left_s(self) -> float:
        """Return how long this process may still act without another renewal, in seconds."""
        return max(0.0, (self._held_until_ns - self.clock.boottime()) / _S)

    def check(self) -> None:
        """Pass if this process may act now.

        Raises:
            LeaseLost: It may not.

        """
        if not self.is_held():
            raise LeaseLost(f"{self.holder} does not hold the lease {self.namespace}/{self.name}")

    async def acquire(self) -> None:
        """Wait until this process holds the lease; an API server that is away is waited for.

        Blocking: for as long as another process renews it.
        """
        while not await self._attempt():
            await self.sleep(PERIOD_S)
        LOGGER.info("the lease is held", extra={"lease": self.name, "holder": self.holder})

    async def keep(self) -> None:
        """Renew the lease until cancelled.

        Raises:
            LeaseLost: It could not be renewed in time, or another process has it.

        """
        while True:
            await self.sleep(PERIOD_S)
            self.check()
            await self._attempt()
            self.check()

    async def release(self) -> None:
        """Give the lease up, so that another process need not wait; errors are only logged.

        Afterwards ``check`` fails. Blocking: at most ``RELEASE_LIMIT_S``.
        """
        was_held = self.is_held()
        self._is_released, self._held_until_ns = True, 0
        if not was_held:
            return
        try:
            async with asyncio.timeout(RELEASE_LIMIT_S):
                while not await self._give_up():
                    self._body = {}  # by a renewal of ours that was on its way: who has it?
        except (OperatorError, TimeoutError) as error:
            words = str(error) or "no answer in time"
            LOGGER.warning("the lease is left to run out: %s", words)

    async def _give_up(self) -> bool:
        """Take our name out of the lease; return False if it changed meanwhile."""
        body = self._body or await self.api.find(kinds.LEASE, self.namespace, self.name) or {}
        if _holder(body) != self.holder:
            return True
        spec = {**lenient.mapping(body.get("spec")), "holderIdentity": ""}
        try:
            await self.api.update(kinds.LEASE, self.namespace, self.name, {**body, "spec": spec})
        except Conflict:
            return False
        return True

    def guard(self, end: Callable[[int], object] = os._exit) -> threading.Thread:
        """Start and return the thread that ends the process when the deadline passes.

        Call it while the lease is held. After ``release`` it ends by itself.
        """
        wait = threading.Event().wait

        def watch() -> None:
            while not self._is_released:
                if not self.is_held():
                    if not self._is_released:
                        end(LeaseExit.LOST)
                    return
                wait(WATCH_S)

        thread = threading.Thread(target=watch, name="lease guard", daemon=True)
        thread.start()
        return thread

    async def _attempt(self) -> bool:
        """Try once to take or renew the lease; return whether it succeeded.

        Blocking: at most ``CALL_LIMIT_S``.
        """
        began_ns = self.clock.boottime()
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                is_mine = await self._write()
        except (Conflict, Gone):
            self._body = {}  # what was known is not so any more: read at the next attempt
            return False
        except (OperatorError, TimeoutError) as error:
            LOGGER.warning("the lease was not renewed: %s", str(error) or "no answer in time")
            return False
        if not is_mine or self._is_released:
            return False
        self._held_until_ns = began_ns + int(DEADLINE_S * _S)
        return True

    async def _write(self) -> bool:
        """Renew what is known to be ours in one call; otherwise, or if it changed, look first."""
        if self._body:
            with contextlib.suppress(Conflict):
                self._body = await self._update(self._body)
                return True
            self._body = {}  # perhaps by our own renewal, whose answer was lost: who has it?
        body = await self.api.find(kinds.LEASE, self.namespace, self.name)
        # Not when the look began: while it was on its way the holder may have renewed.
        seen_ns = self.clock.boottime()
        if body is None:
            if self._is_recent(seen_ns):
                return False  # deleted by hand: its holder may act until it looks
            new = self._written({})
            self._body = await self.api.create(
                kinds.LEASE, self.namespace, new, labels.FIELD_MANAGER
            )
            return True
        if not self._may_take(body, seen_ns):
            self._give_way(body)
            return False
        self._body = await self._update(body)
        return True

    async def _update(self, body: Body) -> Body:
        return await self.api.update(kinds.LEASE, self.namespace, self.name, self._written(body))

    def _give_way(self, body: Body) -> None:
        """Another holds it: this process must not, whatever it believes."""
        if self.is_held():
            self._held_until_ns = 0
            LOGGER.error("another process took the lease: %s", _holder(body))

    def _may_take(self, body: Body, now_ns: int) -> bool:
        holder = _holder(body)
        if holder in ("", self.holder):
            return True
        version = lenient.text(lenient.metadata(body).get("resourceVersion"))
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now_ns)
        return now_ns - self._seen[1] >= int(DURATION_S * _S)

    def _is_recent(self, now_ns: int) -> bool:
        """Tell whether another was seen to hold it so lately that it may still act."""
        return self._seen is not None and now_ns - self._seen[1] < int(DURATION_S * _S)

    def _written(self, before: Body) -> Body:
        spec = lenient.mapping(before.get("spec"))
        now = _micro_time(self.clock.wall())
        is_mine = _holder(before) == self.holder
        changes = spec.get("leaseTransitions")
        count = changes if isinstance(changes, int) else 0
        return {
            "apiVersion": kinds.LEASE.api_version,
            "kind": kinds.LEASE.name,
            "metadata": lenient.metadata(before)
            or {"name": self.name, "namespace": self.namespace},
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": int(DURATION_S),
                "acquireTime": spec.get("acquireTime") if is_mine else now,
                "renewTime": now,
                "leaseTransitions": count if is_mine or not before else count + 1,
            },
        }


def _holder(body: Body) -> str:
    return lenient.text(lenient.mapping(body.get("spec")).get("holderIdentity"))


def _micro_time(now_ns: int) -> str:
    return datetime.fromtimestamp(now_ns / _S, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
