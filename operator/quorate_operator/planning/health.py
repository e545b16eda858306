"""How each member is, in one word for people, and the rows of status about members.

Words are kept steady: a follower that the operator has not heard for a moment is as well as its
leader says, because a status that flickers with every lost packet is of no use.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from quorate.control.status import MemberState
from quorate_operator.model import MemberRow
from quorate_operator.planning.view import SILENT_S, Seat, View

START_S = 30.0
"""A container that does not run yet is starting for so long, and broken after that."""
_BAD_WORDS = ("BackOff", "Err", "Invalid", "Unschedulable", "Failed", "Error", "OOMKilled")
"""Parts of the words of Kubernetes for what does not pass by itself."""
_OF_IMAGES = ("ImagePull", "InvalidImageName", "ErrImage", "RegistryUnavailable", "being pulled")
"""Parts of the words, ours included, for a container that waits for its image."""
_OUTSIDE_EXIT_CODE = 3
"""The process ended because its directory belongs to another cluster or member."""


class Health(StrEnum):
    """One word for a member."""

    WELL = "Well"
    STARTING = "Starting"
    CATCHING_UP = "CatchingUp"
    LEAVING = "Leaving"
    MISSING = "Missing"
    BROKEN = "Broken"
    BLANK = "Blank"
    FOUNDING_BROKEN = "FoundingBroken"
    VOLUME_LOST = "VolumeLost"
    FOREIGN = "Foreign"
    DIVERGED = "Diverged"
    RECOVERING = "Recovering"
    LEARNER = "Learner"


_STATES = {
    MemberState.DIVERGED: Health.DIVERGED,
    MemberState.BLANK: Health.BLANK,
    MemberState.FOUNDING: Health.BLANK,
    MemberState.FOUNDING_BROKEN: Health.FOUNDING_BROKEN,
    MemberState.VOLUME_LOST: Health.VOLUME_LOST,
    MemberState.NOT_A_MEMBER: Health.FOREIGN,
    MemberState.RECOVERING: Health.RECOVERING,
    MemberState.LEARNER: Health.LEARNER,
    MemberState.STOPPING: Health.LEAVING,
}


def health(view: View, seat: Seat) -> Health:
    """Return how a member is: the first of these that is so."""
    pod = seat.pod
    if pod is None or pod.deleting:
        return Health.MISSING if pod is None else Health.LEAVING
    if seat.is_dead and not _is_hopeless(view, seat):
        return Health.STARTING
    if seat.is_broken:
        return Health.BROKEN
    if seat.state in _STATES:
        return _STATES[seat.state]
    if is_well(view, seat):
        return Health.WELL
    return Health.STARTING if seat.word is None else Health.CATCHING_UP


def is_well(view: View, seat: Seat) -> bool:
    """Tell whether a member has caught up, by its own word or, for a moment, by its leader's."""
    if view.has_caught_up(seat):
        return True
    row = view.row(seat.number)
    silent = seat.word is not None and 0 < seat.silent_s < SILENT_S and not seat.is_leaving
    is_fine = silent and not seat.is_dead and view.is_voter(seat) and row is not None
    return is_fine and row is not None and row.connected and not row.state


def rows(view: View) -> Iterator[MemberRow]:
    """Yield a row for each seat."""
    recorded = {row.seat: row for row in view.observed.resource.status.members}
    for seat in view.seats:
        pod, word, before = seat.pod, seat.word, recorded.get(seat.number)
        known = word is not None and not seat.is_broken
        old_id = "" if before is None else before.member_id
        yield MemberRow(
            seat=seat.number,
            member_id=word.member_id if word is not None else old_id,
            role=word.role if known and word is not None else "",
            voter=_has_vote(seat),
            health=health(view, seat),
            lag_bytes=view.lag(seat),
            node="" if pod is None else pod.node,
            pvc_uid="" if seat.claim is None else seat.claim.uid,
            input_hash="" if pod is None else pod.input_hash,
            reason=why(view, seat),
        )


def why(view: View, seat: Seat) -> str:
    """Return why a member is not well; empty if it is, and nothing that changes by itself."""
    word, pod = seat.word, seat.pod
    match health(view, seat):
        case Health.WELL | Health.LEAVING | Health.MISSING:
            return ""
        case Health.BROKEN | Health.STARTING if pod is not None:
            if seat.is_mute:
                return f"has not answered for {int(SILENT_S)} s: {seat.problem or 'never'}"
            exit_code = "" if pod.last_exit_code is None else f"last exit code {pod.last_exit_code}"
            return ", ".join(part for part in (pod.reason, exit_code) if part)
        case _:
            return "" if word is None else word.reason


def remedy(seat: Seat) -> str:
    """Return ``: `` and what a human can do about a process that does not run; else nothing.

    No semicolon, which parts the members in a condition.
    """
    pod, name = seat.pod, seat.pod_name.rpartition("-")[0]
    if pod is None:
        return f": if it lasts, see the events of StatefulSet {name}, as for a quota or a policy"
    if pod.running:
        return ""
    if pod.last_exit_code == _OUTSIDE_EXIT_CODE:
        return ": its volume belongs to another cluster or member, give it its own back"
    if any(part in pod.reason for part in _OF_IMAGES):
        return (
            f": set spec.image to one that nodes can pull instead of {pod.image}, or put its "
            f"registry right. Credentials belong into imagePullSecrets of ServiceAccount {name}, "
            "which a pod gets when it is made, so delete the pod then"
        )
    return ""


def _has_vote(seat: Seat) -> bool:
    word = seat.word
    if word is None:
        return False
    return any(row.seat == seat.number and row.member_id == word.member_id for row in word.voters)


def _is_hopeless(view: View, seat: Seat) -> bool:
    pod = seat.pod
    if pod is None or any(part in pod.reason for part in _BAD_WORDS):
        return True
    since = pod.not_running_since_s
    return since is not None and view.observed.now_s - since >= START_S
