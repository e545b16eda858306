"""The processes and their volumes: a cluster that keeps Raft's promises without being Raft.

There is one log for all; a leader exists only with a majority of voters, and only one whose volume
holds everything committed is elected. What the operator can do wrong shows in who is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from quorate.control.status import DigestRow, FollowerRow, MemberRow, MemberState, MemberStatus
from quorate_kubernetes_model.specs import DIVERGING

MIB = 1 << 20
DIGEST_INTERVAL = 4 * MIB
CATCH_UP_PER_TICK = 64 * MIB
READY_LAG = 16 * MIB


@dataclass(slots=True)
class Volume:
    """What a claim's volume holds."""

    cluster_id: str = ""
    member_id: str = ""
    state: MemberState = MemberState.BLANK
    """Blank, founding, or follower for founded."""
    durable: int = 0

    @property
    def founded(self) -> bool:
        """Whether it carries the founded mark."""
        return self.state is MemberState.FOLLOWER


@dataclass(slots=True)
class Process:
    """One life of a member."""

    seat: int
    cluster_id: str
    volume: Volume
    image: str
    input_hash: str
    nonce: int
    replay_s: int
    frozen_s: int = 0
    is_up: bool = True
    term: int = 0
    leader: int | None = None
    diverged: bool = False
    version: int = 1

    @property
    def behaviour(self) -> str:
        """What its code computes."""
        return "odd" if self.image == DIVERGING else "even"


