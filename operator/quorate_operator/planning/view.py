"""The words that every plan uses: who leads, who has caught up, what is broken or outdated.

A member's word is checked before it is used: it must come from the pod that is there now, and name
this cluster and this seat. What a leader says of a follower counts beside the follower's own word,
because it holds both positions as of one instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quorate.control.status import FollowerRow, MemberState, MemberStatus
from quorate_operator import labels
from quorate_operator.planning.observed import Claim, Member, Observed, Pod

SILENT_S = 30.0
"""A process that has not answered for so long is broken, whatever its container says."""
HEARING_S = 5.0
"""A member that was never asked before is given so long to be heard for the first time."""
HEAR_S = 1.0
"""Until the next look while members have not been heard since the operator started."""
LAG_BYTES_MAX = 16 << 20
"""Caught up means no more than this behind the leader; the members' own bound is the same."""
FOUNDABLE = frozenset({MemberState.BLANK, MemberState.FOUNDING})
OUTSIDE = frozenset({MemberState.VOLUME_LOST, MemberState.NOT_A_MEMBER})
"""States of a member that the cluster's log does not know: it has no vote to lose."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One seat: what is under its names, and what the process in it says."""

    number: int
    pod_name: str
    pod: Pod | None
    claim: Claim | None
    word: MemberStatus | None
    """The last usable word of the process in the pod that is there now."""
    silent_s: float
    """How long it has not answered; 0 while it does, or as long as it need not yet."""
    is_unheard: bool
    """It was never asked, or not long enough to expect an answer."""
    problem: str

    @property
    def speaks(self) -> bool:
        """Whether its word is of now."""
        return self.word is not None and not self.silent_s

    @property
    def is_leaving(self) -> bool:
        """Whether its pod is being deleted."""
        return self.pod is not None and self.pod.deleting

    @property
    def has_volume(self) -> bool:
        """Whether the claim of its volume is there to stay."""
        return self.claim is not None and not self.claim.deleting

    @property
    def is_dead(self) -> bool:
        """Whether the process certainly does not run, so that nothing is lost with the pod."""
        pod = self.pod
        return pod is not None and not (pod.scheduled and pod.running) and not self.speaks

    @property
    def is_mute(self) -> bool:
        """Whether a container runs whose process has been silent for too long."""
        return self.pod is not None and not self.is_dead and self.silent_s >= SILENT_S

    @property
    def is_broken(self) -> bool:
        """Whether it is broken as the design says; NotReady alone never is."""
        return self.is_dead or self.is_mute

    @property
    def state(self) -> MemberState | None:
        """What its process said that it is doing."""
        return None if self.word is None else self.word.state


