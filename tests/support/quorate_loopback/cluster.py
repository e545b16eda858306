"""Members with real gateways over one log in memory; the test plays consensus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from quorate.config import ClusterConstants, ClusterSettings, GatewayConfig, join_address
from quorate.consensus.types import (
    Chain,
    ClusterId,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Seat,
)
from quorate.gateway.gateway import Gateway
from quorate.protocol.log_codec import encode_frame, entries_length_max
from quorate.protocol.term_codec import FoundingBody, TermBody, encode_founding, encode_term
from quorate.service.api import ClusteredService
from quorate.service.container import ServiceContainer

CLUSTER_ID = ClusterId(b"loopback-cluster")
_TURN_S = 0.02
_SLICE = 1000


class LoopbackMember:
    """One member: the gateway's port, and a container that applies the shared log."""

    def __init__(
        self,
        cluster: LoopbackCluster,
        seat: int,
        service: ClusteredService,
        config: GatewayConfig,
    ) -> None:
        """Hold a gateway that does not listen yet."""
        self.cluster_id = bytes(CLUSTER_ID)
        self.leadership_term_id = 0
        self.serving = False
        self.leader_client_address: str | None = None
        self.client_address = ""
        self.service = service
        self.container = ServiceContainer(service, lambda _: None)
        self.container.start(None)
        self.gateway = Gateway(config=config, port=self, constants=cluster.constants)
        self.entries: list[bytes] = []
        self.seat = seat
        self._cluster = cluster
        self._applied_frames = 0
        self._is_turn_planned = False

    @property
    def member_client_addresses(self) -> tuple[str, ...]:
        """Of all members."""
        return tuple(member.client_address for member in self._cluster.members)

    def append_entry(self, entry: bytes) -> None:
        """Put an entry into the frame of this turn."""
        assert self.serving, "an entry was appended by a member that does not serve"
        self.entries.append(entry)
        self._cluster.appended += 1
        if not self._is_turn_planned:
            self._is_turn_planned = True
            asyncio.get_running_loop().call_soon(self._cluster.turn)

    def write_frames(self) -> None:
        """Put the entries of this turn into the log."""
        self._is_turn_planned = False
        room = entries_length_max(self._cluster.constants.segment_length)
        while self.entries:
            size, count = 0, 0
            for entry in self.entries:
                if size + len(entry) > room:
                    break
                size += len(entry)
                count += 1
            body = b"".join(self.entries[:count])
            del self.entries[:count]
            self._cluster.append(FrameType.ENTRIES, body, count)

    def apply(self) -> None:
        """Apply what is committed, as the agent does: slice by slice."""
        container, frames = self.container, self._cluster.frames
        while self._applied_frames < self._cluster.committed_frames:
            frame = frames[self._applied_frames]
            container.begin(frame)
            while not container.step(_SLICE):
                self.gateway.on_outbox(container.take_outbox())
                self._turn()
            self._applied_frames += 1
            self.gateway.on_outbox(container.take_outbox())
        self._turn()

    def _turn(self) -> None:
        frames = self._cluster.frames
        committed = frames[self._cluster.committed_frames - 1].end
        positions = (frames[-1].end, committed, self.container.position)
        self.gateway.on_turn(self._cluster.now, positions)


class LoopbackCluster:
    """Some members in this loop; ``async with`` starts and stops them.

    Nothing happens by itself: nobody leads until ``lead`` is called.
    """

    def __init__(
        self,
        members: int = 1,
        *,
        service: Callable[[], ClusteredService],
        settings: ClusterSettings | None = None,
        config: GatewayConfig | None = None,
        constants: ClusterConstants | None = None,
    ) -> None:
        """Prepare the founding frame and the members."""
        self.settings = settings or ClusterSettings()
        self.constants = constants or ClusterConstants()
        self.now = 0
        """Loop time of all members; moves with the loop and by ``advance``."""
        self.frames: list[LogFrame] = []
        self.committed_frames = 0
        self.is_held = False
        """True: nothing commits."""
        self.appended = 0
        """Entries that gateways have appended."""
        self.leader: LoopbackMember | None = None
        self.term = 0
        self._advanced = 0
        self._timer: asyncio.TimerHandle | None = None
        voters = tuple(
            Member(MemberId(bytes([seat] * 16)), Seat(seat), f"m{seat}") for seat in range(members)
        )
        self._membership = Membership((voters,))
        body = FoundingBody(CLUSTER_ID, 0, voters, self.settings, self.constants)
        self.append(FrameType.FOUNDING, encode_founding(body))
        self.members: Sequence[LoopbackMember] = [
            LoopbackMember(self, seat, service(), config or GatewayConfig())
            for seat in range(members)
        ]

    async def __aenter__(self) -> Self:
        """Listen on free ports of the loopback."""
        for member in self.members:
            host, port = await member.gateway.start("127.0.0.1", 0)
            member.client_address = join_address(host, port)
        self._tick()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        assert self._timer is not None
        self._timer.cancel()
        for member in self.members:
            await member.gateway.close()

    @property
    def addresses(self) -> list[str]:
        """Client addresses by seat."""
        return [member.client_address for member in self.members]

    def append(self, frame_type: FrameType, body: bytes = b"", count: int = 0) -> None:
        """Write one frame; it commits at the next turn unless the log is held."""
        last = self.frames[-1] if self.frames else None
        self.frames.append(
            encode_frame(
                last.end if last else LogPosition(0),
                LeadershipTermId(self.term),
                self.term * 1000,
                last.chain if last else Chain(0),
                frame_type,
                body,
                count,
            )
        )

    def lead(self, seat: int = 0) -> None:
        """Let this member lead a new term and serve, once its first frame is applied."""
        self.resign()
        self.term += 1
        base = self.frames[-1].end
        member = self.members[seat]
        body = TermBody(
            epoch=0,
            leadership_term_id=LeadershipTermId(self.term),
            base=base,
            leader=self._membership.voters[seat].member_id,
            log_time=self.term * 1000,
            format_version=1,
            feature_activated=0,
            feature_supported=0,
            possible_loss=False,
            membership=self._membership,
            settings=self.settings,
        )
        self.append(FrameType.NEW_LEADERSHIP_TERM, encode_term(body))
        self.is_held = False
        self.turn()
        self.leader = member
        for other in self.members:
            other.leadership_term_id = self.term
            other.leader_client_address = member.client_address
        member.serving = True
        for other in self.members:
            other.gateway.on_serving_changed()

    def resign(self, *, lose_uncommitted: bool = False) -> None:
        """Leave the cluster without a leader, and perhaps without what was not committed."""
        leader, self.leader = self.leader, None
        if leader is not None:
            leader.write_frames()
            leader.serving = False
        if lose_uncommitted:
            del self.frames[self.committed_frames :]
        for member in self.members:
            member.leader_client_address = None
            member.gateway.on_serving_changed()

    def hold(self) -> None:
        """Commit nothing from now on."""
        self.is_held = True

    def release(self) -> None:
        """Commit everything again."""
        self.is_held = False
        self.turn()

    def advance(self, seconds: float) -> None:
        """Let loop time pass at once, and judge time-outs."""
        self._advanced += int(seconds * 1e9)
        self.turn()

    def turn(self) -> None:
        """One turn of all members' agents."""
        self.now = int(asyncio.get_running_loop().time() * 1e9) + self._advanced
        if self.leader is not None:
            self.leader.write_frames()
        if not self.is_held:
            self.committed_frames = len(self.frames)
        for member in self.members:
            member.apply()

    def _tick(self) -> None:
        self.turn()
        self._timer = asyncio.get_running_loop().call_later(_TURN_S, self._tick)