@dataclass(slots=True)
class Cluster:
    """All members of one cluster."""

    chance: Random
    size: int
    processes: dict[int, Process] = field(default_factory=dict)
    membership: dict[int, str] = field(default_factory=dict)
    """Member ids by seat once founded."""
    foundings: int = 0
    term: int = 0
    leader: int | None = None
    written: int = 0
    commit: int = 0
    leaderless_s: int = 0
    nonces: int = 0
    empty_voters: int = 0
    """How often a member voted whose volume does not hold what it acknowledged: never."""

    @property
    def majority(self) -> int:
        """Voters that decide."""
        return self.size // 2 + 1

    def start(self, seat: int, cluster_id: str, volume: Volume, image: str, wanted: str) -> None:
        """Start a process on a volume."""
        self.nonces += 1
        if not volume.member_id:
            volume.member_id = f"{self.nonces:032x}"
            volume.cluster_id = cluster_id
        replay = self.chance.randint(0, 3)
        life = Process(seat, cluster_id, volume, image, wanted, self.nonces, replay)
        self.processes[seat] = life

    def stop(self, seat: int, *, gracefully: bool) -> None:
        """End a process; a leader that is asked to end hands over first if it can."""
        if gracefully and self.leader == seat:
            self.transfer(None)
        self.processes.pop(seat, None)
        if self.leader == seat:
            self.leader = None

    def alive(self) -> list[Process]:
        """Return the processes that turn."""
        return [p for p in self.processes.values() if p.is_up and not p.frozen_s]

    def voters(self) -> list[Process]:
        """Return the processes that vote."""
        return [p for p in self.alive() if self.is_voter(p)]

    def is_voter(self, process: Process) -> bool:
        """Tell whether the log knows this volume in this seat; who diverged still votes."""
        known = self.membership.get(process.seat) == process.volume.member_id
        return known and process.volume.founded

    def caught_up(self) -> set[int]:
        """Return the seats that are as a rolling update wants them."""
        if self.leader is None:
            return set()
        return {
            p.seat
            for p in self.voters()
            if not (p.replay_s or p.diverged)
            and self.written - p.volume.durable <= READY_LAG
            and p.term == self.term
        }

    def transfer(self, to: int | None) -> bool:
        """Hand leadership over; return whether it moved."""
        able = self.caught_up() - {self.leader}
        if self.leader is None or not able or (to is not None and to not in able):
            return False
        self._elect(to if to is not None else min(able))
        return True

    def begin_anew(self, size: int) -> None:
        """Forget the cluster before: everything of it is gone."""
        self.size, self.membership, self.foundings = size, {}, 0
        self.leader = None
        self.term = self.written = self.commit = 0

    def found(self) -> None:
        """Begin or go on founding, if every seat is there and blank or founding."""
        lives = self.alive()
        if len(lives) < self.size or any(p.volume.founded for p in lives):
            return
        for process in lives:
            process.volume.state = MemberState.FOUNDING

    def tick(self) -> None:
        """Let a second pass."""
        for process in self.processes.values():
            process.replay_s = max(0, process.replay_s - 1)
        self._mark()
        self._lead()
        self._replicate()
        self._diverge()

    def _mark(self) -> None:
        """Let those who hold a founding frame become founded."""
        lives = self.alive()
        if not any(p.volume.state is MemberState.FOUNDING for p in lives):
            return
        marked = [p for p in self.alive() if p.volume.founded and self.is_voter(p)]
        if marked:
            for p in lives:
                known = self.membership.get(p.seat) == p.volume.member_id
                if p.volume.state is MemberState.FOUNDING and known:
                    p.volume.state = MemberState.FOLLOWER
        elif len(lives) == self.size and all(p.volume.state is MemberState.FOUNDING for p in lives):
            self.foundings += 1
            self.membership = {p.seat: p.volume.member_id for p in lives}
            min(lives, key=lambda p: p.seat).volume.state = MemberState.FOLLOWER

    def _lead(self) -> None:
        voters = self.voters()
        lead = next((p for p in voters if p.seat == self.leader), None)
        if lead is None or len(voters) < self.majority:
            self.leader = None
            for process in self.alive():
                process.leader = None
            self.leaderless_s += 1
            if self.leaderless_s < 2 or len(voters) < self.majority:
                return
            best = max(voters, key=lambda p: (p.volume.durable, -p.seat))
            if best.volume.durable < self.commit:
                self.empty_voters += 1
            self._elect(best.seat)
        elif lead.diverged:
            self.transfer(None)
        self.leaderless_s = 0
        for process in self.alive():
            if self.is_voter(process) or not process.volume.founded:
                if process.term != self.term or process.leader != self.leader:
                    process.version += 1
                if self.is_voter(process):
                    process.term, process.leader = self.term, self.leader

    def _elect(self, seat: int) -> None:
        self.term += 1
        self.leader = seat
        self.written = max(self.written, self.processes[seat].volume.durable)

    def _replicate(self) -> None:
        if self.leader is None:
            return
        self.written += self.chance.choice((0, 0, 0, 100, MIB))
        for process in self.voters():
            if process.seat == self.leader:
                process.volume.durable = self.written
            elif not process.replay_s:
                behind = self.written - process.volume.durable
                process.volume.durable += min(behind, CATCH_UP_PER_TICK)
        held = sorted((p.volume.durable for p in self.voters()), reverse=True)
        if len(held) >= self.majority:
            self.commit = max(self.commit, held[self.majority - 1])

    def _diverge(self) -> None:
        """Let members compare their digests now and then."""
        voters = self.voters()
        if self.chance.random() > 0.1 or len(voters) < self.majority:
            return
        for behaviour in ("odd", "even"):
            same = [p for p in voters if p.behaviour == behaviour]
            if len(same) >= self.majority:
                for p in voters:
                    p.diverged = p.behaviour != behaviour

    def word(self, seat: int) -> MemberStatus | None:
        """Return what a member says when it is asked; None if it does not answer."""
        process = self.processes.get(seat)
        if process is None or not process.is_up or process.frozen_s:
            return None
        state = self._state(process)
        is_leader = self.leader == seat
        volume = process.volume
        return MemberStatus(
            status_version=process.version,
            version="1.0",
            cluster_id=process.cluster_id,
            epoch=0,
            member_id=volume.member_id,
            seat=seat,
            start_nonce=f"{process.nonce:016x}",
            state=state,
            role="leader" if is_leader else "follower",
            leadership_term_id=process.term,
            leader=process.leader,
            written_position=volume.durable,
            append_position=volume.durable,
            commit_position=min(self.commit, volume.durable),
            service_position=min(self.commit, volume.durable),
            caught_up=seat in self.caught_up(),
            founded=volume.founded,
            voters=self._voter_rows(process),
            members=tuple(self._row(number, is_leader=is_leader) for number in range(self.size)),
            digests=self._digests(process),
        )

    def _state(self, process: Process) -> MemberState:
        if process.diverged:
            return MemberState.DIVERGED
        if self.is_voter(process):
            return MemberState.LEADER if process.seat == self.leader else MemberState.FOLLOWER
        if process.volume.founded:
            return MemberState.NOT_A_MEMBER
        if self.membership and self.voters():
            return MemberState.VOLUME_LOST
        return process.volume.state

    def _voter_rows(self, process: Process) -> tuple[MemberRow, ...]:
        if not process.volume.founded:
            return ()
        return tuple(MemberRow(s, i, f"orders-{s}:9020") for s, i in self.membership.items())

    def _row(self, number: int, *, is_leader: bool) -> FollowerRow:
        other = self.processes.get(number)
        if other is None or other not in self.alive():
            return FollowerRow(number, connected=False)
        if not self.is_voter(other):
            return FollowerRow(number, connected=True, state="volume-lost")
        late = self.written - other.volume.durable > READY_LAG
        position = other.volume.durable if is_leader else 0
        return FollowerRow(
            number, connected=True, append_position=position, state="catching-up" if late else ""
        )

    def _digests(self, process: Process) -> tuple[DigestRow, ...]:
        end = min(self.commit, process.volume.durable)
        last = end - end % DIGEST_INTERVAL
        places = [p for p in (last - DIGEST_INTERVAL, last, end) if p >= 0]
        if process.replay_s:
            places = [0]
        return tuple(DigestRow(p, f"{process.behaviour}-{p}") for p in sorted(set(places)))
