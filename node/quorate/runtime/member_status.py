"""Builds a member's status from its parts; reads everything and changes nothing."""

from __future__ import annotations

from collections import deque

import quorate
from quorate.config import NodeConfig
from quorate.consensus.config import Identity
from quorate.consensus.core import Core
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    FoundingState,
    LogPosition,
    Member,
    Recovering,
    RecoveringReason,
    Role,
    Seat,
)
from quorate.control.status import (
    Addresses,
    AlarmRow,
    DigestRow,
    FollowerRow,
    MemberRow,
    MemberState,
    MemberStatus,
)
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.effect_runner import EffectRunner

DIGESTS_KEPT = 8
_ROLE_STATES = {
    Role.FOLLOWER: MemberState.FOLLOWER,
    Role.CANDIDATE: MemberState.CANDIDATE,
    Role.LEADER: MemberState.LEADER,
}
_FOUNDING_STATES = {
    FoundingState.BLANK: MemberState.BLANK,
    FoundingState.FOUNDING: MemberState.FOUNDING,
    FoundingState.BROKEN: MemberState.FOUNDING_BROKEN,
}
_NO_LOG = (
    "it has lost its whole log and has no vote before a leader has sent it one, also after "
    "quorate recover: bring back members that have theirs"
)

_OTHER_DIRECTORY = (
    "the cluster knows this seat with another directory: bring that one back, nothing else can "
    "take its place"
)


