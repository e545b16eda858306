"""The consensus agent: sole owner of the module, carrying out what it decides.

Everything arrives as a callback of the one loop. The first input of an iteration begins a
*turn*: the clocks are read once, and the end of the turn is put behind the other inputs of
that iteration. So all that arrived together becomes one log frame, one message to each
follower and one data sync, and an idle member answers at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from quorate.clock import Clock, LoopTime
from quorate.config import ClusterConstants
from quorate.consensus.effects import Effect, HaltCode, IngressState
from quorate.consensus.messages import AppendReport, Message
from quorate.consensus.module import ConsensusModule, Rejection
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    Instant,
    LogFrame,
    LogPosition,
    PeerLife,
    Role,
    Seat,
)
from quorate.control.metrics import Metrics
from quorate.errors import ServiceFailed
from quorate.protocol.log_codec import entries_length_max
from quorate.runtime.applying import Applier
from quorate.runtime.events import Event, log_event
from quorate.runtime.slow_callbacks import SlowCallbacks
from quorate.service.outbox import Outbound, SessionClosed, SessionOpened

LOGGER = logging.getLogger("quorate.runtime")
TICK_MAX_NS = 50_000_000
"""The loop never sleeps longer, so that loop time is never far behind."""
STALL_ROUNDS = 2
"""So many polls of all sockets after a stall before a time-out is judged."""
NS = 1_000_000_000


class GatewayPort(Protocol):
    """What the agent needs of the gateway."""

    def on_outbox(self, outbox: list[Outbound]) -> None:
        """Send what applying has produced."""

    def on_serving_changed(self) -> None:
        """Ask the agent anew whether it serves, and who leads."""

    def on_turn(self, now_ns: int, positions: tuple[int, int, int]) -> None:
        """Acknowledge, grant credit by written, commit and service position, expire sessions."""

    def on_rejected(self) -> None:
        """What was appended in this turn is not in the log: have it sent again."""

    def pause(self) -> None:
        """Leave clients' bytes waiting."""

    def resume(self) -> None:
        """Take clients' bytes again."""

    def refuse_ingress(self) -> None:
        """Take nothing from clients that needs room in the log."""

    def take_ingress(self) -> None:
        """Have what was refused sent again."""


class EffectCarrier(Protocol):
    """Whoever carries out what the module decided, in its order."""

    def carry_out(self, effects: list[Effect]) -> None:
        """Do all of it, or arrange for it to be done."""


