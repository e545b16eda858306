"""Nobody waits for what nobody will send: whoever has something to do has a deadline for it.

Messages may all be lost, so what goes on after a loss is what a deadline begins. The walk may
stop at any point, and the timed simulation heals before it judges; neither would see a member
that stands still for ever only while something else is wrong.
"""

from __future__ import annotations

from quorate.consensus.core import Deadline
from quorate.consensus.election import ElectionState
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import Role
from quorate_simulation.history import ClusterHistory

STATE_ENDS = {
    ElectionState.IDLE: Deadline.ELECTION,
    ElectionState.WAITING: Deadline.STAND,
    ElectionState.CANVASS: Deadline.CAMPAIGN,
    ElectionState.BALLOT: Deadline.CAMPAIGN,
}
"""What a voter that does not lead does → the deadline that ends it."""
OF_OFFICE = frozenset({Deadline.HEARTBEAT, Deadline.CHECK_QUORUM})


def check_waits(history: ClusterHistory, module: ConsensusModule) -> None:
    """I24: after each event, and with its effects taken, a deadline ends whatever is waited for."""
    core, deadlines = module.core, set(module.deadlines())
    if core.is_halting:
        return
    leader = module.leading
    if leader is None:
        left = deadlines & (OF_OFFICE | {Deadline.TRANSFER, Deadline.PUBLISH})
        history.require(not left, "I24", "deadlines of an office that is left", left)
        state = module.election.state
        if core.is_voter and core.node_state_sequence <= core.persisted:
            ends = STATE_ENDS[state] in deadlines
            history.require(ends, "I24", "seat", core.seat, "is", state, "for ever:", deadlines)
        return
    history.require(core.role is Role.LEADER, "I24", "leads as", core.role)
    history.require(deadlines >= OF_OFFICE, "I24", "leads without", OF_OFFICE - deadlines)
    handing_over = module.transfer_target is not None
    ends = (Deadline.TRANSFER in deadlines) == handing_over
    history.require(ends, "I24", "transfer to", module.transfer_target, deadlines)
    history.require(Deadline.ELECTION not in deadlines, "I24", "leads and awaits a leader")