class StatusReport:
    """Tells what one member is, at any time."""

    def __init__(
        self, config: NodeConfig, identity: Identity, agent: ConsensusAgent, effects: EffectRunner
    ) -> None:
        """Report on these parts."""
        self._config = config
        self._identity = identity
        self._agent = agent
        self._effects = effects
        self._digests: deque[DigestRow] = deque(maxlen=DIGESTS_KEPT)

    def on_digest(self, position: LogPosition, digest: bytes) -> None:
        """Remember a digest that was compared."""
        self._digests.append(DigestRow(position, digest.hex()))

    def read(self, status_version: int) -> MemberStatus:
        """Return the status as of now."""
        module, agent, config = self._agent.module, self._agent, self._config
        core = module.core
        state, reason = self._state()
        own = config.own_seat
        return MemberStatus(
            status_version=status_version,
            version=quorate.__version__,
            cluster_id=self._identity.cluster_id.hex(),
            epoch=self._identity.epoch,
            member_id=self._identity.member_id.hex(),
            seat=core.seat,
            start_nonce=f"{self._identity.start_nonce:016x}",
            state=state,
            reason=reason,
            role=module.role.name.lower(),
            leadership_term_id=module.term,
            leader=module.leader,
            written_position=core.log.end.position,
            append_position=core.log.durable,
            commit_position=module.commit_position,
            service_position=agent.applier.position,
            caught_up=self.is_caught_up(config.control.ready_lag_bytes_max),
            founded=core.node_state.founded,
            durability=config.consensus.durability.name.lower(),
            storage=_storage_word(core),
            recovering=_recovering_word(core.node_state.recovering),
            possible_loss=agent.applier.possible_loss,
            voters=tuple(_member_row(member) for member in module.membership.voters),
            learners=tuple(_member_row(member) for member in module.membership.learners),
            members=self._follower_rows(),
            digests=(*self._digests, self._digest_now()),
            alarms=tuple(
                AlarmRow(name, detail) for name, detail in sorted(self._effects.alarms.items())
            ),
            addresses=Addresses(own.client_address, own.name, own.control_address),
            configuration_hash=self._identity.configuration_hash.hex(),
            input_hash=config.member.input_hash,
        )

    def standing(self) -> tuple[object, ...]:
        """Return what is worth telling when it changes; positions are not, they always do."""
        module = self._agent.module
        return (
            self._state(),
            module.term,
            module.leader,
            module.core.node_state,
            tuple((row.connected, row.state) for row in self._follower_rows()),
            _storage_word(module.core),
            self._agent.applier.possible_loss,
            self.is_caught_up(self._config.control.ready_lag_bytes_max),
            tuple(sorted(self._effects.alarms)),
        )

    def _digest_now(self) -> DigestRow:
        container = self._agent.applier.container
        return DigestRow(container.position, container.digest.hex())

    def _state(self) -> tuple[MemberState, str]:
        """Return the first state that applies, with its words."""
        module, agent, alarms = self._agent.module, self._agent, self._effects.alarms
        founding = module.founding_state
        # Who votes is in the log: where that is lost as a whole, no accepted loss gives a vote.
        no_log = "" if module.core.log.end.position else _NO_LOG
        candidates = (
            (agent.is_stopping, MemberState.STOPPING, ""),
            (
                agent.diverged_at is not None,
                MemberState.DIVERGED,
                alarms.get("service_diverged", ""),
            ),
            (module.is_volume_lost, MemberState.VOLUME_LOST, _OTHER_DIRECTORY),
            (module.is_not_a_member, MemberState.NOT_A_MEMBER, _OTHER_DIRECTORY),
            (
                founding is not FoundingState.FOUNDED,
                _FOUNDING_STATES.get(founding, MemberState.BLANK),
                module.founding_broken,
            ),
            (
                module.is_recovering,
                MemberState.RECOVERING,
                alarms.get("waiting_for_quorum", no_log),
            ),
            (not module.core.is_voter, MemberState.LEARNER, no_log),
        )
        for applies, state, reason in candidates:
            if applies:
                return state, reason
        return _ROLE_STATES[module.role], ""

    def is_caught_up(self, lag_max: int) -> bool:
        """Tell whether a leader of this term is known and its log applied up to a bound."""
        module, agent = self._agent.module, self._agent
        if module.leader is None:
            return False
        if module.role is Role.LEADER:
            end = module.core.log.end.position
            return agent.serving or end - agent.applier.position <= lag_max
        lag = module.following.caught_up_lag
        behind = module.commit_position - agent.applier.position
        return module.following.checked > 0 and lag <= lag_max and behind <= lag_max

    def _follower_rows(self) -> tuple[FollowerRow, ...]:
        return tuple(self._follower_row(seat) for seat, _ in self._identity.seats)

    def _follower_row(self, seat: Seat) -> FollowerRow:
        module = self._agent.module
        core = module.core
        # A link is of use once its greeting has come: no sooner can a cluster be founded over it.
        connected = seat == core.seat or (seat in core.links and seat in core.hellos)
        leading = module.leading
        if leading is None:
            return FollowerRow(seat, connected, state=self._peer_state(module, seat))
        if seat == module.core.seat:
            durable = module.core.log.durable
            return FollowerRow(seat, connected, durable, self._agent.applier.position, 0)
        progress = leading.progress.get(seat)
        if progress is None:
            return FollowerRow(seat, connected, state=self._peer_state(module, seat))
        heard_ms = -1
        if progress.heard:
            heard_ms = (module.core.now.loop - progress.heard_at) // 1_000_000
        state = self._peer_state(module, seat)
        if not state and module.core.log.end.position - progress.match > self._lag_bound():
            state = "catching-up"
        return FollowerRow(
            seat, connected, progress.match, progress.service_position, heard_ms, state
        )

    def _lag_bound(self) -> int:
        return self._config.control.ready_lag_bytes_max

    def _peer_state(self, module: ConsensusModule, seat: Seat) -> str:
        """Return what is special about another member, in one word."""
        core = module.core
        peer = core.links.get(seat)
        if peer is None:
            return ""
        hello = core.hellos.get(seat)
        if core.node_state.founded and not core.knows(peer):
            blank = hello is not None and hello.founding is FoundingState.BLANK
            return "volume-lost" if blank else "not-a-member"
        if hello is not None and hello.recovering.reason is not RecoveringReason.NONE:
            return "recovering"
        return ""


def _member_row(member: Member) -> MemberRow:
    return MemberRow(member.seat, member.member_id.hex(), member.name)


def _storage_word(core: Core) -> str:
    if core.storage_full:
        return "full"
    return "space" if core.room_end == ROOM_UNBOUNDED else "low"


def _recovering_word(recovering: Recovering) -> str:
    if recovering.reason is RecoveringReason.NONE:
        return ""
    return recovering.reason.name.lower().replace("_", "-")