class ConsensusAgent:
    """Turns inputs into effects and committed frames into a running service."""

    def __init__(
        self,
        module: ConsensusModule,
        applier: Applier,
        clock: Clock,
        metrics: Metrics,
        constants: ClusterConstants,
        on_halt: Callable[[HaltCode, str], None],
    ) -> None:
        """Own ``module``; ``attach`` completes the wiring before anything arrives."""
        self.module = module
        self._core = module.core
        self.applier = applier
        self.metrics = metrics
        self.is_stopping = False
        self.diverged_at: LogPosition | None = None
        self.watch: Callable[[], None] = lambda: None
        """Called at every tick, for what changes without an event of its own."""
        self.on_digest: Callable[[LogPosition, bytes], None] = lambda _position, _digest: None
        """Called with each digest that members compare."""
        self.slow_callbacks = SlowCallbacks()
        self.storage_busy_ns: Callable[[], int] = lambda: 0
        """Returns for how long the write that is running has been running, in real time."""
        self.room_end: Callable[[], LogPosition] = lambda: ROOM_UNBOUNDED
        """Returns how far the log can grow on the disk as it is."""
        self.storage_stall_ns = NS
        """A write that takes longer makes a leader hand over."""
        self.on_news: Callable[[], None] = lambda: None
        """Called when something worth telling in the status has changed."""
        self._clock = clock
        self._loop_time = LoopTime(clock.monotonic())
        self._on_halt = on_halt
        self._body_bytes_max = entries_length_max(
            constants.segment_length, constants.frame_bytes_max
        )
        self._entries: list[bytes] = []
        self._in_turn = False
        self._has_persisted = False
        self._instant = Instant(0, clock.boottime(), clock.wall())
        self._turn_began = clock.monotonic()
        self._stall_rounds = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._was_serving = False
        self._loop: asyncio.AbstractEventLoop
        self._carrier: EffectCarrier
        self._gateway: GatewayPort

    def attach(
        self, loop: asyncio.AbstractEventLoop, carrier: EffectCarrier, gateway: GatewayPort
    ) -> None:
        """Give the agent what it acts through, and begin to watch the time."""
        self._loop = loop
        self._carrier = carrier
        self._gateway = gateway
        self._arm_timer(self._clock.monotonic(), 0)

    # -- turns ----------------------------------------------------------------------------

    def begin_turn(self) -> Instant:
        """Return the clocks of the present turn, beginning one if none is under way."""
        if not self._in_turn:
            self._read_clocks()
            self._open_turn()
        return self._instant

    def _read_clocks(self) -> None:
        clock = self._clock
        began = clock.monotonic()
        if self._loop_time.turn(began):
            self._stall_rounds = STALL_ROUNDS
            stalled_ms = (began - self._turn_began) // 1_000_000
            log_event(LOGGER, Event.LOOP_STALLED, seat=self._core.seat, ms=stalled_ms)
        self._turn_began = began
        self._instant = Instant(self._loop_time.now, clock.boottime(), clock.wall())

    def _open_turn(self) -> None:
        self._in_turn = True
        self._loop.call_soon(self._end_turn)

    def _now(self) -> Instant:
        """Return the clocks for an input that may change nothing; ``_settle`` must follow."""
        if not self._in_turn:
            self._read_clocks()
        return self._instant

    def _settle(self) -> None:
        """Begin a turn if the input before has left something to do.

        Of the reports to each frame the last ones, and of a leader's own syncs those that come
        behind a quorum's, change nothing that anybody waits for.
        """
        if not self._in_turn and (self._core.has_news or self._stall_rounds):
            self._open_turn()

    @property
    def turn_began_ns(self) -> int:
        """When the present turn began, by the monotonic clock; 0 between turns. For any thread."""
        return self._turn_began if self._in_turn else 0

    def wake(self) -> None:
        """Ask for a turn."""
        self.begin_turn()

    def _end_turn(self) -> None:
        applier = self.applier
        if self._entries:
            self._append_entries()
        self._carry_out()
        if applier.is_behind and self.diverged_at is None:
            self._apply()
        else:
            self._update_serving()
        has_timers = applier.container.next_timer_deadline is not None
        if has_timers:
            self._fire_timers()
        if not self._stall_rounds:
            core = self._core
            positions = (core.log.end.position, core.commit_position, applier.container.position)
            self._gateway.on_turn(self._instant.loop, positions)
            if self._entries:
                self._append_entries()
        if self._core.has_news:
            self._carry_out()
        self._in_turn = False
        ended = self._clock.monotonic()
        self.metrics.loop_turn.observe_ns(ended - self._turn_began)
        if applier.can_go_on and self.diverged_at is None:
            self._loop.call_soon(self.wake)
        self._arm_timer(ended, self._next_delay(has_timers=has_timers))

    def _carry_out(self) -> None:
        """Have done what the module decided; a write that needs no sync completes meanwhile."""
        module = self.module
        effects = module.drain()
        while effects:
            self._has_persisted = False
            self._carrier.carry_out(effects)
            effects = module.drain() if self._has_persisted and self._core.has_news else []

    def _next_delay(self, *, has_timers: bool) -> int:
        """Return after how many nanoseconds time itself is the next input."""
        if self._stall_rounds:
            return 1_000_000
        delay = self.module.next_deadline - self._instant.loop
        if has_timers:
            due = self._timer_due_in()
            if due is not None and due < delay:
                delay = due
        if delay >= TICK_MAX_NS:
            return TICK_MAX_NS
        return max(0, delay)

    def _arm_timer(self, now_ns: int, delay_ns: int) -> None:
        at = now_ns + delay_ns
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(delay_ns / NS, self.on_timer)

    def on_timer(self) -> None:
        """Let time itself be the input; after a stall sockets come first."""
        self._timer = None
        now = self.begin_turn()
        if self._stall_rounds:
            self._stall_rounds -= 1
            return
        stalled = self.storage_busy_ns() > self.storage_stall_ns
        self.module.on_storage_stalled(now, stalled=stalled)
        self.module.on_room(now, self.room_end())
        self.module.on_tick(now)
        if cleared := self.slow_callbacks.on_tick(now.loop):
            self._carrier.carry_out(cleared)
        self.watch()

    # -- what clients send ----------------------------------------------------------------

    def append_entry(self, entry: bytes) -> None:
        """Put one entry into this turn's frame."""
        self.begin_turn()
        self._entries.append(entry)

    def _append_entries(self) -> None:
        """Make the turn's entries frames, as few as the frame limit allows."""
        entries = self._entries
        self._entries = []
        first, size = 0, 0
        for index, entry in enumerate(entries):
            if size and size + len(entry) > self._body_bytes_max:
                if not self._propose(entries[first:index]):
                    break
                first, size = index, 0
            size += len(entry)
        else:
            if self._propose(entries[first:]):
                return
        # No room in the log: the gateway takes no more, and this goes in when there is some.
        self._entries = entries[first:]

    def _propose(self, entries: list[bytes]) -> bool:
        """Append entries as one frame; tell whether that was judged, as it is not without room."""
        outcome = self.module.propose(self._instant, b"".join(entries), len(entries))
        if outcome is Rejection.STORAGE_FULL:
            return False
        if isinstance(outcome, Rejection):
            # Nothing was acknowledged: their clients resume and send them again.
            self.metrics.refused("client", outcome.value, len(entries))
            self._gateway.on_rejected()
        return True

    # -- applying -------------------------------------------------------------------------

    def _apply(self) -> None:
        """Apply what is committed and in memory, for about a slice."""
        applier = self.applier
        before = applier.position
        try:
            applier.apply_slice()
        except BaseException as error:
            # What ends this member here ends each of them at the same message, if they hear of
            # its commit: the last of them cannot learn it from a leader of its own any more.
            self.module.publish_commit(self._instant)
            self._carry_out()
            if isinstance(error, (Exception, SystemExit, KeyboardInterrupt)):
                raise
            # Only the author's code raises the others, such as asyncio.CancelledError.
            raise ServiceFailed(
                f"a callback raised {error!r} at log position {applier.position}, which is no "
                "Exception and ends the process: correct the service"
            ) from error
        if applier.slowest_step_ns > self.slow_callbacks.limit_ns:
            alarm = self.slow_callbacks.on_slow(self._instant.loop, applier.slowest_step_ns)
            self._carrier.carry_out([alarm])
        applier.slowest_step_ns = 0
        outbox = applier.container.take_outbox()
        if applier.position != before:
            self.module.on_service_position(self._instant, applier.position)
            for position, digest in applier.container.take_digests():
                self.module.on_digest(self._instant, position, digest)
                self.on_digest(position, digest)
        self._update_serving()
        if outbox and self.module.role is Role.LEADER:
            self._gateway.on_outbox(outbox)
            if LOGGER.isEnabledFor(logging.DEBUG):
                _log_sessions(outbox)

    def _timer_due_in(self) -> int | None:
        """Return in how many nanoseconds a pending timer wants a frame; None for never."""
        deadline = self.applier.container.next_timer_deadline
        if deadline is None or self.module.leading is None:
            return None
        if self.module.transfer_target is not None:
            # Nothing may be appended now: to wait for it would be to spin until the outcome.
            return None
        if self._core.storage_full:
            return None
        log = self._core.log
        if log.end.position > self.applier.position and log.last_timestamp >= deadline:
            return None
        log_time = self.module.log_time(self._instant)
        return None if log_time is None else max(0, deadline - log_time)

    def _fire_timers(self) -> None:
        """As leader give a timer that is due the frame in whose apply step it fires."""
        if self._timer_due_in() == 0:
            self.module.propose_empty(self._instant)

    # -- serving --------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Whether clients' sessions are answered here: leader, own term frame applied."""
        leading = self.module.leading
        return (
            leading is not None
            and self.applier.position >= leading.term_frame_end
            and self.module.transfer_target is None
            and self.diverged_at is None
            and not self.module.is_undecided
        )

    def _update_serving(self) -> None:
        serving = self.serving
        if serving != self._was_serving:
            self._was_serving = serving
            self._gateway.on_serving_changed()
            self.on_news()

    def on_ingress_state(self, state: IngressState) -> None:
        """Pause or take ingress as the module says."""
        gateway = self._gateway
        if state is IngressState.PAUSED:
            gateway.pause()
        elif state is IngressState.STORAGE_FULL:
            gateway.refuse_ingress()
            gateway.resume()
        elif state is IngressState.OPEN:
            gateway.take_ingress()
            gateway.resume()
        else:
            self._entries.clear()
            gateway.take_ingress()
            gateway.resume()
            self._was_serving = False
            self._gateway.on_serving_changed()

    def on_leader_changed(self) -> None:
        """Tell the clients that wait here who leads."""
        self._was_serving = self.serving
        self._gateway.on_serving_changed()
        self.on_news()

    # -- links, disk, admin ---------------------------------------------------------------

    def on_link_up(self, peer: PeerLife) -> None:
        """Pass on that a link to this life of a member stands."""
        self.module.on_link_up(self.begin_turn(), peer)

    def on_link_down(self, peer: PeerLife) -> None:
        """Pass on that a link is gone."""
        self.module.on_link_down(self.begin_turn(), peer)

    def on_reconnect_refused(self, seat: Seat) -> None:
        """Pass on that nobody answers at a member's address."""
        self.module.on_reconnect_refused(self.begin_turn(), seat)

    def on_message(self, peer: PeerLife, message: Message) -> None:
        """Pass on a member's message."""
        if isinstance(message, AppendReport):
            self.module.on_message(self._now(), peer, message)
            self._settle()
        else:
            self.module.on_message(self.begin_turn(), peer, message)

    def on_persisted(self, sequence: int) -> None:
        """Pass on that everything up to ``sequence`` is durable."""
        self._has_persisted = True
        self.module.on_persisted(self._now(), sequence)
        self._settle()

    def on_log_read(self, seat: Seat, frames: tuple[LogFrame, ...], *, more: bool = False) -> None:
        """Pass on frames that were read for a follower."""
        self.module.on_log_read(self.begin_turn(), seat, frames, more=more)

    def on_no_boundary(self, seat: Seat, position: LogPosition) -> None:
        """Pass on that a follower's log ends where a frame of ours goes on."""
        self.module.on_no_boundary(self.begin_turn(), seat, position)

    def request_found(self, *, discard: bool) -> str | None:
        """Ask the module to found the cluster; return why not."""
        return self.module.request_found(self.begin_turn(), discard=discard)

    def request_transfer(self, target: Seat | None) -> str | None:
        """Ask the module to hand leadership over; return why not."""
        return self.module.request_transfer(self.begin_turn(), target)

    def halt(self, code: HaltCode, detail: str) -> None:
        """End the process: nothing is written or sent any more."""
        self._on_halt(code, detail)


def _log_sessions(outbox: list[Outbound]) -> None:
    for item in outbox:
        if isinstance(item, SessionOpened):
            log_event(LOGGER, Event.SESSION_OPENED, session=item.session_id)
        elif isinstance(item, SessionClosed):
            reason = item.reason.name.lower()
            log_event(LOGGER, Event.SESSION_CLOSED, session=item.session_id, reason=reason)
