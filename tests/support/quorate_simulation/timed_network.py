"""The simulated network between members: links with lives, delays, losses, cuts by direction."""

from __future__ import annotations

from random import Random
from typing import Protocol

from quorate.consensus.messages import Hello, Message
from quorate.consensus.types import PeerLife, Seat
from quorate_simulation.timed_clock import MS, Schedule

DIAL_INTERVAL = 100 * MS
SILENCE = 550 * MS
"""A link that carries nothing for so long is closed by the transport."""


class Endpoint(Protocol):
    """A member as the network sees it."""

    seat: Seat
    peer: PeerLife
    """Its present life."""

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""

    @property
    def is_powered(self) -> bool:
        """Whether its machine answers at all, if only with a refusal."""

    def link_up(self, peer: PeerLife) -> None:
        """A link to this life stands."""

    def link_down(self, peer: PeerLife) -> None:
        """The link to this life is gone."""

    def refused(self, seat: Seat) -> None:
        """A dialled address refused."""

    def receive(self, peer: PeerLife, message: Message) -> None:
        """A message has arrived."""


class Link:
    """One connection between two lives."""

    __slots__ = ("lives", "number")

    def __init__(self, number: int, lives: dict[int, PeerLife]) -> None:
        """Connect these lives."""
        self.number = number
        self.lives = lives