@dataclass(frozen=True, slots=True)
class View:
    """One look, understood."""

    observed: Observed
    cluster_id: str
    founded: bool
    seats: tuple[Seat, ...]
    wanted_hash: str
    """Input hash that every pod should have; empty if it cannot be known."""
    wanted_placement: str
    """Placement hash that every pod should have; empty if it cannot be known."""
    set_uid: str
    """Uid of our StatefulSet; empty if there is none."""
    leader: Seat | None
    """Who says now that it leads, in the highest term that anybody names a leader of."""

    @property
    def term(self) -> int:
        """Term of the leader; -1 without one."""
        word = None if self.leader is None else self.leader.word
        return -1 if word is None else word.leadership_term_id

    @property
    def required(self) -> int:
        """Voters that make a majority."""
        word = None if self.leader is None else self.leader.word
        voters = len(word.voters) if word is not None and word.voters else len(self.seats)
        return voters // 2 + 1

    def is_ours(self, seat: Seat) -> bool:
        """Tell whether its pod belongs to our StatefulSet and stays."""
        pod = seat.pod
        return (
            pod is not None
            and not pod.deleting
            and bool(self.set_uid)
            and pod.controller_uid == self.set_uid
        )

    def is_outdated(self, seat: Seat) -> bool:
        """Tell whether its pod was made from what the user has changed since."""
        pod = seat.pod
        if pod is None or not self.wanted_hash:
            return False
        is_placed = pod.placement_hash in ("", self.wanted_placement)
        return not (is_placed and self.runs_wanted_code(seat))

    def is_updated(self, seat: Seat) -> bool:
        """Tell whether its pod was made from what the user wants now."""
        return self.runs_wanted_code(seat) and not self.is_outdated(seat)

    def runs_wanted_code(self, seat: Seat) -> bool:
        """Tell whether its pod has the wanted image, code and configuration, wherever it is placed.

        A change of placement alone makes a pod outdated; what it answers is still the new code's.
        """
        pod = seat.pod
        return pod is not None and bool(self.wanted_hash) and pod.input_hash == self.wanted_hash

    def is_voter(self, seat: Seat) -> bool:
        """Tell whether the leader's log gives a vote to the member that sits there."""
        word = None if self.leader is None else self.leader.word
        if word is None or seat.word is None:
            return False
        return any(
            row.seat == seat.number and row.member_id == seat.word.member_id for row in word.voters
        )

    def has_caught_up(self, seat: Seat) -> bool:
        """Tell whether it is a voter whose durable log is close to the leader's, now."""
        word, leader = seat.word, self.leader
        if leader is None or word is None or not seat.speaks or seat.is_leaving:
            return False
        if not word.caught_up or not self.is_voter(seat):
            return False
        if seat.number == leader.number:
            return word.state is MemberState.LEADER
        follows = word.leadership_term_id == self.term and word.leader == leader.number
        return follows and word.state is MemberState.FOLLOWER and self._is_near(seat.number)

    def lag(self, seat: Seat) -> int:
        """Return how far it is behind the leader, in bytes; 0 if that is not known."""
        row, end = self.row(seat.number), self._end()
        return 0 if row is None or seat is self.leader else max(0, end - row.append_position)

    def caught_up(self, without: int | None = None) -> int:
        """Return how many voters have caught up, apart from the one in this seat."""
        return sum(self.has_caught_up(seat) for seat in self.seats if seat.number != without)

    def spares(self, seat: Seat) -> bool:
        """Tell whether a majority that has caught up remains without this seat."""
        return self.caught_up(without=seat.number) >= self.required

    def heirs(self) -> Iterator[Seat]:
        """Yield those who could take over from the leader, the closest first."""
        others = (seat for seat in self.seats if seat is not self.leader)
        able = (seat for seat in others if self.has_caught_up(seat))
        yield from sorted(able, key=lambda seat: (self.lag(seat), seat.number))

    def row(self, number: int) -> FollowerRow | None:
        """Return what the leader says of this seat."""
        word = None if self.leader is None else self.leader.word
        rows = () if word is None else word.members
        return next((row for row in rows if row.seat == number), None)

    def _end(self) -> int:
        word = None if self.leader is None else self.leader.word
        return 0 if word is None else word.written_position

    def _is_near(self, number: int) -> bool:
        row = self.row(number)
        near = row is not None and self._end() - row.append_position <= LAG_BYTES_MAX
        return near and row is not None and row.connected and not row.state


def seats_of(observed: Observed, cluster_id: str) -> tuple[Seat, ...]:
    """Return every seat that there should be, or that is there if the spec cannot be read."""
    spec = observed.resource.spec
    numbers = range(spec.replicas) if spec is not None else sorted(observed.pods)
    return tuple(_seat(observed, cluster_id, number) for number in numbers)


def leader_of(seats: tuple[Seat, ...]) -> Seat | None:
    """Return who leads by its own word, unless somebody names a leader of a later term."""
    claims = [seat for seat in seats if seat.speaks and _leads(seat)]
    if not claims:
        return None
    best = max(claims, key=_term)
    named = [
        _term(s) for s in seats if s.speaks and s.word is not None and s.word.leader is not None
    ]
    return best if _term(best) >= max(named, default=-1) else None


def _leads(seat: Seat) -> bool:
    word = seat.word
    return word is not None and word.role == "leader" and word.leader == seat.number


def _term(seat: Seat) -> int:
    return -1 if seat.word is None else seat.word.leadership_term_id


def _seat(observed: Observed, cluster_id: str, number: int) -> Seat:
    pod, member = observed.pods.get(number), observed.members.get(number)
    if pod is None or member is None or member.pod_uid != pod.uid:
        member = None  # of a pod that was there before, or not followed yet
    word = None if member is None else _checked(member, cluster_id, number)
    silent_s = _silence(observed, member, word)
    unheard = member is None or (
        member.status is None and not member.problem and silent_s < HEARING_S
    )
    return Seat(
        number=number,
        pod_name=labels.pod_name(observed.resource.name, number),
        pod=pod,
        claim=observed.claims.get(number),
        word=word,
        silent_s=silent_s,
        is_unheard=pod is not None and pod.running and not pod.deleting and unheard,
        problem="" if member is None else member.problem,
    )


def _checked(member: Member, cluster_id: str, number: int) -> MemberStatus | None:
    word = member.status
    if word is None or word.cluster_id != cluster_id or word.seat != number:
        return None
    sane = word.leadership_term_id >= 0 and word.written_position >= 0 and word.epoch >= 0
    return word if sane else None


def _silence(observed: Observed, member: Member | None, word: MemberStatus | None) -> float:
    """Return since when there has been no usable word, in seconds; 0 if there is one now."""
    if member is None:
        return 0.0
    if member.silent_since_s is not None:
        # A clock that was set back makes nobody speak.
        return max(observed.now_s - member.silent_since_s, 0.001)
    return 0.0 if word is not None else 0.001
