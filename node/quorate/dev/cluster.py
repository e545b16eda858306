"""A cluster of member processes: start, found, watch, restart, harm, stop.

::

    async with DevCluster(DevOptions(directory)) as cluster:
        leader = await cluster.wait_leader()
        cluster.kill(Seat(leader.seat))

The supervisor holds no state of the cluster: killed and started again on the same directory it
goes on where the members' recordings are.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from quorate.consensus.quorum import quorum_size
from quorate.consensus.types import Seat
from quorate.control.client import ControlClient
from quorate.control.status import MemberState, MemberStatus
from quorate.dev.alarms import ToldAlarms
from quorate.dev.layout import DevDirectory, DevOptions
from quorate.dev.member import SupervisedMember
from quorate.dev.process import MEMBER_COMMAND
from quorate.dev.watch import SILENT_S, StatusBoard, Statuses
from quorate.errors import AdminRejected, NotConnected, QuorateError

START_TIMEOUT_S = 60.0
FOUND_RETRY_S = 0.2
STOP_TIMEOUT_S = 15.0
"""Beyond the hand-over and redirect times of a member; then SIGKILL."""


@dataclass(frozen=True, slots=True)
class DevEvent:
    """Something a person in front of the cluster wants to read, in one line."""

    text: str
    seat: Seat | None = None


def _ignore(_: DevEvent) -> None:
    """Take an event and do nothing."""


class DevCluster:
    """An async context manager: the cluster runs inside the block."""

    def __init__(
        self,
        options: DevOptions,
        on_event: Callable[[DevEvent], None] = _ignore,
        *,
        found: bool = True,
        restart: bool = True,
        command: Sequence[str] = MEMBER_COMMAND,
    ) -> None:
        """Prepare; nothing is touched before the block is entered.

        Args:
            options: Directory, service and size.
            on_event: Told what happens, one line at a time.
            found: Found the cluster when its members are blank.
            restart: Start members again that ended by themselves; see ``restarting``.
            command: Starts a member; tests give another.

        """
        self._options = options
        self._on_event = on_event
        self._found = found
        self._command = tuple(command)
        self._stack = AsyncExitStack()
        self._members: dict[Seat, SupervisedMember] = {}
        self._restarting = restart
        self._leader_told: tuple[int, int] | None = None
        self._refusal = ""
        self.directory: DevDirectory
        self._board: StatusBoard
        self._client: ControlClient
        self._group: asyncio.TaskGroup

    # -- life ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start the members, and found the cluster if it is not founded.

        Raises:
            ConfigurationError: See ``DevDirectory.open``.
            DirectoryInUse: Another supervisor runs on the directory.
            QuorateError: A member cannot run, or ended and is not to be restarted, or the
                founding did not succeed.

        """
        self.directory = DevDirectory.open(self._options)
        self._stack.callback(self.directory.close)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the members in order, followers first; see ``stop``."""
        await self._stop()

    async def _start(self) -> None:
        self._client = await self._stack.enter_async_context(ControlClient(self.directory.token))
        addresses = {row.seat: row.control_address for row in self.directory.seats}
        self._board = StatusBoard(addresses, self._client)
        self._members = {seat: self._supervised(seat) for seat in addresses}
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        watchers = [
            self._group.create_task(self._board.watch(seat), name=f"watch seat {seat}")
            for seat in self._members
        ]
        watchers.append(self._group.create_task(self._tell_leaders(), name="tell leaders"))
        watchers.append(self._group.create_task(self._tell_alarms(), name="tell alarms"))
        watchers.append(self._group.create_task(self._tell_silent(), name="tell silent members"))
        for watcher in watchers:
            self._stack.callback(watcher.cancel)
        for member in self._members.values():
            await member.start()
            self._group.create_task(member.supervise(), name=f"supervise seat {member.seat}")
        if self._found:
            await self._ensure_founded()

    def _supervised(self, seat: Seat) -> SupervisedMember:
        member = SupervisedMember(
            seat,
            self._command,
            config=self.directory.config_path(seat),
            log=self.directory.log_path(seat),
            tell=self._tell,
            on_change=self._process_changed,
        )
        member.restarting = self._restarting
        return member

    async def _process_changed(self, seat: Seat, runs: bool) -> None:  # noqa: FBT001 - a callback
        self._board.expect(seat)
        if not runs:
            await self._board.tell(seat, None)
        await self._board.wake()

    async def _stop(self) -> None:
        try:
            await self.stop()
        except BaseException:
            # Given up, as by a time limit: who was not asked yet would be waited for without end.
            self.kill_all()
            raise
        finally:
            await self._stack.aclose()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End every member with SIGTERM, the leader last, then with SIGKILL after the time."""
        for member in self._members.values():
            member.stop()
        leader = self._board.leader() if self._members else None
        last = None if leader is None else Seat(leader.seat)
        members = self._members.values()
        await self._end([member for member in members if member.seat != last], timeout_s)
        await self._end([member for member in members if member.seat == last], timeout_s)

    async def _end(self, members: list[SupervisedMember], timeout_s: float) -> None:
        running = [member for member in members if member.stop(signal.SIGTERM)]
        try:
            async with asyncio.timeout(timeout_s):
                for member in running:
                    await member.wait()
        except TimeoutError:
            late = [member for member in running if member.stop(signal.SIGKILL)]
            self._tell(f"{len(late)} member(s) did not end within {timeout_s:g} s and were killed")
            for member in late:
                await member.wait()

    def kill_all(self) -> None:
        """Send SIGKILL to every member: for one who does not want to wait for ``stop``."""
        for member in self._members.values():
            member.stop(signal.SIGKILL)

    # -- what it knows ------------------------------------------------------------------

    @property
    def seats(self) -> tuple[Seat, ...]:
        """Every seat, from 0."""
        return tuple(row.seat for row in self.directory.seats)

    @property
    def client_addresses(self) -> tuple[str, ...]:
        """``host:port`` of each member, for clients."""
        return tuple(row.client_address for row in self.directory.seats)

    @property
    def control_addresses(self) -> tuple[str, ...]:
        """``host:port`` of each member, for status and metrics."""
        return tuple(row.control_address for row in self.directory.seats)

    def pid(self, seat: Seat) -> int | None:
        """Return the process id of a running member."""
        return self._members[seat].pid

    async def statuses(self) -> Statuses:
        """Ask every member now; None for one that does not answer within two seconds."""
        return await self._board.refresh()

    def known_statuses(self) -> Statuses:
        """Return what the long polls told last, without asking."""
        return dict(self._board.statuses)

    async def wait_leader(
        self, timeout_s: float = START_TIMEOUT_S, *, above_term: int = 0
    ) -> MemberStatus:
        """Return the status of the leader as soon as there is one of a higher term than this.

        Raises:
            NotConnected: None within the time.

        """

        def leads() -> bool:
            leader = self._board.leader()
            return leader is not None and leader.leadership_term_id > above_term

        await self.wait_until(leads, timeout_s, "a leader")
        leader = self._board.leader()
        assert leader is not None, "waited for under the same turn of the loop"
        return leader

    async def wait_until(
        self, holds: Callable[[], bool], timeout_s: float, what: str = "the condition"
    ) -> None:
        """Return as soon as this holds; asked with every change of a status or a process.

        Raises:
            NotConnected: Not within the time; says what each member was doing.

        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._board.until(holds)
        except TimeoutError as error:
            shown = ", ".join(
                f"seat {seat}: {'no answer' if status is None else status.state.value}"
                for seat, status in self._board.statuses.items()
            )
            raise NotConnected(f"no {what} within {timeout_s:g} s ({shown})") from error

    # -- harm and help ------------------------------------------------------------------

    @property
    def restarting(self) -> bool:
        """Whether members that end by themselves are started again."""
        return self._restarting

    @restarting.setter
    def restarting(self, restart: bool) -> None:
        self._restarting = restart
        for member in self._members.values():
            member.restarting = restart
            if restart and not member.given_up:
                member.want()

    def kill(self, seat: Seat, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a member.

        Raises:
            NotConnected: It does not run.

        """
        self._members[seat].kill(number)

    async def restart(self, seat: Seat) -> None:
        """Start a member that is down, whatever the policy says; return when it was started."""
        member = self._members[seat]
        before = member.starts
        if member.pid is None:
            member.want()
            await self._board.until(lambda: member.starts > before)

    async def wait_exit(self, seat: Seat) -> int:
        """Return the exit code of the member's present or last process when it has ended."""
        return await self._members[seat].wait()

    async def transfer(self, to: Seat | None = None) -> str:
        """Have the leader hand over; raises as ``ControlClient.transfer``."""
        leader = await self.wait_leader()
        address = next(row for row in self.directory.seats if row.seat == leader.seat)
        return await self._client.transfer(address.control_address, to)

    # -- watching and founding ----------------------------------------------------------

    async def _tell_leaders(self) -> None:
        """Say who leads, whenever that changes."""

        def other() -> bool:
            return self._leadership() not in (None, self._leader_told)

        while True:
            await self._board.until(other)
            self._leader_told = self._leadership()
            assert self._leader_told is not None, "waited for it"
            term, seat = self._leader_told
            self._tell(f"member {seat} leads in term {term}", Seat(seat))

    async def _tell_alarms(self) -> None:
        """Pass on what members want a human to see."""
        told = ToldAlarms()
        lines: list[tuple[Seat, str]] = []

        def are_there() -> bool:
            lines.extend(told.news(self._board.statuses))
            return bool(lines)

        while True:
            await self._board.until(are_there)
            for seat, line in lines:
                self._tell(line, seat)
            lines.clear()

    async def _tell_silent(self) -> None:
        """Say whose process runs and does not answer, and when it does again."""
        told: set[Seat] = set()

        def silent() -> set[Seat]:
            return {seat for seat in self._board.silent if self.pid(seat) is not None}

        def changed() -> bool:
            return silent() != told

        while True:
            await self._board.until(changed)
            now = silent()
            for seat in sorted(now - told):
                text = (
                    f"member {seat} runs and has not answered for {SILENT_S:g} s: a callback of "
                    f"the service may not return, see its log {self._members[seat].log}"
                )
                self._tell(text, seat)
            for seat in sorted(told - now):
                if self._board.statuses[seat] is not None:
                    self._tell(f"member {seat} answers again", seat)
            told = now

    def _leadership(self) -> tuple[int, int] | None:
        leader = self._board.leader()
        return None if leader is None else (leader.leadership_term_id, leader.seat)

    async def _ensure_founded(self) -> None:
        """Found the cluster unless its members say that it is founded.

        A founded one goes on without a member that stays down, at its start as at any other time.

        Raises:
            QuorateError: So many members stay down that there is no quorum, one does of a cluster
                that is to be founded, or the founding did not succeed in time.

        """
        await self.wait_until(self._all_settled_or_no_quorum, START_TIMEOUT_S, "answer")
        statuses = self.known_statuses().values()
        founded = sum(status is not None and status.founded for status in statuses)
        if founded < quorum_size(len(self._members)):
            self._raise_stays_down()
        if founded:
            return
        lowest = min(self.directory.seats, key=lambda row: row.seat).control_address
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._try_found(lowest):  # noqa: ASYNC110 - asks a process
                    await asyncio.sleep(FOUND_RETRY_S)
        except TimeoutError as error:
            raise QuorateError(
                f"not founded within {START_TIMEOUT_S:g} s: {'; '.join(self._what_is_wrong())}"
            ) from error
        self._tell(f"cluster {self.directory.cluster_id.hex()} is founded")

    def _what_is_wrong(self) -> list[str]:
        """Return the last refusal and the members' alarms, such as a full disk's."""
        statuses = self.known_statuses().values()
        alarms = {alarm.detail for status in statuses if status for alarm in status.alarms}
        return [self._refusal or "no member has said why", *sorted(alarms)]

    async def _try_found(self, address: str) -> bool:
        """Ask once; False when asking again can help: members are still finding each other."""
        self._raise_stays_down()
        try:
            await self._client.found(address)
        except (AdminRejected, NotConnected) as error:
            self._refusal = str(error)
            for status in (await self.statuses()).values():
                if status is not None and status.founded:
                    return True
                if status is not None and status.state is MemberState.FOUNDING_BROKEN:
                    raise
            return False
        return True

    def _all_settled_or_no_quorum(self) -> bool:
        """Tell whether each member has answered or stays down, or too many do the latter."""
        down = {seat for seat, member in self._members.items() if member.stays_down}
        everyone = all(
            seat in down or (status is not None and status.state is not MemberState.STARTING)
            for seat, status in self._board.statuses.items()
        )
        return everyone or len(self._members) - len(down) < quorum_size(len(self._members))

    def _raise_stays_down(self) -> None:
        for member in self._members.values():
            if member.stays_down:
                raise QuorateError(f"{member.stays_down}; its log is {member.log}")

    def _tell(self, text: str, seat: Seat | None = None) -> None:
        self._on_event(DevEvent(text, seat))