class Network:
    """Carries messages between members and decides who hears of which link."""

    def __init__(self, schedule: Schedule, random: Random, members: list[Endpoint]) -> None:
        """Connect nobody yet; ``start`` begins to dial."""
        self._schedule = schedule
        self._random = random
        self._members = members
        count = len(members)
        self.links: list[dict[int, Link]] = [{} for _ in range(count)]
        """Which link each member believes in, by the other's seat."""
        self.cut: set[tuple[int, int]] = set()
        """Directions in which nothing passes."""
        self.clogged: dict[tuple[int, int], int] = {}
        """Directions in which everything waits until that time."""
        self._cut_since: dict[tuple[int, int], int] = {}
        self.loss = 0.0
        self.duplication = 0.0
        self.straggling = 0.0
        self.delay_max = random.choice((MS // 2, 2 * MS, 10 * MS))
        self.is_ordered = random.random() < 0.5
        """Messages of a link keep their order, as over TCP; else they overtake each other."""
        self.sent = 0
        self._last_arrival: dict[tuple[int, int], int] = {}
        self._numbers = 0
        self._over: set[Link] = set()
        """Links that one side at least has seen the end of."""

    def start(self) -> None:
        """Begin to dial."""
        self._dial_all()

    # -- messages -------------------------------------------------------------------------------

    def send(self, sender: Endpoint, seat: Seat, message: Message) -> None:
        """Carry a message if the sender believes in a link; it may be lost all the same."""
        link = self.links[sender.seat].get(seat)
        if link is None:
            return
        self.sent += 1
        random = self._random
        # What a link says first is lost only with the link: it is one TCP connection.
        if self.loss and not isinstance(message, Hello) and random.random() < self.loss:
            return
        self._carry(sender.seat, seat, link, message)
        if self.duplication and random.random() < self.duplication:
            self._carry(sender.seat, seat, link, message)

    def _carry(self, sender: int, receiver: int, link: Link, message: Message) -> None:
        path = (sender, receiver)
        time = self._schedule.now + self._delay()
        if self.is_ordered:
            time = max(time, self._last_arrival.get(path, 0))
        time = max(time, self.clogged.get(path, 0))
        self._last_arrival[path] = time
        self._schedule.at(time, lambda: self._arrive(path, link, message))

    def _delay(self) -> int:
        random = self._random
        if self.straggling and random.random() < self.straggling:
            return random.randrange(1000 * MS, 2000 * MS)
        return random.randrange(50_000, self.delay_max)

    def _arrive(self, path: tuple[int, int], link: Link, message: Message) -> None:
        sender, receiver = path
        member = self._members[receiver]
        if not member.is_up or link.lives[receiver] != member.peer:
            return
        believed = self.links[receiver].get(sender)
        early = believed is None or believed.number < link.number
        cut = path in self.cut
        if link not in self._over and (early or (cut and isinstance(message, Hello))):
            # Bytes wait for the handshake to end, and what a link says first for the network.
            self._schedule.after(2 * MS, lambda: self._arrive(path, link, message))
        elif believed is link and not cut:
            member.receive(link.lives[sender], message)

    # -- links ----------------------------------------------------------------------------------

    def _dial_all(self) -> None:
        count = len(self._members)
        for a in range(count):
            for b in range(a + 1, count):
                self._look_at(a, b)
        self._schedule.after(DIAL_INTERVAL, self._dial_all)

    def _look_at(self, a: int, b: int) -> None:
        """Close what has been silent, connect what can be."""
        now = self._schedule.now
        is_cut = (a, b) in self.cut or (b, a) in self.cut
        if is_cut:
            since = self._cut_since.setdefault((a, b), now)
            if now - since >= SILENCE:
                self.break_link(a, b)
            return
        self._cut_since.pop((a, b), None)
        one, other = self.links[a].get(b), self.links[b].get(a)
        if one is other and one is not None:
            return
        self.connect(a, b)

    def connect(self, a: int, b: int) -> None:
        """Make a new connection if both processes run; each side learns of it in its time."""
        first, second = self._members[a], self._members[b]
        if not (first.is_up and second.is_up) or (a, b) in self.cut or (b, a) in self.cut:
            return
        self._numbers += 1
        link = Link(self._numbers, {a: first.peer, b: second.peer})
        for near, far in ((a, b), (b, a)):
            self._schedule.after(
                self._random.randrange(MS // 10, 3 * MS),
                lambda near=near, far=far: self._learn_up(near, far, link),  # type: ignore[misc]
            )

    def _learn_up(self, near: int, far: int, link: Link) -> None:
        member = self._members[near]
        believed = self.links[near].get(far)
        if not member.is_up or link.lives[near] != member.peer:
            return
        if believed is not None and believed.number > link.number:
            return
        if believed is not None and self._random.random() < 0.5:
            self._learn_down(near, far, believed)
        self.links[near][far] = link
        member.link_up(link.lives[far])

    def _learn_down(self, near: int, far: int, link: Link) -> None:
        member = self._members[near]
        self._over.add(link)
        if self.links[near].get(far) is link:
            del self.links[near][far]
            if member.is_up:
                member.link_down(link.lives[far])

    def break_link(self, a: int, b: int) -> None:
        """Close the link between two members, both sides."""
        for near, far in ((a, b), (b, a)):
            link = self.links[near].get(far)
            if link is not None:
                self._learn_down(near, far, link)

    def close_by(self, near: int, far: int) -> None:
        """One side closes its link; the other side learns it soon."""
        link = self.links[near].get(far)
        if link is None:
            return
        self._learn_down(near, far, link)
        if (near, far) not in self.cut:
            self._schedule.after(MS, lambda: self._learn_down(far, near, link))

    def on_process_end(self, seat: int, *, powered: bool) -> None:
        """A process has ended: with its machine alive all its links break at once."""
        self._over.update(self.links[seat].values())
        self.links[seat].clear()
        for far in range(len(self._members)):
            link = self.links[far].get(seat)
            if link is None:
                continue
            delay = self._random.randrange(MS // 10, 3 * MS)
            if not powered or (seat, far) in self.cut:
                delay = SILENCE
            self._schedule.after(
                delay,
                lambda far=far, link=link: self._noticed(far, seat, link),  # type: ignore[misc]
            )

    def _noticed(self, near: int, far: int, link: Link) -> None:
        self._learn_down(near, far, link)
        gone, member = self._members[far], self._members[near]
        reachable = (near, far) not in self.cut and (far, near) not in self.cut
        if not gone.is_up and gone.is_powered and reachable and member.is_up:
            member.refused(Seat(far))
